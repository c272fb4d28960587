// Every range allocator against the oracle: whatever rapidcheck thinks up, and every layout of eight units.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <set>
#include <string>
#include <vector>

#include "support/range_driver.hpp"

namespace vaspace::test {
namespace {

// A property over whatever rapidcheck thinks up, which it then shrinks.
RC_GTEST_PROP(RangeProperty, R1_R2_R3_R4_ObjectEqualsTheOracle, (const std::vector<std::uint8_t>& bytes)) {
  auto driver = ObjectSubject::make(37);
  for (const RangeOp& op : decode_range_ops(bytes.data(), bytes.size()))
    RC_ASSERT(driver.apply(op) == "");
  RC_ASSERT(driver.free_all() == "");
}
RC_GTEST_PROP(RangeProperty, R1_R2_R3_R4_SlabEqualsTheOracle, (const std::vector<std::uint8_t>& bytes)) {
  auto driver = SlabSubject::make(37);
  for (const RangeOp& op : decode_range_ops(bytes.data(), bytes.size()))
    RC_ASSERT(driver.apply(op) == "");
  RC_ASSERT(driver.free_all() == "");
}

// Breadth-first over every reachable layout of a block of 8 units, every operation from each.
template <class Subject>
std::size_t explore(std::uint64_t units) {
  using Path = std::vector<RangeOp>;
  std::set<std::string> seen;
  std::deque<Path> queue{{}};
  const auto replay = [&](const Path& path) {
    auto driver = Subject::make(units);
    for (const RangeOp& op : path)
      EXPECT_EQ(driver.apply(op), "");
    return driver;
  };
  seen.insert(replay({}).draw());
  while (!queue.empty() && !testing::Test::HasFailure()) {
    const Path path = queue.front();
    queue.pop_front();
    std::vector<RangeOp> next;
    for (std::uint64_t size = 0; size <= units + 1; ++size) {
      for (std::uint64_t log = 0; log <= 4; ++log) {
        next.push_back({RangeOpKind::allocate, size * Subject::kUnit, log + (Subject::kUnit > 1 ? 3U : 0U)});
      }
    }
    const std::size_t live = replay(path).live();
    for (std::uint64_t i = 0; i < live; ++i) {
      next.push_back({RangeOpKind::free, i, 0});
      for (std::uint64_t size = 1; size <= units; ++size) {
        next.push_back({RangeOpKind::extend, i, size * Subject::kUnit});
        next.push_back({RangeOpKind::shrink, i, size * Subject::kUnit});
      }
    }
    for (const RangeOp& op : next) {
      auto driver = replay(path);
      EXPECT_EQ(driver.apply(op), "");
      if (!seen.insert(driver.draw()).second) continue;
      Path longer = path;
      longer.push_back(op);
      queue.push_back(longer);
    }
  }
  return seen.size();
}
TEST(RangeExhaustive, R1_R2_R3_R4_EveryStateOfEightUnitsObject) {
  // Every tiling of n units into live ranges and holes of which no two neighbours are both free: the
  // Fibonacci number F(2n + 1).
  EXPECT_EQ(explore<IndexedObjectSubject>(8), 1597U);
}
TEST(RangeExhaustive, R1_R2_R3_R4_EveryStateOfEightSlotsSlab) {
  EXPECT_EQ(explore<SlabSubject>(8), 256U);
}

}  // namespace
}  // namespace vaspace::test
