// From samples to rows.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/results.hpp"

namespace vaspace::tools::bench {

// What one round of one subject came to, from its batches in picoseconds each.
struct Round {
  double median = 0;  // nanoseconds
  std::vector<std::uint64_t> samples;
};
// Reorders the samples.
[[nodiscard]] Round round_of(std::vector<std::uint64_t> samples);

// The median of the rounds' medians, the least and greatest of them; of all batches the 99th and the 99.9th
// percentile, the greatest and the mean.
[[nodiscard]] Timing timing_of(const std::vector<Round>& rounds);

// Round by round, so that what slows the machine down for a while slows both. A limit below a nanosecond
// counts as one: the clock tells no less. Both have as many rounds, at least one.
[[nodiscard]] Ratio ratio_of(const std::vector<Round>& rounds, const std::vector<Round>& limit);

// Of an even number, the mean of the two in the middle; 0 of none.
[[nodiscard]] double median_of(std::vector<double> numbers);

}  // namespace vaspace::tools::bench
