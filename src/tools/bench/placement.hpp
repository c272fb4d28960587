// W7: how full a 256 MiB heap gets.
#pragma once

#include <functional>
#include <vector>

#include "bench/options.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

// Per mode: oracle, object, default (256 MiB of addresses) and arena (CPU backend, 256 MiB of pages of 64
// KiB, addresses without limit). Figures are means over the seeds; `tick` is called once per seed.
[[nodiscard]] std::vector<PlacementRow> measure_placement(const Options& options, const Amount& amount,
                                                          const std::function<void()>& tick);

}  // namespace vaspace::tools::bench
