#include "vaspace/range/radix_tree.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "vaspace/range/size_bins.hpp"

#include "range/radix_nodes.hpp"

namespace vaspace::test {
namespace {

using Tree = RadixTree<RadixNodes>;

void check(unsigned bits, std::uint64_t spread, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  RadixNodes nodes;
  std::uint32_t root = 0;
  std::map<std::uint64_t, std::uint32_t> model;
  const unsigned shift = 64 - bits;
  for (int i = 0; i < 4000; ++i) {
    const std::uint64_t key = (random() % spread) << shift;
    const std::uint64_t before = nodes.visits;
    if (const auto found = model.find(key); found != model.end()) {
      Tree::erase(nodes, root, found->second, key);
      model.erase(found);
    } else {
      nodes.nodes.push_back({key, {{99, 99}}});
      Tree::insert(nodes, root, static_cast<std::uint32_t>(nodes.nodes.size() - 1), key);
      model[key] = static_cast<std::uint32_t>(nodes.nodes.size() - 1);
    }
    ASSERT_LE(nodes.visits - before, bits + 2) << "more nodes than a path has bits";
    if (i % 64 == 0) {
      ASSERT_EQ(Tree::validate(nodes, root), nullptr);
    }
    const std::uint64_t at = (random() % spread) << shift;
    const auto next = model.lower_bound(at);
    ASSERT_EQ(Tree::lower_bound(nodes, root, at), next == model.end() ? 0 : next->second);
    const auto after = model.upper_bound(at);
    ASSERT_EQ(Tree::at_or_before(nodes, root, at), after == model.begin() ? 0 : std::prev(after)->second);
    ASSERT_EQ(root, model.empty() ? 0 : model.begin()->second) << "the smallest is not at the top";
    if (root != 0) {
      ASSERT_EQ(Tree::greatest(nodes, root), model.rbegin()->second);
    }
  }
  ASSERT_EQ(Tree::validate(nodes, root), nullptr);
}

TEST(RadixTree, EqualsAMapWithinTheBitBound) {
  check(64, ~std::uint64_t{0}, 1);
  check(20, 1U << 20U, 2);
  check(9, 1U << 9U, 3);  // dense: nearly every path is there at some time
  check(40, 1000, 4);     // paths that differ only in their last bits
  check(1, 2, 5);
}

// A corrupted tree is told: validate() can fail.
TEST(RadixTree, ValidateFindsDamage) {
  RadixNodes nodes;
  std::uint32_t root = 0;
  for (const std::uint64_t key : {8U, 3U, 12U, 5U, 9U}) {
    nodes.nodes.push_back({key << 60U, {}});
    Tree::insert(nodes, root, static_cast<std::uint32_t>(nodes.nodes.size() - 1), key << 60U);
  }
  ASSERT_EQ(Tree::validate(nodes, root), nullptr);
  std::swap(nodes.nodes[root].children.side[0], nodes.nodes[root].children.side[1]);
  EXPECT_NE(Tree::validate(nodes, root), nullptr);
}

TEST(SizeBins, RiseWithSizeAndDifferInTheirLowBitsOnly) {
  std::uint32_t last_bin = 0;
  std::uint32_t first_of_bin = 0;
  const auto look = [&](std::uint32_t size) {
    const std::uint32_t bin = size_bins::bin_of(size);
    ASSERT_GE(bin, last_bin);
    ASSERT_LT(bin, size_bins::kCount);
    if (bin != last_bin) first_of_bin = size;
    last_bin = bin;
    ASSERT_EQ(size >> size_bins::low_bits(bin), first_of_bin >> size_bins::low_bits(bin)) << size;
  };
  for (std::uint32_t size = 1; size < 100000; ++size)
    look(size);
  last_bin = 0;
  for (unsigned bit = 17; bit < 32; ++bit) {
    for (std::uint32_t i = 0; i < 16; ++i) {
      first_of_bin = (1U << bit) + i * (1U << (bit - 4));
      look(first_of_bin);
      look(first_of_bin + (1U << (bit - 4)) - 1);
    }
  }
}

}  // namespace
}  // namespace vaspace::test
