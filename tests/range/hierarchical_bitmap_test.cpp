#include "vaspace/range/hierarchical_bitmap.hpp"

#include <gtest/gtest.h>
#include <random>
#include <set>

#include "support/host.hpp"

namespace vaspace::test {
namespace {

constexpr std::uint32_t kNone = HierarchicalBitmap::kNone;

// Against std::set, at sizes on both sides of every level's edge.
TEST(HierarchicalBitmap, EqualsASet) {
  for (const std::uint32_t size : {1U, 63U, 64U, 65U, 4095U, 4096U, 4097U, 262144U, 262145U}) {
    std::mt19937_64 random(size);
    HierarchicalBitmap bitmap(default_host_allocator());
    ASSERT_TRUE(bitmap.grow(size));
    std::set<std::uint32_t> model;
    for (int i = 0; i < 3000; ++i) {
      const auto at = static_cast<std::uint32_t>(random() % size);
      if (random() % 2 == 0) {
        bitmap.set(at);
        model.insert(at);
      } else {
        bitmap.clear(at);
        model.erase(at);
      }
      const auto from = static_cast<std::uint32_t>(random() % size);
      const auto next = model.lower_bound(from);
      ASSERT_EQ(bitmap.find_from(from), next == model.end() ? kNone : *next);
      ASSERT_EQ(bitmap.find_first(), model.empty() ? kNone : *model.begin());
      ASSERT_EQ(bitmap.find_last(), model.empty() ? kNone : *model.rbegin());
      ASSERT_EQ(bitmap.test(at), model.contains(at));
    }
    ASSERT_EQ(bitmap.count(), model.size());
    ASSERT_EQ(bitmap.validate(), nullptr);
    EXPECT_EQ(bitmap.find_from(size), kNone);
  }
}

TEST(HierarchicalBitmap, GrowsWithItsMembers) {
  HierarchicalBitmap bitmap(default_host_allocator());
  EXPECT_EQ(bitmap.find_first(), kNone);
  std::set<std::uint32_t> model;
  for (std::uint32_t size = 1; size < 300000; size = size * 3 / 2 + 1) {
    ASSERT_TRUE(bitmap.grow(size));
    ASSERT_EQ(bitmap.validate(), nullptr);
    bitmap.set(size - 1);
    model.insert(size - 1);
    std::uint32_t at = bitmap.find_first();
    for (const std::uint32_t member : model) {
      ASSERT_EQ(at, member);
      at = bitmap.find_from(at + 1);
    }
    ASSERT_EQ(at, kNone);
  }
}

TEST(HierarchicalBitmap, RangesEqualTheirMembersOneByOne) {
  for (const std::uint32_t size : {1U, 64U, 65U, 4097U, 20000U}) {
    std::mt19937_64 random(size);
    HierarchicalBitmap ranges(default_host_allocator());
    HierarchicalBitmap singles(default_host_allocator());
    ASSERT_TRUE(ranges.grow(size) && singles.grow(size));
    for (int i = 0; i < 300; ++i) {
      const auto begin = static_cast<std::uint32_t>(random() % size);
      const auto end = begin + 1 + static_cast<std::uint32_t>(random() % (size - begin));
      const bool set = random() % 2 == 0;
      set ? ranges.set_range(begin, end) : ranges.clear_range(begin, end);
      for (std::uint32_t at = begin; at < end; ++at)
        set ? singles.set(at) : singles.clear(at);
      ASSERT_EQ(ranges.validate(), nullptr);
      ASSERT_EQ(ranges.count(), singles.count());
      ASSERT_EQ(ranges.find_first(), singles.find_first());
      ASSERT_EQ(ranges.find_from(begin), singles.find_from(begin));
      ASSERT_EQ(ranges.find_last(), singles.find_last());
    }
  }
}

TEST(HierarchicalBitmap, R7_AFailedGrowthChangesNothing) {
  for (int nth = 1; nth <= 5; ++nth) {
    TestHost host;
    HierarchicalBitmap bitmap(host.allocator());
    ASSERT_TRUE(bitmap.grow(100));
    bitmap.set(99);
    host.fail_at(nth);
    const bool grown = bitmap.grow(300000);
    EXPECT_EQ(grown, nth == 5);  // four levels, a request each
    EXPECT_EQ(bitmap.size(), grown ? 300000U : 100U);
    EXPECT_EQ(bitmap.find_first(), 99U);
    EXPECT_EQ(bitmap.validate(), nullptr);
  }
}

}  // namespace
}  // namespace vaspace::test
