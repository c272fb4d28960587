// A file of results that an earlier run left.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace vaspace::tools::bench {

// Throws Failed where it cannot be read or is no JSON.
[[nodiscard]] nlohmann::json read_json(const std::string& path);

// Throws Failed, naming the file, for what is no "vaspace.bench/1".
void check_schema(const std::string& file, const nlohmann::json& results);

}  // namespace vaspace::tools::bench
