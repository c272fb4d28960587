// The worst operations: single ones, timed one by one, above the clock's floor (P7).
#pragma once

#include <functional>
#include <vector>

#include "bench/options.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

// Steady state: the workload's timed phase, of each operation the least of three passes. The rows' p99,
// p99.9 and worst are over operations. Two rows per subject, of units allocate and free.
[[nodiscard]] std::vector<TimingRow> measure_tail(const Workload& workload, const Options& options,
                                                  const Amount& amount, const std::function<void()>& tick);

// Growth: all of a new allocator's first pass, with its first reservations and its first node segments.
// Workload "W5_first". Of each operation the least of three new allocators: they grow at the same
// operations, and no two are interrupted at the same one.
[[nodiscard]] std::vector<TimingRow> measure_first_pass(const Workload& workload, const Options& options,
                                                        const Amount& amount,
                                                        const std::function<void()>& tick);

}  // namespace vaspace::tools::bench
