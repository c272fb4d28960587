#include "bench/scale.hpp"

#include <iterator>

#include "bench/measure.hpp"

namespace vaspace::tools::bench {

namespace {

struct Decades {
  PairSizes sizes;
  std::uint32_t most;  // live
};
// The second is where classes are large: a million of them are a terabyte.
constexpr Decades kDecades[] = {{kMixedPairs, 10'000'000}, {{"large", 64U << 10U, 4U << 20U}, 1'000'000}};
constexpr std::uint32_t kFewest = 10'000;

std::uint32_t most_of(const Decades& decades, const Amount& amount) {
  return amount.thorough ? decades.most : 10 * kFewest;
}

// The subjects that grow as the library does, among the wanted ones.
Options narrowed(const Options& options) {
  Options narrow = options;
  narrow.subjects = {"limit_lifo"};
  for (const char* name : {"arena", "arena_standard", "default"}) {
    if (options.wants_subject(name)) narrow.subjects.emplace_back(name);
  }
  return narrow;
}

}  // namespace

ScaleRows measure_scale(const Options& options, const Amount& amount, const std::function<void()>& tick) {
  const Options narrow = narrowed(options);
  ScaleRows rows;
  for (const Decades& decades : kDecades) {
    for (std::uint32_t live = kFewest; live <= most_of(decades, amount); live *= 10) {
      const Workload workload =
          pair_workload("scale", decades.sizes, live, amount.pairs, amount.scale_rounds, 9);
      Amount rounds = amount;
      rounds.rounds = amount.scale_rounds;
      std::vector<TimingRow> timings = measure(workload, narrow, rounds, tick, &rows.metadata);
      std::move(timings.begin(), timings.end(), std::back_inserter(rows.timings));
    }
  }
  return rows;
}

unsigned scale_ticks(const Amount& amount) {
  unsigned ticks = 0;
  for (const Decades& decades : kDecades) {
    for (std::uint32_t live = kFewest; live <= most_of(decades, amount); live *= 10)
      ticks += amount.scale_rounds;
  }
  return ticks;
}

}  // namespace vaspace::tools::bench
