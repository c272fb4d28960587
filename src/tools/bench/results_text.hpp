// Results as tables for a person.
#pragma once

#include <span>
#include <string>

#include "bench/results.hpp"

namespace vaspace::tools::bench {

// What the names of the subjects stand for.
[[nodiscard]] std::string legend_text();
// One table per workload, mode and unit: a line per subject and policy, a column per order, number of live
// allocations or of threads.
[[nodiscard]] std::string timings_text(std::span<const TimingRow> rows);
[[nodiscard]] std::string placement_text(std::span<const PlacementRow> rows);
[[nodiscard]] std::string metadata_text(std::span<const MetadataRow> rows);
// A table per size and order: min, max, mean and median, Default / Arena / Diff, pages committed and not yet,
// beside the prototype's; and whether P13 is met.
[[nodiscard]] std::string size_classes_text(std::span<const SizeClassRow> rows);

}  // namespace vaspace::tools::bench
