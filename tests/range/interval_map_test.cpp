#include "vaspace/range/interval_map.hpp"

#include <concepts>
#include <cstdint>
#include <gtest/gtest.h>
#include <iterator>
#include <random>
#include <utility>
#include <vector>

#include "range/interval_map_model.hpp"
#include "range/requests.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

static_assert(std::movable<SmallMap> && !std::copyable<SmallMap>);
static_assert(std::input_iterator<SmallMap::Iterator>);

TEST(IntervalMap, EmptyMap) {
  LargeMap map;
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.begin(), map.end());
  EXPECT_EQ(map.lower_bound(5), map.end());
  EXPECT_FALSE(map.find(0));
  EXPECT_TRUE(map.erase(0, 10));
  EXPECT_EQ(map.validate(), nullptr);
  EXPECT_EQ(map.host_bytes(), 0_B);
}

//   |------a------|   assign over its middle:   |-a-|--b--|-a'|
TEST(IntervalMap, AssignLeavesTheRests) {
  LargeMap map;
  ASSERT_TRUE(map.assign(10, 30, {1, 100}));
  ASSERT_TRUE(map.assign(15, 20, {2, 0}));
  const std::vector<LargeMap::Entry> want{{10, 15, {1, 100}}, {15, 20, {2, 0}}, {20, 30, {1, 110}}};
  EXPECT_EQ(entries_of(map), want);
  ASSERT_TRUE(map.assign(15, 20, {1, 105}));
  EXPECT_EQ(entries_of(map), (std::vector<LargeMap::Entry>{{10, 30, {1, 100}}}))
      << "it continues on both sides";
  ASSERT_TRUE(map.erase(12, 14));
  EXPECT_EQ(entries_of(map), (std::vector<LargeMap::Entry>{{10, 12, {1, 100}}, {14, 30, {1, 104}}}));
  EXPECT_EQ(map.at(29), (Piece{1, 119}));
  EXPECT_FALSE(map.at(13));
  EXPECT_EQ((*map.lower_bound(12)).begin, 14U);
}

TEST(IntervalMap, ConstantValuesMergeWhereTheyAreEqual) {
  IntervalMap<int> map;
  ASSERT_TRUE(map.assign(0, 4, 7));
  ASSERT_TRUE(map.assign(8, 12, 7));
  EXPECT_EQ(map.size(), 2U);
  ASSERT_TRUE(map.assign(4, 8, 7));
  EXPECT_EQ(entries_of(map), (std::vector<IntervalMap<int>::Entry>{{0, 12, 7}}));
  ASSERT_TRUE(map.assign(4, 8, 8));
  EXPECT_EQ(map.size(), 3U);
}

TEST(IntervalMap, TheEndsOfTheAxis_R8) {
  constexpr std::uint64_t kEnd = ~0ULL;
  LargeMap map;
  EXPECT_EQ(error_of(map.assign(5, 5, {})), ErrorCode::invalid_size);
  EXPECT_EQ(error_of(map.assign(6, 5, {})), ErrorCode::invalid_size);
  EXPECT_EQ(error_of(map.assign(kEnd, kEnd, {})), ErrorCode::invalid_size);
  EXPECT_EQ(error_of(map.erase(kEnd, 0)), ErrorCode::invalid_size);
  EXPECT_TRUE(map.empty());
  ASSERT_TRUE(map.assign(0, kEnd, {1, 0}));
  ASSERT_TRUE(map.erase(1, kEnd - 1));
  EXPECT_EQ(entries_of(map), (std::vector<LargeMap::Entry>{{0, 1, {1, 0}}, {kEnd - 1, kEnd, {1, kEnd - 1}}}));
  EXPECT_EQ(map.find(kEnd - 1)->begin, kEnd - 1);
  EXPECT_FALSE(map.find(kEnd));
  EXPECT_EQ(map.lower_bound(kEnd), map.end());
  ASSERT_TRUE(map.erase(0, kEnd));
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.validate(), nullptr);
}

TEST(IntervalMap, Moves_R10) {
  test::TestHost host;
  {
    SmallMap from(host.allocator());
    for (std::uint64_t i = 0; i < 100; ++i)
      ASSERT_TRUE(from.assign(2 * i, 2 * i + 1, {1, 0}));
    SmallMap to = std::move(from);
    EXPECT_EQ(to.size(), 100U);
    from = SmallMap(host.allocator());
    ASSERT_TRUE(from.assign(0, 5, {2, 0}));
    to = std::move(from);
    EXPECT_EQ(to.size(), 1U);
    EXPECT_EQ(to.validate(), nullptr);
    to.clear();
    EXPECT_TRUE(to.empty());
    EXPECT_GT(host.bytes(), 0);
    to.release_spare();
    EXPECT_EQ(host.bytes(), 0) << "an empty map needs nothing";
    ASSERT_TRUE(to.assign(0, 5, {2, 0}));
    EXPECT_EQ(to.host_bytes(), Bytes{static_cast<std::uint64_t>(host.bytes())});
  }
  EXPECT_EQ(host.bytes(), 0);
}

// Every request to the host fails once: the operation that meets it changes nothing, and goes through
// afterwards.
TEST(IntervalMap, HostFailureAtEveryRequest_R7) {
  std::int64_t total = 0;
  for (std::int64_t n = 1; n == 1 || n <= total; ++n) {
    test::TestHost host;
    std::mt19937_64 random(5);
    {
      SmallMap map(host.allocator());
      PieceUnits units(300);
      if (total != 0) host.fail_at(n);
      int failures = 0;
      for (int i = 0; i < 250; ++i) {
        const PieceOp op = random_op(random, units.size());
        auto done = perform(map, op);
        if (!done) {
          ++failures;
          ASSERT_EQ(done.error().code, ErrorCode::out_of_host_memory);
          expect_same(map, units);
          done = perform(map, op);
        }
        ASSERT_TRUE(done);
        perform(units, op);
        if (i % 17 == 0) map.release_spare();
      }
      expect_same(map, units);
      if (total == 0) {
        total = host.requests();
        n = 0;
      } else {
        ASSERT_EQ(failures, 1) << n;
      }
    }
    ASSERT_EQ(host.bytes(), 0);
  }
  EXPECT_GT(total, 100);
}

TEST(IntervalMap, EraseNeedsNothingUnlessItSplits_R7) {
  test::TestHost host;
  SmallMap map(host.allocator());
  for (std::uint64_t i = 0; i < 80; i += 20)
    ASSERT_TRUE(map.assign(i, i + 10, {1, 0}));
  map.release_spare();
  host.fail_forever(true);
  host.fail_at(1);
  EXPECT_TRUE(map.erase(0, 2));
  EXPECT_TRUE(map.erase(8, 22));
  ASSERT_EQ(map.size(), 4U) << "a full node";
  const auto before = entries_of(map);
  EXPECT_EQ(error_of(map.erase(4, 5)), ErrorCode::out_of_host_memory);
  EXPECT_EQ(entries_of(map), before);
  EXPECT_TRUE(map.erase(0, 100));
  EXPECT_TRUE(map.empty());
}

// A rollback must not fail: what is prepared needs no host, whatever the operations are.
TEST(IntervalMap, PreparedOperationsCannotFail_R7) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    test::TestHost host;
    SmallMap map(host.allocator());
    PieceUnits units(2000);
    for (std::uint64_t i = 0; i < 4 * seed; ++i) {
      const PieceOp op = random_op(random, units.size());
      perform(units, op);
      ASSERT_TRUE(perform(map, op));
    }
    map.release_spare();
    const std::size_t k = random() % (seed % 4 == 0 ? 500 : 8);
    ASSERT_TRUE(map.prepare(k));
    const auto requests = host.requests();
    host.fail_forever(true);
    host.fail_at(1);
    ASSERT_LE(k, 500U);  // so that the pieces below fit
    for (std::size_t i = 0; i < k; ++i) {
      const PieceOp op = random() % 3 != 0 ? PieceOp{3 * i + 1, 3 * i + 2, Piece{9, random()}}
                                           : random_op(random, units.size());
      perform(units, op);
      ASSERT_TRUE(perform(map, op)) << "operation " << i << " of " << k << " prepared, seed " << seed;
    }
    EXPECT_EQ(host.requests(), requests);
    expect_same(map, units);
  }
}

// The worst for the nodes: each operation splits an interval in two, and each in turn leaves half full nodes
// behind.
TEST(IntervalMap, PreparedSplitsInARowCannotFail_R7) {
  for (const bool upwards : {true, false}) {
    test::TestHost host;
    SmallMap map(host.allocator());
    constexpr std::uint64_t kSplits = 500;
    ASSERT_TRUE(map.assign(0, 10 * kSplits, {1, 0}));
    ASSERT_TRUE(map.prepare(kSplits));
    host.fail_forever(true);
    host.fail_at(1);
    for (std::uint64_t i = 0; i < kSplits; ++i) {
      const std::uint64_t at = 10 * (upwards ? i : kSplits - 1 - i) + 3;
      ASSERT_TRUE(map.assign(at, at + 2, {2, i})) << "operation " << i;
    }
    EXPECT_EQ(map.size(), 2 * kSplits + 1);
    EXPECT_EQ(map.validate(), nullptr);
  }
}

TEST(IntervalMap, PrepareThatFailsChangesNothing_R7) {
  test::TestHost host;
  SmallMap map(host.allocator());
  ASSERT_TRUE(map.assign(0, 100, {1, 0}));
  const auto bytes = host.bytes();
  host.fail_at(5);
  EXPECT_FALSE(map.prepare(50));
  EXPECT_EQ(host.bytes(), bytes);
  EXPECT_FALSE(map.prepare(~std::size_t{0}));
  EXPECT_TRUE(map.prepare(0));
  EXPECT_EQ(map.validate(), nullptr);
}

}  // namespace
}  // namespace vaspace::test
