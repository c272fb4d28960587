// Results as tables for a person.
#pragma once

#include <span>
#include <string>

#include "bench/results.hpp"

namespace vaspace::tools::bench {

// One table per workload, mode and unit: a line per subject and policy, a column per order, number of live
// allocations or of threads.
[[nodiscard]] std::string timings_text(std::span<const TimingRow> rows);
[[nodiscard]] std::string placement_text(std::span<const PlacementRow> rows);
[[nodiscard]] std::string metadata_text(std::span<const MetadataRow> rows);
// Default / Arena / Diff: min, max, mean, median.
[[nodiscard]] std::string size_classes_text(std::span<const SizeClassRow> rows);

}  // namespace vaspace::tools::bench
