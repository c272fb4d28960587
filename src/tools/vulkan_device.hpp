// Vulkan devices for the command: a device of its own, and the backend on it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vaspace/frontends/vulkan/headless.hpp"

namespace vaspace::tools {

// Of all physical devices; none where there is no loader.
[[nodiscard]] std::vector<std::string> vulkan_device_names();

// The device lives as long as the backend. `name` empty: the first.
struct VulkanDevice {
  HostObject<vulkan::HeadlessDevice> device;
  HostObject<vulkan::Backend> backend;
};
// Throws Failed.
[[nodiscard]] VulkanDevice open_vulkan(std::string_view name);
// The backend alone, with its device behind it. Throws Failed.
[[nodiscard]] std::shared_ptr<Backend> open_vulkan_backend(std::string_view name);

}  // namespace vaspace::tools
