// The interval map against a value per point: many operations, and every state of six points.
#include "range/interval_map_model.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <gtest/gtest.h>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "support/property.hpp"

namespace vaspace::test {
namespace {

TEST(IntervalMap, ManyRandomOperations) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    std::mt19937_64 random(seed);
    SmallMap small;
    LargeMap large;
    PieceUnits units(600);
    for (int i = 0; i < 3000; ++i) {
      const PieceOp op = random_op(random, units.size());
      perform(units, op);
      ASSERT_TRUE(perform(small, op));
      ASSERT_TRUE(perform(large, op));
      expect_same(small, units);
      expect_same(large, units);
      if (i % 100 == 0) expect_same_lookups(small, units);
    }
    expect_same_lookups(large, units);
  }
}

RC_GTEST_PROP(IntervalMapProperty, AgreesWithAValuePerPoint, ()) {
  SmallMap map;
  PieceUnits units(60);
  const auto ops = *rc::gen::container<std::vector<std::tuple<std::uint64_t, std::uint64_t, int>>>(
      rc::gen::tuple(rc::gen::inRange<std::uint64_t>(0, 60), rc::gen::inRange<std::uint64_t>(1, 20),
                     rc::gen::inRange(0, 5)));
  for (const auto& [begin, length, what] : ops) {
    PieceOp op{begin, std::min<std::uint64_t>(60, begin + length), std::nullopt};
    if (what == 1) op.value = Piece{1, begin};
    if (what > 1) op.value = Piece{static_cast<std::uint32_t>(what), length % 3};
    perform(units, op);
    require(perform(map, op).has_value());
    expect_same(map, units);
    expect_same_lookups(map, units);
  }
}

// Breadth-first over every reachable state of 6 points and two values, one of which continues itself
// everywhere; every operation from each.
TEST(IntervalMap, EveryStateOfSixPoints) {
  const auto key_of = [](const PieceUnits& units) {
    std::string key;
    for (const auto& unit : units)
      key += unit ? static_cast<char>('a' + unit->object * 8 + unit->offset) : '.';
    return key;
  };
  std::vector<PieceOp> ops;
  for (std::uint64_t begin = 0; begin < 6; ++begin)
    for (std::uint64_t end = begin + 1; end <= 6; ++end)
      for (const auto& value : {std::optional<Piece>{}, {{0, begin}}, {{1, 0}}})
        ops.push_back({begin, end, value});
  std::set<std::string> seen{key_of(PieceUnits(6))};
  std::deque<PieceUnits> frontier{PieceUnits(6)};
  while (!frontier.empty()) {
    const PieceUnits from = frontier.front();
    frontier.pop_front();
    for (const PieceOp& op : ops) {
      SmallMap map;
      for (std::uint64_t i = 0; i < 6; ++i)
        require(!from[i] || map.assign(i, i + 1, *from[i]).has_value());
      PieceUnits to = from;
      perform(to, op);
      ASSERT_TRUE(perform(map, op));
      expect_same(map, to);
      if (seen.insert(key_of(to)).second) frontier.push_back(to);
    }
  }
  EXPECT_EQ(seen.size(), 3U * 4U * 5U * 6U * 7U * 8U) << "point n: nothing, a, or b from 0 to n";
}

}  // namespace
}  // namespace vaspace::test
