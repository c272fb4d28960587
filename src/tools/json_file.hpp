// JSON results on disk.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace vaspace::tools {

// Throws Failed where the file cannot be written whole. Bytes that are no UTF-8 (of a file's name) are
// replaced.
void write_json(const std::string& path, const nlohmann::ordered_json& json);

}  // namespace vaspace::tools
