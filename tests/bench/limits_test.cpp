#include "bench/limits.hpp"

#include <gtest/gtest.h>
#include <set>

namespace vaspace::tools::bench {
namespace {

template <class Limit>
class Limits : public ::testing::Test {};
using All = ::testing::Types<Lifo, LifoWithMutex, OneLevelBitmap>;
TYPED_TEST_SUITE(Limits, All);

TYPED_TEST(Limits, HandOutEverySlotOnceAndThenRefuse) {
  TypeParam limit(128, 1024);
  std::set<std::uint64_t> offsets;
  std::vector<RangeId> held;
  for (int i = 0; i < 128; ++i) {
    const Result<Range> range = limit.allocate({1_KiB});
    ASSERT_TRUE(range);
    EXPECT_EQ(range->offset.value % 1024, 0U);
    offsets.insert(range->offset.value);
    held.push_back(range->id);
  }
  EXPECT_EQ(offsets.size(), 128U);
  EXPECT_FALSE(limit.allocate({1_KiB}));
  for (int turn = 0; turn < 3; ++turn) {
    for (const std::size_t at : {5U, 77U, 127U}) {
      ASSERT_TRUE(limit.try_free(held[at]));
      const Result<Range> again = limit.allocate({1_KiB});
      ASSERT_TRUE(again);
      EXPECT_EQ(again->id, held[at]);
    }
  }
  EXPECT_FALSE(limit.allocate({1_KiB}));
}

TEST(Lifo, GivesTheLastOneBackFirst) {
  Lifo limit(4, 16);
  const RangeId a = limit.allocate({})->id, b = limit.allocate({})->id;
  ASSERT_TRUE(limit.try_free(a));
  ASSERT_TRUE(limit.try_free(b));
  EXPECT_EQ(limit.allocate({})->id, b);
  EXPECT_EQ(limit.allocate({})->id, a);
}

}  // namespace
}  // namespace vaspace::tools::bench
