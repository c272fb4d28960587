// One workload, all its subjects, interleaved: round by round, so that each meets the same machine.
#pragma once

#include <functional>
#include <vector>

#include "bench/options.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

// A row per subject that takes the workload. `tick` is called once per round. Into `metadata`, where it is
// given, goes a row per subject that keeps its books through the host allocator's hook: as the workload's
// setup and a pass leave them.
[[nodiscard]] std::vector<TimingRow> measure(const Workload& workload, const Options& options,
                                             const Amount& amount, const std::function<void()>& tick,
                                             std::vector<MetadataRow>* metadata = nullptr);

}  // namespace vaspace::tools::bench
