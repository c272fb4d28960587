// What a look-up in the map of an address space costs as it grows, beside a flat sorted table of the same
// mappings, the fastest there is to look up in and the slowest to change.
#pragma once

#include <functional>
#include <vector>

#include "bench/options.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

// Workload "map", with 10^3 to 10^6 mappings, none of which continues another. Mode look_up: a random
// address, of address_map and, as its limit, of flat_table. Mode plan: what mapping over one of them would
// ask of the driver. Mode change (pair): one mapping goes, and comes again.
[[nodiscard]] std::vector<TimingRow> measure_address_map(const Amount& amount,
                                                         const std::function<void()>& tick);

[[nodiscard]] unsigned address_map_ticks(const Amount& amount);

}  // namespace vaspace::tools::bench
