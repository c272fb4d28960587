// Results as JSON, "vaspace.bench/1".
#pragma once

#include <nlohmann/json.hpp>

#include "bench/results.hpp"

namespace vaspace::tools::bench {

[[nodiscard]] nlohmann::ordered_json json_of(const BenchResults& results);

}  // namespace vaspace::tools::bench
