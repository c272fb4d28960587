// What a look-up and a plan cost as the map grows, in nodes and in what is asked of the driver.
#include <algorithm>
#include <cstdio>
#include <gtest/gtest.h>

#include "vaspace/va/va_space.hpp"

namespace vaspace::test {
namespace {

constexpr std::uint64_t kPage = 65536;
// As AddressMap has it.
using Tree = IntervalTree<Mapping, 512>;

// Every other page mapped, each to an object of its own, so that nothing merges.
constexpr std::uint64_t address_of(std::uint64_t i) {
  return (1ULL << 40U) + i * 2 * kPage;
}
Mapping mapping_of(std::uint64_t i) {
  return {PhysicalId{i + 1}, {}, Backing::memory};
}

// A look-up goes down one node per level, and searches a node by halves.
TEST(VaSpaceScale, LevelsGrowWithTheLogarithmOfTheMappings) {
  for (const std::uint64_t n : {1'000ULL, 10'000ULL, 100'000ULL, 1'000'000ULL}) {
    Tree tree(default_host_allocator());
    for (std::uint64_t i = 0; i < n; ++i) {
      ASSERT_TRUE(tree.prepare(1));
      tree.insert(address_of(i), address_of(i) + kPage, mapping_of(i));
    }
    std::size_t most = 1;
    for (std::uint64_t leaves = n / Tree::kLeafMin; leaves > 1; leaves /= Tree::kInnerMin)
      ++most;
    std::printf("  %8llu mappings: %zu levels, at most %zu\n", (unsigned long long)n, tree.levels(), most);
    EXPECT_LE(tree.levels(), most);
  }
}

// What a map and an unmap do to the tree: an interval that is cut in two, and the rest put back. Each goes
// down the levels once and makes or frees at most a node of each, however many mappings there are.
TEST(VaSpaceScale, AMapAndAnUnmapMakeAndFreeAtMostANodeALevel) {
  for (const std::uint64_t n : {1'000ULL, 10'000ULL, 100'000ULL, 1'000'000ULL}) {
    Tree tree(default_host_allocator());
    for (std::uint64_t i = 0; i < n; ++i) {
      ASSERT_TRUE(tree.prepare(1));
      tree.insert(address_of(i), address_of(i) + kPage, mapping_of(i));
    }
    std::uint64_t state = 1;
    std::size_t most = 0;
    for (int i = 0; i < 20'000; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      const std::uint64_t at = address_of((state >> 20U) % n) + kPage;
      const std::size_t levels = tree.levels();
      ASSERT_TRUE(tree.prepare(1));
      const std::size_t before = tree.nodes();
      const bool there = tree.floor(at).begin() == at;
      if (there) {
        tree.remove(tree.floor(at), 1);
      } else {
        tree.insert(at, at + kPage, mapping_of(n + at / kPage));
      }
      const std::size_t changed = there ? before - tree.nodes() : tree.nodes() - before;
      ASSERT_LE(changed, levels + 1);
      most = std::max(most, changed);
    }
    std::printf(
        "  %8llu mappings: %zu levels, at most %zu nodes made or freed by one of 20000 maps and unmaps\n",
        (unsigned long long)n, tree.levels(), most);
    ASSERT_EQ(tree.validate(), nullptr);
  }
}

// `vaspace bench --only map` measures what these cost.
TEST(VaSpaceScale, APlanAsksForTwoOpsHoweverLargeTheMapIs) {
  PlanShape shape;
  shape.page = Bytes{kPage};
  const TornMap torn;
  for (const std::uint64_t n : {1'000ULL, 100'000ULL}) {
    AddressMap map;
    for (std::uint64_t i = 0; i < n; ++i)
      ASSERT_TRUE(map.assign(address_of(i), address_of(i) + kPage, mapping_of(i)));
    const Planner planner(map, torn, shape);
    BindPlan plan(default_host_allocator());
    for (std::uint64_t i = 0; i < n; i += n / 97) {
      ASSERT_EQ(map.find(address_of(i))->value.physical.value, i + 1);
      ASSERT_FALSE(map.find(address_of(i) + kPage));
      ASSERT_TRUE(planner.plan(address_of(i), address_of(i) + 2 * kPage,
                               Mapping{PhysicalId{n + 1}, {}, Backing::memory}, plan));
      EXPECT_EQ(plan.unbinds().size(), 1U);
      EXPECT_EQ(plan.binds().size(), 1U);
    }
  }
}

}  // namespace
}  // namespace vaspace::test
