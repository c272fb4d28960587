#include "statistics.hpp"

#include <algorithm>

namespace vaspace::tools {

namespace {

std::uint64_t nth(std::vector<std::uint64_t>& samples, std::size_t n) {
  const auto at = samples.begin() + static_cast<std::ptrdiff_t>(n);
  std::nth_element(samples.begin(), at, samples.end());
  return *at;
}

double mean_of(const std::vector<std::uint64_t>& samples) {
  long double sum = 0;
  for (const std::uint64_t sample : samples)
    sum += static_cast<long double>(sample);
  return static_cast<double>(sum / static_cast<long double>(samples.size()));
}

double median_of(std::vector<std::uint64_t>& samples) {
  const std::size_t count = samples.size();
  const auto lower = static_cast<double>(nth(samples, (count - 1) / 2));
  const auto upper = static_cast<double>(nth(samples, count / 2));
  return lower + (upper - lower) / 2;
}

}  // namespace

Spread spread_of(std::vector<std::uint64_t>& samples) {
  if (samples.empty()) return {};
  const auto [min, max] = std::minmax_element(samples.begin(), samples.end());
  Spread result{.min = *min, .mean = mean_of(samples), .median = 0, .p99 = 0, .max = *max};
  result.median = median_of(samples);
  const std::size_t count = samples.size();
  const std::size_t rank = (99 * count + 99) / 100;  // ceil(0.99 n), counted from 1
  result.p99 = nth(samples, rank - 1);
  return result;
}

}  // namespace vaspace::tools
