// What many timings come to.
#pragma once

#include <cstdint>
#include <vector>

namespace vaspace::tools {

// All are 0 where there is no sample.
struct Spread {
  std::uint64_t min = 0;
  double mean = 0;
  double median = 0;      // of an even number of samples, the mean of the two in the middle
  std::uint64_t p99 = 0;  // the smallest sample that at least 99 % do not pass
  std::uint64_t max = 0;
};

// Reorders the samples. O(n).
[[nodiscard]] Spread spread_of(std::vector<std::uint64_t>& samples);

}  // namespace vaspace::tools
