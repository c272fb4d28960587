// How time and metadata grow with what is live: decade by decade, over terabytes of address space that
// nothing lies behind.
#pragma once

#include <functional>
#include <vector>

#include "bench/options.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

struct ScaleRows {
  std::vector<TimingRow> timings;
  std::vector<MetadataRow> metadata;
};

// Workload "scale": W8's pairs with up to 10^7 live allocations, of 256 B to 4 KiB (mixed) or, up to 10^6, of
// 64 KiB to 4 MiB (large: a terabyte live). arena, arena_standard and default beside the limit.
[[nodiscard]] ScaleRows measure_scale(const Options& options, const Amount& amount,
                                      const std::function<void()>& tick);

// Workload "scale_reservations": an arena whose every allocation is a reservation of its own, up to 10^5 of
// them. A pair of free and allocate (kept), the same with a collect between, which keeps what came again
// lately (collected), find by address, and all of them given back to the backend and made anew (grown).
[[nodiscard]] ScaleRows measure_reservations(const Options& options, const Amount& amount,
                                             const std::function<void()>& tick);

// How often they call `tick`.
[[nodiscard]] unsigned scale_ticks(const Amount& amount);
[[nodiscard]] unsigned reservation_ticks(const Amount& amount);

}  // namespace vaspace::tools::bench
