#include "vaspace/range/interval_map.hpp"

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <deque>
#include <gtest/gtest.h>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "support/host.hpp"
#include "support/property.hpp"

namespace vaspace {
namespace {

using test::require;

// A piece of an object: it continues where the next piece of the same object follows.
struct Piece {
  std::uint32_t object = 0;
  std::uint64_t offset = 0;

  friend bool operator==(const Piece&, const Piece&) noexcept = default;
};
struct PieceTraits {
  static Piece advance(const Piece& piece, std::uint64_t n) noexcept {
    return {piece.object, piece.offset + n};
  }
  static bool continues(const Piece& left, std::uint64_t length, const Piece& right) noexcept {
    return right == advance(left, length);
  }
};

using Small = IntervalMap<Piece, PieceTraits, 64>;  // 4 to a node: deep trees from few entries
using Large = IntervalMap<Piece, PieceTraits>;
static_assert(std::movable<Small> && !std::copyable<Small>);
static_assert(std::input_iterator<Small::Iterator>);

template <class T>
ErrorCode error_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value());
  return result.error().code;
}

template <class Map>
std::vector<typename Map::Entry> entries_of(const Map& map) {
  std::vector<typename Map::Entry> entries;
  for (const auto& entry : map)
    entries.push_back(entry);
  return entries;
}

// The naive one: a value per point.
using Units = std::vector<std::optional<Piece>>;

struct Op {
  std::uint64_t begin, end;
  std::optional<Piece> value;  // none: erase
};

void perform(Units& units, const Op& op) {
  for (std::uint64_t i = op.begin; i < op.end; ++i) {
    units[i].reset();
    if (op.value) units[i] = PieceTraits::advance(*op.value, i - op.begin);
  }
}

template <class Map>
Result<void> perform(Map& map, const Op& op) {
  return op.value ? map.assign(op.begin, op.end, *op.value) : map.erase(op.begin, op.end);
}

template <class Map>
void expect_same(const Map& map, const Units& units) {
  const char* wrong = map.validate();
  require(wrong == nullptr, wrong == nullptr ? "" : wrong);
  std::vector<typename Map::Entry> want;
  for (std::uint64_t i = 0; i < units.size(); ++i) {
    if (!units[i]) continue;
    const bool continues = !want.empty() && want.back().end == i &&
                           *units[i] == PieceTraits::advance(want.back().value, i - want.back().begin);
    if (continues) {
      want.back().end = i + 1;
    } else {
      want.push_back({i, i + 1, *units[i]});
    }
  }
  require(entries_of(map) == want, "the same intervals");
  require(map.size() == want.size() && map.empty() == want.empty(), "size");
}

template <class Map>
void expect_same_lookups(const Map& map, const Units& units) {
  const auto entries = entries_of(map);
  std::size_t next = 0;
  for (std::uint64_t i = 0; i <= units.size(); ++i) {
    while (next < entries.size() && entries[next].end <= i)
      ++next;
    const auto bound = map.lower_bound(i);
    require(next == entries.size() ? bound == map.end() : *bound == entries[next], "lower_bound");
    const Piece* want = i < units.size() && units[i] ? &*units[i] : nullptr;
    const auto value = map.at(i);
    require(value.has_value() == (want != nullptr) && (!value || *value == *want), "at");
    const auto found = map.find(i);
    require(found.has_value() == (want != nullptr) && (!found || *found == entries[next]), "find");
  }
}

TEST(IntervalMap, EmptyMap) {
  Large map;
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
  Large map;
  ASSERT_TRUE(map.assign(10, 30, {1, 100}));
  ASSERT_TRUE(map.assign(15, 20, {2, 0}));
  const std::vector<Large::Entry> want{{10, 15, {1, 100}}, {15, 20, {2, 0}}, {20, 30, {1, 110}}};
  EXPECT_EQ(entries_of(map), want);
  ASSERT_TRUE(map.assign(15, 20, {1, 105}));
  EXPECT_EQ(entries_of(map), (std::vector<Large::Entry>{{10, 30, {1, 100}}})) << "it continues on both sides";
  ASSERT_TRUE(map.erase(12, 14));
  EXPECT_EQ(entries_of(map), (std::vector<Large::Entry>{{10, 12, {1, 100}}, {14, 30, {1, 104}}}));
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
  Large map;
  EXPECT_EQ(error_of(map.assign(5, 5, {})), ErrorCode::invalid_size);
  EXPECT_EQ(error_of(map.assign(6, 5, {})), ErrorCode::invalid_size);
  EXPECT_EQ(error_of(map.assign(kEnd, kEnd, {})), ErrorCode::invalid_size);
  EXPECT_EQ(error_of(map.erase(kEnd, 0)), ErrorCode::invalid_size);
  EXPECT_TRUE(map.empty());
  ASSERT_TRUE(map.assign(0, kEnd, {1, 0}));
  ASSERT_TRUE(map.erase(1, kEnd - 1));
  EXPECT_EQ(entries_of(map), (std::vector<Large::Entry>{{0, 1, {1, 0}}, {kEnd - 1, kEnd, {1, kEnd - 1}}}));
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
    Small from(host.allocator());
    for (std::uint64_t i = 0; i < 100; ++i)
      ASSERT_TRUE(from.assign(2 * i, 2 * i + 1, {1, 0}));
    Small to = std::move(from);
    EXPECT_EQ(to.size(), 100U);
    from = Small(host.allocator());
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

// Runs of random operations that cluster, so that they cut, cover, touch and continue each other.
Op random_op(std::mt19937_64& random, std::uint64_t units) {
  const std::uint64_t begin = random() % units;
  const std::uint64_t longest = random() % 8 == 0 ? units : 12;
  const std::uint64_t end = std::min(units, begin + 1 + random() % longest);
  switch (random() % 4) {
    case 0:
      return {begin, end, std::nullopt};
    case 1:
      return {begin, end, Piece{1, begin}};  // all of these continue each other
    default:
      return {begin, end, Piece{static_cast<std::uint32_t>(random() % 3), random() % 4}};
  }
}

TEST(IntervalMap, ManyRandomOperations) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    std::mt19937_64 random(seed);
    Small small;
    Large large;
    Units units(600);
    for (int i = 0; i < 3000; ++i) {
      const Op op = random_op(random, units.size());
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
  Small map;
  Units units(60);
  const auto ops = *rc::gen::container<std::vector<std::tuple<std::uint64_t, std::uint64_t, int>>>(
      rc::gen::tuple(rc::gen::inRange<std::uint64_t>(0, 60), rc::gen::inRange<std::uint64_t>(1, 20),
                     rc::gen::inRange(0, 5)));
  for (const auto& [begin, length, what] : ops) {
    Op op{begin, std::min<std::uint64_t>(60, begin + length), std::nullopt};
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
  const auto key_of = [](const Units& units) {
    std::string key;
    for (const auto& unit : units)
      key += unit ? static_cast<char>('a' + unit->object * 8 + unit->offset) : '.';
    return key;
  };
  std::vector<Op> ops;
  for (std::uint64_t begin = 0; begin < 6; ++begin)
    for (std::uint64_t end = begin + 1; end <= 6; ++end)
      for (const auto& value : {std::optional<Piece>{}, {{0, begin}}, {{1, 0}}})
        ops.push_back({begin, end, value});
  std::set<std::string> seen{key_of(Units(6))};
  std::deque<Units> frontier{Units(6)};
  while (!frontier.empty()) {
    const Units from = frontier.front();
    frontier.pop_front();
    for (const Op& op : ops) {
      Small map;
      for (std::uint64_t i = 0; i < 6; ++i)
        require(!from[i] || map.assign(i, i + 1, *from[i]).has_value());
      Units to = from;
      perform(to, op);
      ASSERT_TRUE(perform(map, op));
      expect_same(map, to);
      if (seen.insert(key_of(to)).second) frontier.push_back(to);
    }
  }
  EXPECT_EQ(seen.size(), 3U * 4U * 5U * 6U * 7U * 8U) << "point n: nothing, a, or b from 0 to n";
}

// Every request to the host fails once: the operation that meets it changes nothing, and goes through
// afterwards.
TEST(IntervalMap, HostFailureAtEveryRequest_R7) {
  std::int64_t total = 0;
  for (std::int64_t n = 1; n == 1 || n <= total; ++n) {
    test::TestHost host;
    std::mt19937_64 random(5);
    {
      Small map(host.allocator());
      Units units(300);
      if (total != 0) host.fail_at(n);
      int failures = 0;
      for (int i = 0; i < 250; ++i) {
        const Op op = random_op(random, units.size());
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
  Small map(host.allocator());
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
    Small map(host.allocator());
    Units units(2000);
    for (std::uint64_t i = 0; i < 4 * seed; ++i) {
      const Op op = random_op(random, units.size());
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
      const Op op =
          random() % 3 != 0 ? Op{3 * i + 1, 3 * i + 2, Piece{9, random()}} : random_op(random, units.size());
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
    Small map(host.allocator());
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
  Small map(host.allocator());
  ASSERT_TRUE(map.assign(0, 100, {1, 0}));
  const auto bytes = host.bytes();
  host.fail_at(5);
  EXPECT_FALSE(map.prepare(50));
  EXPECT_EQ(host.bytes(), bytes);
  EXPECT_FALSE(map.prepare(~std::size_t{0}));
  EXPECT_TRUE(map.prepare(0));
  EXPECT_EQ(map.validate(), nullptr);
}

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
  IntervalMap<int> map;
  EXPECT_EQ(map.validate(), nullptr);
}

}  // namespace
}  // namespace vaspace
