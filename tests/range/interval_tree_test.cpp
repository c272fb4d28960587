#include "vaspace/range/interval_tree.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace vaspace {
namespace {

// The tree alone: in order, against the order and at random, up and down again, at every node half full or
// more.
TEST(IntervalTree, GrowsAndShrinksInAnyOrder) {
  using Tree = IntervalTree<int, 64>;
  for (int order = 0; order < 3; ++order) {
    Tree tree(default_host_allocator());
    std::vector<std::uint64_t> begins(1000);
    for (std::uint64_t i = 0; i < begins.size(); ++i)
      begins[i] = order == 1 ? 10 * (begins.size() - i) : 10 * i;
    std::mt19937_64 random(3);
    if (order == 2) std::shuffle(begins.begin(), begins.end(), random);
    for (const std::uint64_t begin : begins) {
      ASSERT_TRUE(tree.prepare(1));
      tree.insert(begin, begin + 5, 1);
      ASSERT_EQ(tree.validate(), nullptr);
    }
    EXPECT_GE(tree.levels(), 5U);
    if (order == 2) std::shuffle(begins.begin(), begins.end(), random);
    const std::size_t total = tree.nodes() + tree.spare();
    for (const std::uint64_t begin : begins) {
      const auto at = tree.floor(begin + 3);
      ASSERT_EQ(at.begin(), begin);
      tree.remove(at, 1);
      ASSERT_EQ(tree.validate(), nullptr);
    }
    EXPECT_EQ(tree.nodes(), 0U);
    EXPECT_EQ(tree.spare(), total) << "nothing is given back unasked";
  }
}

TEST(IntervalTree, ValidateSeesWhatIsWrong) {
  using Tree = IntervalTree<int, 64>;
  const auto grown = [] {
    Tree tree(default_host_allocator());
    EXPECT_TRUE(tree.prepare(40));
    for (std::uint64_t i = 0; i < 40; ++i)
      tree.insert(10 * i, 10 * i + 5, 1);
    return tree;
  };
  Tree overlap = grown();
  overlap.floor(100).end() = 111;
  EXPECT_NE(overlap.validate(), nullptr);
  Tree empty_entry = grown();
  empty_entry.floor(100).end() = 100;
  EXPECT_NE(empty_entry.validate(), nullptr);
  Tree out_of_order = grown();
  out_of_order.first().next().leaf->begin[1] = 399;
  EXPECT_NE(out_of_order.validate(), nullptr);
  Tree chain = grown();
  auto* second = chain.first().leaf->next;
  chain.first().leaf->next = second->next;
  EXPECT_NE(chain.validate(), nullptr);
  chain.first().leaf->next = second;
  EXPECT_EQ(chain.validate(), nullptr);
  Tree thin = grown();
  thin.first().leaf->count = 1;
  EXPECT_NE(thin.validate(), nullptr);
  thin.first().leaf->count = 2;
  EXPECT_EQ(thin.validate(), nullptr);
}

}  // namespace
}  // namespace vaspace
