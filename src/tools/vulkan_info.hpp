// What a Vulkan device has beyond what every backend says of itself.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace vaspace::tools {

// Features that it was opened with, limits of placement, and what a sparse backend on it offers; null where
// there is none. Throws Failed.
[[nodiscard]] nlohmann::ordered_json vulkan_facts(std::string_view device);

}  // namespace vaspace::tools
