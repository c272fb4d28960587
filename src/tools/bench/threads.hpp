// W6: W5 on one shared heap, and one thread allocating what another frees.
#pragma once

#include <functional>
#include <vector>

#include "bench/options.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

// Rows of W6_shared with 1 and 2 threads: nanoseconds of wall clock for each operation of all threads
// together, so that twice the throughput is half the figure. With one thread, the single-threaded policy
// stands beside the threaded one.
[[nodiscard]] std::vector<TimingRow> measure_shared(const Options& options, const Amount& amount,
                                                    const std::function<void()>& tick);
// Rows of W6_cross: wall clock for each pair.
[[nodiscard]] std::vector<TimingRow> measure_cross(const Options& options, const Amount& amount,
                                                   const std::function<void()>& tick);

}  // namespace vaspace::tools::bench
