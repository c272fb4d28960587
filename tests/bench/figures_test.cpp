#include "bench/figures.hpp"

#include <gtest/gtest.h>

#include "bench/clock.hpp"
#include "support/property.hpp"

namespace vaspace::tools::bench {
namespace {

// Nanoseconds to what the clock's samples are in.
Round round(std::vector<std::uint64_t> nanoseconds) {
  for (std::uint64_t& ns : nanoseconds)
    ns *= 1000;
  return round_of(std::move(nanoseconds));
}

TEST(Figures, TheMedianOfMediansIsNotThatOfAllSamples) {
  // All nine samples have the median 5; the rounds' medians are 2, 5, 100.
  const Timing timing = timing_of({round({1, 2, 3}), round({4, 5, 6}), round({99, 100, 101})});
  EXPECT_DOUBLE_EQ(timing.median, 5);
  EXPECT_DOUBLE_EQ(timing.min, 2);
  EXPECT_DOUBLE_EQ(timing.max, 100);
  const Timing skewed = timing_of({round({1, 1, 1, 1, 1}), round({7}), round({9})});
  EXPECT_DOUBLE_EQ(skewed.median, 7);
}

TEST(Figures, AnInterruptedBatchDoesNotMoveARound) {
  const Timing timing = timing_of({round({10, 10, 10, 10, 1'000'000}), round({10, 10, 10})});
  EXPECT_DOUBLE_EQ(timing.median, 10);
  EXPECT_DOUBLE_EQ(timing.max, 10);
  EXPECT_GT(timing.mean, 1'000);
}

TEST(Figures, P99IsOverAllBatches) {
  std::vector<std::uint64_t> samples(100, 10);
  samples[17] = 500;
  samples[18] = 400;
  EXPECT_DOUBLE_EQ(timing_of({round(samples)}).p99, 400);
}

TEST(Figures, TheTailEndsWithTheWorst) {
  std::vector<std::uint64_t> samples(2000, 10);
  samples[3] = 900;
  samples[5] = 800;
  samples[7] = 700;
  const Timing timing = timing_of({round(samples)});
  EXPECT_DOUBLE_EQ(timing.p99, 10);
  EXPECT_DOUBLE_EQ(timing.p999, 700);  // 1,998 of 2,000 do not pass it
  EXPECT_DOUBLE_EQ(timing.worst, 900);
  EXPECT_DOUBLE_EQ(timing_of({round({1, 2, 3})}).p999, 3);
}

TEST(Figures, OfNothingAreZero) {
  EXPECT_EQ(median_of({}), 0);
  EXPECT_EQ(timing_of({}).median, 0);
  EXPECT_EQ(timing_of({}).p999, 0);
  EXPECT_EQ(round_of({}).median, 0);
}

TEST(Figures, RatiosAreTakenRoundByRound) {
  // The machine slows down by three in the second round: both do, and the ratio holds.
  const std::vector<Round> limit{round({10}), round({30})}, subject{round({20}), round({60})};
  const Ratio ratio = ratio_of(subject, limit);
  EXPECT_DOUBLE_EQ(ratio.median, 2);
  EXPECT_DOUBLE_EQ(ratio.min, 2);
  EXPECT_DOUBLE_EQ(ratio.max, 2);
}

TEST(Figures, ALimitBelowTheClocksTickCountsAsOneNanosecond) {
  EXPECT_DOUBLE_EQ(ratio_of({round({40})}, {round({0})}).median, 40);
}

TEST(Figures, TheClocksFloorIsTakenOff) {
  EXPECT_EQ(picoseconds_each(120, 20, 10), 10'000U);
  EXPECT_EQ(picoseconds_each(15, 20, 10), 0U);
  EXPECT_LT(clock_floor_ns(), 100'000U);
}

RC_GTEST_PROP(Figures, LieBetweenTheLeastAndTheGreatest, (std::vector<std::uint16_t> numbers)) {
  RC_PRE(!numbers.empty());
  std::vector<std::uint64_t> samples(numbers.begin(), numbers.end());
  const Timing timing = timing_of({round(samples), round({samples.front()})});
  RC_ASSERT(timing.min <= timing.median);
  RC_ASSERT(timing.median <= timing.max);
}

}  // namespace
}  // namespace vaspace::tools::bench
