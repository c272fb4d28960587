#include "bench/figures.hpp"

#include <algorithm>

#include "statistics.hpp"

namespace vaspace::tools::bench {

namespace {

constexpr double kPicosecondsEach = 1000;

struct Extent {
  double median, min, max;
};
Extent extent_of(const std::vector<double>& numbers) {
  if (numbers.empty()) return {};
  const auto [min, max] = std::minmax_element(numbers.begin(), numbers.end());
  return {median_of(numbers), *min, *max};
}

// The smallest sample that at least 999 of 1000 do not pass; 0 of none.
std::uint64_t p999_of(std::vector<std::uint64_t>& samples) {
  if (samples.empty()) return 0;
  const std::size_t rank = (samples.size() * 999 + 999) / 1000;  // the first is 1
  const auto at = samples.begin() + static_cast<std::ptrdiff_t>(rank - 1);
  std::nth_element(samples.begin(), at, samples.end());
  return *at;
}

}  // namespace

double median_of(std::vector<double> numbers) {
  if (numbers.empty()) return 0;
  std::sort(numbers.begin(), numbers.end());
  const std::size_t middle = numbers.size() / 2;
  if (numbers.size() % 2 == 1) return numbers[middle];
  return (numbers[middle - 1] + numbers[middle]) / 2;
}

Round round_of(std::vector<std::uint64_t> samples) {
  Round round;
  round.median = spread_of(samples).median / kPicosecondsEach;
  round.samples = std::move(samples);
  return round;
}

Timing timing_of(const std::vector<Round>& rounds) {
  std::vector<double> medians;
  std::vector<std::uint64_t> all;
  for (const Round& round : rounds) {
    medians.push_back(round.median);
    all.insert(all.end(), round.samples.begin(), round.samples.end());
  }
  const Extent extent = extent_of(medians);
  const Spread spread = spread_of(all);
  return {.median = extent.median,
          .min = extent.min,
          .max = extent.max,
          .p99 = static_cast<double>(spread.p99) / kPicosecondsEach,
          .p999 = static_cast<double>(p999_of(all)) / kPicosecondsEach,
          .worst = static_cast<double>(spread.max) / kPicosecondsEach,
          .mean = spread.mean / kPicosecondsEach};
}

Ratio ratio_of(const std::vector<Round>& rounds, const std::vector<Round>& limit) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < rounds.size(); ++i)
    ratios.push_back(rounds[i].median / std::max(limit[i].median, 1.0));
  const Extent extent = extent_of(ratios);
  return {extent.median, extent.min, extent.max};
}

}  // namespace vaspace::tools::bench
