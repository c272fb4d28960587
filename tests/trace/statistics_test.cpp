#include "statistics.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "bytes_text.hpp"

namespace vaspace::tools {
namespace {

Spread spread(std::vector<std::uint64_t> samples) {
  return spread_of(samples);
}

TEST(Spread, OfNothingIsZero) {
  const Spread none = spread({});
  EXPECT_EQ(none.min, 0U);
  EXPECT_EQ(none.mean, 0.0);
  EXPECT_EQ(none.median, 0.0);
  EXPECT_EQ(none.p99, 0U);
  EXPECT_EQ(none.max, 0U);
}

TEST(Spread, OfOne) {
  const Spread one = spread({7});
  EXPECT_EQ(one.min, 7U);
  EXPECT_EQ(one.mean, 7.0);
  EXPECT_EQ(one.median, 7.0);
  EXPECT_EQ(one.p99, 7U);
  EXPECT_EQ(one.max, 7U);
}

TEST(Spread, MedianOfAnEvenNumberLiesBetween) {
  EXPECT_EQ(spread({1, 2, 3, 10}).median, 2.5);
  EXPECT_EQ(spread({9, 1, 5}).median, 5.0);
}

TEST(Spread, P99IsTheNearestRank) {
  std::vector<std::uint64_t> hundred, two_hundred;
  for (std::uint64_t i = 1; i <= 200; ++i) {
    if (i <= 100) hundred.push_back(i);
    two_hundred.push_back(201 - i);
  }
  EXPECT_EQ(spread(hundred).p99, 99U);
  EXPECT_EQ(spread(two_hundred).p99, 198U);
  EXPECT_EQ(spread({1, 2}).p99, 2U);
}

TEST(Spread, LargeNumbersDoNotOverflow) {
  const std::uint64_t large = ~std::uint64_t{0};
  EXPECT_NEAR(spread({large, large, large}).mean, static_cast<double>(large), 1e4);
}

RC_GTEST_PROP(Spread, AgreesWithSorting, (std::vector<std::uint32_t> values)) {
  RC_PRE(!values.empty());
  std::vector<std::uint64_t> sorted(values.begin(), values.end());
  const Spread result = spread(sorted);
  std::sort(sorted.begin(), sorted.end());
  const std::size_t n = sorted.size();
  RC_ASSERT(result.min == sorted.front());
  RC_ASSERT(result.max == sorted.back());
  RC_ASSERT(result.median ==
            (static_cast<double>(sorted[(n - 1) / 2]) + static_cast<double>(sorted[n / 2])) / 2);
  const auto not_above = std::upper_bound(sorted.begin(), sorted.end(), result.p99) - sorted.begin();
  const auto below = std::lower_bound(sorted.begin(), sorted.end(), result.p99) - sorted.begin();
  RC_ASSERT(static_cast<std::size_t>(not_above) * 100 >= n * 99);
  RC_ASSERT(static_cast<std::size_t>(below) * 100 < n * 99);
}

TEST(BytesText, Parses) {
  EXPECT_EQ(parse_bytes("0"), 0_B);
  EXPECT_EQ(parse_bytes("65536"), 64_KiB);
  for (const char* text : {"64K", "64k", "64KiB", "64kib"})
    EXPECT_EQ(parse_bytes(text), 64_KiB) << text;
  EXPECT_EQ(parse_bytes("2MiB"), 2_MiB);
  EXPECT_EQ(parse_bytes("3G"), 3_GiB);
  EXPECT_EQ(parse_bytes("1T"), 1_TiB);
  EXPECT_EQ(parse_bytes("18446744073709551615"), kMaxBytes);
}

TEST(BytesText, RefusesWhatIsNoNumberOfBytes) {
  for (const char* text :
       {"", "K", "-1", "+1", " 1", "1 ", "1 K", "1.5M", "0x10", "64KB", "64Ki", "64B", "1E",
        "18446744073709551616", "18014398509481984K", "16777216T", "9999999999999999999G"})
    EXPECT_FALSE(parse_bytes(text)) << text;
}

TEST(BytesText, Writes) {
  EXPECT_EQ(bytes_text(17_B), "17 B");
  EXPECT_EQ(bytes_text(64_KiB), "64.0 KiB");
  EXPECT_EQ(bytes_text(1536_KiB), "1.5 MiB");
  EXPECT_EQ(bytes_text(kMaxBytes), "16384.0 PiB");
}

}  // namespace
}  // namespace vaspace::tools
