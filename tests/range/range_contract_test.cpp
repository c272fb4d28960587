// One contract suite for every range allocator, against the oracle after every operation.
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include "support/range_driver.hpp"

namespace vaspace::test {
namespace {

template <class Subject>
class RangeContract : public testing::Test {};
using Subjects = testing::Types<ObjectSubject, IndexedObjectSubject, SlabSubject, OddSlabSubject>;
TYPED_TEST_SUITE(RangeContract, Subjects);

RangeOp random_op(std::mt19937_64& random, std::uint64_t unit) {
  const auto pick = [&](std::uint64_t n) { return random() % n; };
  switch (pick(16)) {
    case 0:
      return {RangeOpKind::free_stale, pick(1000), 0};
    case 1:
      return {RangeOpKind::free_unknown, pick(40), random()};
    case 2:
      return {RangeOpKind::extend, pick(1000), pick(12 * unit)};
    case 3:
      return {RangeOpKind::shrink, pick(1000), pick(12 * unit)};
    case 4:
      return {RangeOpKind::find_at, pick(64 * unit), 0};
    case 5:
      return {pick(4) == 0 ? RangeOpKind::add_span : RangeOpKind::remove_span, pick(8), 0};
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
      return {RangeOpKind::free, pick(1000), 0};
    default:
      return {RangeOpKind::allocate, pick(6 * unit), pick(4) == 0 ? pick(12) : 0};
  }
}

// R1, R2, R3, R4, R6: every operation, everything compared.
TYPED_TEST(RangeContract, R1_R2_R3_R4_R6_EqualsTheOracleAfterEveryOperation) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    std::mt19937_64 random(seed);
    auto driver = TypeParam::make(40 + seed * 9);
    for (int i = 0; i < 1500; ++i) {
      const std::string wrong = driver.apply(random_op(random, TypeParam::kUnit));
      ASSERT_EQ(wrong, "") << "seed " << seed << ", operation " << i;
    }
    ASSERT_EQ(driver.free_all(), "");
  }
}

// The same where holes share bins: sizes of up to a thousand granules, and what they leave of each other.
TEST(RangeContractOfLargeHoles, R1_R2_R3_R4_EqualsTheOracleAfterEveryOperation) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    std::mt19937_64 random(seed);
    auto driver = ObjectSubject::make(3000 + 700 * seed);
    for (int i = 0; i < 2000; ++i) {
      const std::string wrong = driver.apply(random_op(random, 160 * ObjectSubject::kUnit));
      ASSERT_EQ(wrong, "") << "seed " << seed << ", operation " << i;
    }
    ASSERT_EQ(driver.free_all(), "");
  }
}

// R5 in many orders, and R3 at a full block: fill to the first refusal, free in a shuffled order.
TYPED_TEST(RangeContract, R5_FreeingAllInAnyOrderRestoresTheBlock) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    auto driver = TypeParam::make(64);
    for (int i = 0; i < 200; ++i) {
      ASSERT_EQ(driver.apply({RangeOpKind::allocate, 1 + random() % (4 * TypeParam::kUnit), 0}), "");
    }
    while (driver.live() != 0)
      ASSERT_EQ(driver.apply({RangeOpKind::free, random(), 0}), "");
    ASSERT_EQ(driver.free_all(), "");
    const Bytes all = driver.subject().largest_free();
    ASSERT_EQ(driver.apply({RangeOpKind::allocate, all.value, 0}), "");
  }
}

// R8: nothing wraps around at the edges of 64 bits.
TYPED_TEST(RangeContract, R8_EdgesGiveTypedErrors) {
  auto driver = TypeParam::make(8);
  auto& subject = driver.subject();
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  const auto code = [&](std::uint64_t size, std::uint64_t alignment) {
    const auto range = subject.allocate({Bytes{size}, Alignment{alignment}});
    EXPECT_FALSE(subject.can_allocate({Bytes{size}, Alignment{alignment}}));
    return range ? ErrorCode{} : range.error().code;
  };
  EXPECT_EQ(code(0, 1), ErrorCode::invalid_size);
  EXPECT_EQ(code(1, 0), ErrorCode::invalid_alignment);
  EXPECT_EQ(code(1, 3), ErrorCode::invalid_alignment);
  EXPECT_EQ(code(1, kMax), ErrorCode::invalid_alignment);
  for (const std::uint64_t size : {kMax, kMax - 1, kMax - 255, kMax / 2 + 1, std::uint64_t{1} << 63U}) {
    EXPECT_EQ(code(size, 1), ErrorCode::too_large) << size;
    EXPECT_EQ(code(size, std::uint64_t{1} << 63U), ErrorCode::too_large) << size;
  }
  EXPECT_EQ(code(1, std::uint64_t{1} << 63U), ErrorCode::too_large);
  EXPECT_EQ(code(1, std::uint64_t{1} << 12U), ErrorCode::too_large);  // an alignment above the block
  EXPECT_EQ(subject.report().used, Bytes{});
  EXPECT_EQ(driver.free_all(), "");
}

// R9: the same calls, the same places and the same handles' slots.
TYPED_TEST(RangeContract, R9_SameCallsSamePlacement) {
  const auto run = [] {
    std::mt19937_64 random(99);
    auto driver = TypeParam::make(50);
    std::string places;
    for (int i = 0; i < 600; ++i) {
      EXPECT_EQ(driver.apply(random_op(random, TypeParam::kUnit)), "");
      places += driver.draw() + "\n";
    }
    return places;
  };
  EXPECT_EQ(run(), run());
}

// R10: a moved allocator goes on; the one it came from can be destroyed or assigned to.
TYPED_TEST(RangeContract, R10_MovesWithItsLiveRanges) {
  auto driver = TypeParam::make(16);
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(driver.apply({RangeOpKind::allocate, 1, 0}), "");
  auto moved = std::move(driver.subject());
  driver.subject() = std::move(moved);
  ASSERT_EQ(driver.apply({RangeOpKind::free, 2, 0}), "");
  auto other = TypeParam::make(4);
  other.subject() = std::move(driver.subject());
  driver.subject() = std::move(other.subject());
  ASSERT_EQ(driver.apply({RangeOpKind::allocate, 1, 0}), "");
  ASSERT_EQ(driver.free_all(), "");
}

// R6: a handle of another allocator of the same kind and history is told from one's own.
TYPED_TEST(RangeContract, R6_ForeignHandlesAreUnknown) {
  auto one = TypeParam::make(16);
  auto two = TypeParam::make(16);
  const auto mine = one.subject().allocate({Bytes{1}, {}});
  const auto theirs = two.subject().allocate({Bytes{1}, {}});
  ASSERT_TRUE(mine && theirs);
  EXPECT_EQ(one.subject().try_free(theirs->id).error().code, ErrorCode::unknown_handle);
  EXPECT_TRUE(one.subject().find(mine->id));
  EXPECT_TRUE(one.subject().try_free(mine->id));
}

// R6: after a double free the slot is handed out again, and the old handle stays dead: 65,535 reuses.
TYPED_TEST(RangeContract, R6_StaleHandlesStayStaleOverManyReuses) {
  auto driver = TypeParam::make(4);
  auto& subject = driver.subject();
  const auto first = subject.allocate({Bytes{1}, {}});
  ASSERT_TRUE(first && subject.try_free(first->id));
  for (int i = 0; i < 65535; ++i) {
    EXPECT_EQ(subject.try_free(first->id).error().code, ErrorCode::stale_handle);
    const auto again = subject.allocate({Bytes{1}, {}});
    ASSERT_TRUE(again);
    ASSERT_FALSE(again->id == first->id) << i;
    ASSERT_EQ(subject.find(first->id).error().code, ErrorCode::stale_handle) << i;
    ASSERT_TRUE(subject.try_free(again->id));
  }
}

}  // namespace
}  // namespace vaspace::test
