// One workload, all its subjects, interleaved: round by round, so that each meets the same machine.
#pragma once

#include <functional>
#include <vector>

#include "bench/options.hpp"
#include "bench/registry.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

// A row per subject that takes the workload. `tick` is called once per round.
[[nodiscard]] std::vector<TimingRow> measure(const Workload& workload, const Options& options,
                                             const Amount& amount, const std::function<void()>& tick);

// Single operations of W5: of each the least of three passes; the rows' p99 is over operations. Two rows per
// subject, of units allocate and free.
[[nodiscard]] std::vector<TimingRow> measure_tail(const Workload& workload, const Options& options,
                                                  const Amount& amount, const std::function<void()>& tick);

// One pass of bench_pair, for a profiler that counts; how many pairs. Throws WrongUsage for what is no W8.
[[nodiscard]] std::uint64_t run_to_count(const std::vector<std::string>& what);

}  // namespace vaspace::tools::bench
