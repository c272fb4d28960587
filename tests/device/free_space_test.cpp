// The structures under the backends' books, each against a naive oracle.
#include "vaspace/device/free_space.hpp"

#include <gtest/gtest.h>
#include <map>
#include <vector>

#include "vaspace/device/interval_treap.hpp"

#include "support/host.hpp"
#include "support/property.hpp"

namespace vaspace::test {
namespace {

using Treap = IntervalTreap<std::uint32_t>;
using Step = std::tuple<std::uint8_t, std::uint8_t, std::uint8_t>;

constexpr std::uint64_t kPoints = 64;

// Begin to end.
using Oracle = std::map<std::uint64_t, std::uint64_t>;

void compare(const Treap& treap, const Oracle& oracle) {
  require(treap.validate());
  require(treap.size() == oracle.size());
  for (std::uint64_t point = 0; point < kPoints; ++point) {
    const auto after = oracle.upper_bound(point);
    const auto at_or_after = oracle.lower_bound(point);
    const Treap::Interval* floor = treap.floor(point);
    require((floor == nullptr) == (after == oracle.begin()));
    if (floor != nullptr)
      require(floor->begin == std::prev(after)->first && floor->end == std::prev(after)->second);
    const Treap::Interval* ceiling = treap.ceiling(point);
    require((ceiling == nullptr) == (at_or_after == oracle.end()));
    if (ceiling != nullptr) require(ceiling->begin == at_or_after->first);
    const bool inside = after != oracle.begin() && std::prev(after)->second > point;
    require((treap.containing(point) != nullptr) == inside);
  }
}

RC_GTEST_PROP(IntervalTreapTest, AnswersWhatASortedMapAnswers, (const std::vector<Step>& steps)) {
  Treap treap(default_host_allocator());
  Oracle oracle;
  for (const auto& [what, where, length] : steps) {
    const std::uint64_t begin = where % kPoints;
    const std::uint64_t end = begin + 1 + length % 7;
    const auto next = oracle.lower_bound(begin);
    if (what % 3 == 0 && next != oracle.end()) {
      treap.erase(next->first);
      oracle.erase(next);
    } else if (what % 3 == 1 && next != oracle.end() && next->second - next->first > 1) {
      treap.replace(next->first, {next->first + 1, next->second, 1});
      oracle[next->first + 1] = next->second;
      oracle.erase(next);
    } else {
      const bool free = (next == oracle.end() || next->first >= end) &&
                        (next == oracle.begin() || std::prev(next)->second <= begin);
      require(treap.overlaps(begin, end) == !free);
      if (!free) continue;
      require(treap.reserve(treap.size() + 1));
      treap.insert({begin, end, 0});
      oracle[begin] = end;
    }
    compare(treap, oracle);
  }
}

// What is free, point by point.
class Line {
 public:
  [[nodiscard]] bool free(std::uint64_t begin, std::uint64_t end) const {
    for (std::uint64_t point = begin; point < end; ++point)
      if (point >= kPoints || taken_[point]) return false;
    return true;
  }
  void set(std::uint64_t begin, std::uint64_t end, bool taken) {
    for (std::uint64_t point = begin; point < end; ++point)
      taken_[point] = taken;
  }
  [[nodiscard]] std::optional<std::uint64_t> lowest(std::uint64_t size, std::uint64_t alignment,
                                                    std::uint64_t from) const {
    for (std::uint64_t begin = 0; begin < kPoints; begin += alignment)
      if (begin >= from && free(begin, begin + size)) return begin;
    return std::nullopt;
  }
  [[nodiscard]] std::size_t ranges() const {
    std::size_t count = 0;
    for (std::uint64_t point = 0; point < kPoints; ++point)
      if (!taken_[point] && (point == 0 || taken_[point - 1])) ++count;
    return count;
  }

 private:
  std::vector<bool> taken_ = std::vector<bool>(kPoints, false);
};

RC_GTEST_PROP(FreeSpaceTest, R2_R9_TakesTheLowestThatFitsAndCoalesces, (const std::vector<Step>& steps)) {
  TestHost host;
  FreeSpace space(host.allocator());
  require(space.open(0, kPoints));
  Line line;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> held;
  for (const auto& [what, where, length] : steps) {
    const std::uint64_t size = 1 + length % 9;
    if (what % 3 == 0 && !held.empty()) {
      const std::size_t which = where % held.size();
      const auto [begin, end] = held[which];
      const std::int64_t requests = host.requests();
      space.give(begin, Bytes{end - begin});
      require(host.requests() == requests, "giving back asked for host memory");
      line.set(begin, end, false);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
    } else if (what % 3 == 1) {
      require(space.reserve(1));
      const std::uint64_t begin = where % kPoints;
      const bool expected = line.free(begin, begin + size);
      require(space.is_free(begin, Bytes{size}) == expected);
      require(space.take_at(begin, Bytes{size}) == expected);
      if (!expected) continue;
      line.set(begin, begin + size, true);
      held.emplace_back(begin, begin + size);
    } else {
      const std::uint64_t alignment = 1ULL << (where % 4);
      const std::uint64_t from = where % 16;
      require(space.reserve(1));
      const auto expected = line.lowest(size, alignment, from);
      require(space.take_lowest(Bytes{size}, Alignment{alignment}, from) == expected);
      if (!expected) continue;
      line.set(*expected, *expected + size, true);
      held.emplace_back(*expected, *expected + size);
    }
    require(space.validate());
    require(space.range_count() == line.ranges(), "free neighbours did not coalesce");
  }
}

TEST(FreeSpaceTest, R7_PiecesOfOneTakeComeBackOneByOneWithoutHostMemory) {
  TestHost host;
  FreeSpace space(host.allocator());
  ASSERT_TRUE(space.open(0, 1000));
  ASSERT_TRUE(space.reserve(100));
  ASSERT_EQ(space.take_lowest(1000_B, Alignment{1}, 0, 100), 0U);
  host.fail_forever(true);
  host.fail_at(1);
  for (std::uint64_t piece = 0; piece < 100; piece += 2)
    space.give(piece * 10, 10_B);
  EXPECT_EQ(space.range_count(), 50U);
  for (std::uint64_t piece = 1; piece < 100; piece += 2)
    space.give(piece * 10, 10_B);
  EXPECT_EQ(space.range_count(), 1U);
  EXPECT_TRUE(space.is_free(0, 1000_B));
}

TEST(FreeSpaceTest, R8_TheEdgeOf64BitsDoesNotWrap) {
  FreeSpace space(default_host_allocator());
  ASSERT_TRUE(space.open(64, ~0ULL));
  ASSERT_TRUE(space.reserve(2));
  EXPECT_EQ(space.take_lowest(kMaxBytes, Alignment{1}), std::nullopt);
  EXPECT_EQ(space.take_lowest(1_B, Alignment{1ULL << 63U}), 1ULL << 63U);
  EXPECT_EQ(space.take_lowest(1_B, Alignment{1ULL << 63U}), std::nullopt);
  EXPECT_FALSE(space.take_at(~0ULL, 1_B));
  EXPECT_FALSE(space.take_at(~0ULL - 8, 9_B));
  EXPECT_TRUE(space.take_at(~0ULL - 8, 8_B));
}

}  // namespace
}  // namespace vaspace::test
