#include "vaspace/range/radix_directory.hpp"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <vector>

#include "range/radix_nodes.hpp"

namespace vaspace::test {
namespace {

// A directory, its memory, and what it should hold.
class Subject {
 public:
  Subject() { directory.make(); }

  void insert(std::uint64_t path) {
    nodes.nodes.push_back({path, {{99, 99}}});
    const auto node = static_cast<std::uint32_t>(nodes.nodes.size() - 1);
    wants_more = directory.insert(nodes, node);
    model[path] = node;
  }
  void erase(std::uint64_t path) {
    directory.erase(nodes, model.at(path));
    model.erase(path);
  }
  void rehouse(const RadixDirectory::Shape& shape) {
    std::vector<std::uint64_t> memory((shape.bytes() + 7) / 8, ~std::uint64_t{0});
    directory.rehouse(nodes, shape, memory.data());
    house.swap(memory);  // what it has left may be written over
    std::fill(memory.begin(), memory.end(), ~std::uint64_t{0});
  }
  void rehouse() { rehouse(directory.fitting_shape(nodes)); }

  // Empty, or what is wrong.
  std::string compare(std::uint64_t at) {
    if (const char* wrong = directory.validate(nodes); wrong != nullptr) return wrong;
    if (directory.empty() != model.empty()) return "empty";
    const auto next = model.lower_bound(at);
    if (directory.lower_bound(nodes, at) != (next == model.end() ? 0 : next->second)) return "lower_bound";
    if (directory.greatest(nodes) != (model.empty() ? 0 : model.rbegin()->second)) return "greatest";
    if (!model.empty() && directory.first() != model.begin()->second) return "first";
    return {};
  }

  RadixNodes nodes;
  RadixDirectory directory;
  std::vector<std::uint64_t> house;
  std::map<std::uint64_t, std::uint32_t> model;
  bool wants_more = false;
};

// Paths from `draw`, put in and taken out, with the shape renewed now and then, or never.
template <class Draw>
void equals_a_map(int operations, int rehouse_each, Draw&& draw) {
  std::mt19937_64 random(11);
  Subject subject;
  for (int i = 0; i < operations; ++i) {
    const std::uint64_t path = draw(random);
    if (subject.model.contains(path)) {
      subject.erase(path);
    } else if (random() % 5 == 0 && !subject.model.empty()) {
      ASSERT_EQ(subject.directory.take_first(subject.nodes), subject.model.begin()->second);
      subject.model.erase(subject.model.begin());
    } else {
      subject.insert(path);
    }
    if (rehouse_each != 0 && i % rehouse_each == rehouse_each - 1 && !subject.model.empty())
      subject.rehouse();
    ASSERT_EQ(subject.compare(draw(random)), "") << i;
  }
}

TEST(RadixDirectory, EqualsAMap) {
  const auto offsets = [](auto& random) { return random() % 3000 << 32U; };
  equals_a_map(3000, 0, offsets);
  equals_a_map(3000, 1, offsets);
  equals_a_map(3000, 97, offsets);
  equals_a_map(3000, 50, [](auto& random) { return random(); });
  // Equal but for the last bits, at both ends of the axis.
  equals_a_map(2000, 60, [](auto& random) { return random() % 200; });
  equals_a_map(2000, 60, [](auto& random) { return ~std::uint64_t{0} - random() % 200; });
  // Two heaps far apart.
  equals_a_map(2000, 60, [](auto& random) { return (random() % 2 << 63U) | random() % 500; });
}

// What lies beyond the shape goes into the outer slots, in order.
TEST(RadixDirectory, PathsOutsideItsShapeAreInOrderToo) {
  Subject subject;
  for (std::uint64_t i = 0; i < 40; ++i)
    subject.insert((1000 + i) << 32U);
  subject.rehouse();
  ASSERT_GT(subject.directory.shape().last, 0U);
  std::mt19937_64 random(5);
  for (int i = 0; i < 600; ++i) {
    const std::uint64_t path = random() % 3000 << 32U;
    if (subject.model.contains(path)) {
      subject.erase(path);
    } else {
      subject.insert(path);
    }
    ASSERT_EQ(subject.compare(random() % 3000 << 32U), "");
  }
}

// It says when another shape would be faster, and with that an operation looks at a node or two, however many
// there are; without, at no more than a path has bits.
TEST(RadixDirectory, AShapeThatFitsKeepsTreesShallow) {
  std::mt19937_64 random(3);
  Subject subject;
  bool crowded = false;
  while (subject.model.size() < 3000) {
    const std::uint64_t path = (5000 + random() % 10000) << 38U;
    if (subject.model.contains(path)) continue;
    subject.nodes.visits = 0;
    subject.insert(path);
    ASSERT_LE(subject.nodes.visits, 65U);
    crowded = crowded || subject.wants_more;
  }
  EXPECT_TRUE(crowded);
  subject.rehouse();
  EXPECT_GT(subject.directory.room(), 0);
  subject.nodes.visits = 0;
  for (int i = 0; i < 10000; ++i) {
    const std::uint64_t path = (5000 + random() % 10000) << 38U;
    if (subject.model.contains(path)) {
      subject.erase(path);
    } else {
      subject.insert(path);
    }
  }
  EXPECT_LE(subject.nodes.visits, 25000U);
  EXPECT_FALSE(subject.wants_more);
}

// Two heaps far apart by turns: it does not move all nodes each time.
TEST(RadixDirectory, WhatComesAndGoesDoesNotMakeItMoveEachTime) {
  Subject subject;
  for (std::uint64_t i = 0; i < 1000; ++i)
    subject.insert((i * 5) << 32U);
  subject.rehouse();
  std::uint64_t moved = 0;
  std::uint64_t asked = 0;
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t far = std::uint64_t{round % 2 == 0} << 62U;
    for (std::uint64_t i = 1; i < 30; ++i) {
      subject.insert(far | i);
      if (!subject.wants_more) continue;
      ++asked;
      const auto shape = subject.directory.better_shape(subject.nodes);
      if (shape == subject.directory.shape()) continue;
      moved += subject.model.size();
      subject.rehouse(shape);
    }
    ASSERT_EQ(subject.compare(far), "");
    for (std::uint64_t i = 1; i < 30; ++i)
      subject.erase(far | i);
  }
  EXPECT_GT(asked, 0U);
  EXPECT_LE(moved, 2 * asked + 1100);
}

TEST(RadixDirectory, ReplacesOnlyWhatIsAlone) {
  Subject subject;
  subject.insert(5);
  subject.nodes.nodes.push_back({4, {{99, 99}}});
  EXPECT_FALSE(subject.directory.is_only(subject.nodes, 2));
  ASSERT_TRUE(subject.directory.is_only(subject.nodes, 1));
  subject.directory.replace_only(subject.nodes, 2);
  EXPECT_EQ(subject.directory.first(), 2U);
  EXPECT_EQ(subject.directory.validate(subject.nodes), nullptr);
  subject.insert(6);
  EXPECT_FALSE(subject.directory.is_only(subject.nodes, 2));
}

// validate() can fail.
TEST(RadixDirectory, ValidateFindsDamage) {
  Subject subject;
  for (std::uint64_t i = 0; i < 300; ++i)
    subject.insert((i * 7) << 40U);
  subject.rehouse();
  ASSERT_EQ(subject.directory.validate(subject.nodes), nullptr);
  const std::uint32_t node = subject.model[7ULL * 20 << 40U];
  subject.nodes.nodes[node].path = 7ULL * 250 << 40U;
  EXPECT_STREQ(subject.directory.validate(subject.nodes), "a node is not in its slot");
  subject.nodes.nodes[node].path = 7ULL * 20 << 40U;
  subject.house[0] ^= std::uint64_t{1} << 63U;
  EXPECT_NE(subject.directory.validate(subject.nodes), nullptr);
}

}  // namespace
}  // namespace vaspace::test
