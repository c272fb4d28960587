// What a look-up and a plan cost as the map grows: nodes counted, times printed and not judged.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <gtest/gtest.h>
#include <vector>

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
  for (const std::uint64_t n : {1'000ULL, 10'000ULL, 100'000ULL}) {
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

struct Sum {
  std::uint64_t value = 0;
};

template <class Look>
double ns_per_look_up(const std::vector<std::uint64_t>& where, Sum& sum, Look&& look) {
  double best = 1e9;
  for (int round = 0; round < 3; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (const std::uint64_t at : where)
      sum.value += look(at);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    best = std::min(best, took.count() / static_cast<double>(where.size()));
  }
  return best;
}

TEST(VaSpaceScale, LookUpsAndPlansBesideAFlatSortedTable) {
  struct Row {
    std::uint64_t begin, end;
    Mapping mapping;
  };
  PlanShape shape;
  shape.page = Bytes{kPage};
  for (const std::uint64_t n : {1'000ULL, 10'000ULL, 100'000ULL, 1'000'000ULL}) {
    AddressMap map;
    std::vector<Row> flat;
    for (std::uint64_t i = 0; i < n; ++i) {
      ASSERT_TRUE(map.assign(address_of(i), address_of(i) + kPage, mapping_of(i)));
      flat.push_back({address_of(i), address_of(i) + kPage, mapping_of(i)});
    }
    std::vector<std::uint64_t> where;
    std::uint64_t state = 1;
    for (int i = 0; i < 20'000; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      where.push_back(address_of((state >> 20U) % n));
    }
    Sum tree_sum, flat_sum;
    const double in_map = ns_per_look_up(where, tree_sum, [&](std::uint64_t at) {
      const auto found = map.find(at);
      return found ? found->value.physical.value : 0;
    });
    const double in_flat = ns_per_look_up(where, flat_sum, [&](std::uint64_t at) {
      const auto above = std::upper_bound(flat.begin(), flat.end(), at,
                                          [](std::uint64_t a, const Row& row) { return a < row.begin; });
      return above == flat.begin() || std::prev(above)->end <= at ? 0
                                                                  : std::prev(above)->mapping.physical.value;
    });
    EXPECT_EQ(tree_sum.value, flat_sum.value);
    const TornMap torn;
    Sum ops;
    const double planned = ns_per_look_up(where, ops, [&](std::uint64_t at) {
      BindPlan plan(default_host_allocator());
      const Planner planner(map, torn, shape);
      const bool made =
          planner.plan(at, at + 2 * kPage, Mapping{PhysicalId{1}, {}, Backing::memory}, plan).has_value();
      return made ? plan.unbinds().size() + plan.binds().size() : 1000;
    });
    EXPECT_LE(ops.value, 3 * 2 * where.size()) << "two ops each, however large the map is";
    std::printf("  %8llu mappings: look-up %6.1f ns, flat sorted table %6.1f ns (%.2f x), plan %6.1f ns\n",
                (unsigned long long)n, in_map, in_flat, in_map / in_flat, planned);
  }
}

}  // namespace
}  // namespace vaspace::test
