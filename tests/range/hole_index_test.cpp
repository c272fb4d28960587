#include "vaspace/range/hole_index.hpp"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <utility>

#include "vaspace/range/node_pool.hpp"
#include "vaspace/range/probe.hpp"

#include "support/host.hpp"

namespace vaspace::test {
namespace {

struct Hole {
  std::uint32_t offset, size, generation, next;
  RadixChildren children;
};
using Pool = NodePool<Hole>;
using Index = HoleIndex<Pool, VisitProbe>;
using Key = std::pair<std::uint32_t, std::uint32_t>;  // size, offset

// An index and what it should hold.
class Subject {
 public:
  explicit Subject(const HostAllocator& host = default_host_allocator())
      : pool(default_host_allocator(), 1), index(host) {
    created = index.create();
  }

  void insert(Key key) {
    ASSERT_TRUE(pool.prepare(1));
    const std::uint32_t node = pool.acquire();
    pool[node].size = key.first;
    pool[node].offset = key.second;
    index.insert(pool, probe, node);
    model[key] = node;
  }
  void erase(Key key) {
    index.erase(pool, probe, model.at(key));
    pool.release(model.at(key));
    model.erase(key);
  }
  void toggle(Key key) {
    if (model.contains(key)) {
      erase(key);
    } else {
      insert(key);
    }
  }
  void prepare() {
    if (index.wants_memory()) index.prepare(pool);
  }

  // Empty, or what is wrong.
  std::string compare(Key at) {
    const auto expected = [&](auto found) { return found == model.end() ? 0 : found->second; };
    if (const char* wrong = index.validate(pool, probe); wrong != nullptr) return wrong;
    if (index.lower_bound(pool, probe, at.first, at.second) != expected(model.lower_bound(at)))
      return "lower_bound";
    if (index.best_fit(pool, probe, at.first) != expected(model.lower_bound({at.first, 0})))
      return "best_fit";
    if (index.greatest(pool, probe) != (model.empty() ? 0 : model.rbegin()->second)) return "greatest";
    return {};
  }

  Pool pool;
  VisitProbe probe;
  Index index;
  std::map<Key, std::uint32_t> model;
  bool created = false;
};

template <class Draw>
void equals_a_map(int operations, Draw&& draw) {
  std::mt19937_64 random(7);
  Subject subject;
  ASSERT_TRUE(subject.created);
  for (int i = 0; i < operations; ++i) {
    subject.prepare();
    subject.toggle(draw(random));
    if (const Key key = draw(random); i % 3 == 0 && Index::is_exact(key.first)) {
      const auto lowest = subject.model.lower_bound({key.first, 0});
      const std::uint32_t size = subject.index.exact_size_from(key.first);
      if (lowest == subject.model.end() || !Index::is_exact(lowest->first.first)) {
        ASSERT_FALSE(Index::is_exact(size));
      } else {
        ASSERT_EQ(size, lowest->first.first);
        ASSERT_EQ(subject.index.take_lowest(subject.pool, subject.probe, size), lowest->second);
        subject.pool.release(lowest->second);
        subject.model.erase(lowest);
      }
    }
    if (i % 8 == 0) {
      ASSERT_EQ(subject.compare(draw(random)), "") << i;
    }
  }
}

std::uint32_t below(std::mt19937_64& random, std::uint64_t end) {
  return static_cast<std::uint32_t>(random() % end);
}

// R3, R4: the smallest that is enough, the lowest among equals.
TEST(HoleIndex, R3_R4_EqualsAMap) {
  equals_a_map(8000, [](auto& random) { return Key{1 + below(random, 4), below(random, 4000)}; });
  equals_a_map(8000, [](auto& random) { return Key{1 + below(random, 300), below(random, 60)}; });
  equals_a_map(8000, [](auto& random) {
    return Key{256 * (1 + below(random, 6)), 256 * below(random, 2000)};
  });
  equals_a_map(4000, [](auto& random) {
    return Key{1U << below(random, 32), below(random, 1ULL << (1 + random() % 32))};
  });
}

// R8: sizes and offsets at the ends of what 32 bits of granules hold.
TEST(HoleIndex, R8_TheEndsOfTheAxis) {
  constexpr std::uint32_t kMost = ~std::uint32_t{0};
  equals_a_map(3000, [](auto& random) {
    return Key{random() % 2 == 0 ? kMost - below(random, 3) : 1 + below(random, 2),
               kMost - below(random, 40)};
  });
  Subject subject;
  subject.insert({kMost, kMost});
  EXPECT_EQ(subject.index.lower_bound(subject.pool, subject.probe, kMost, std::uint64_t{kMost} + 1), 0U);
}

// R7: slots are for speed alone. Without memory for them everything goes on, and nothing is asked for but by
// prepare.
TEST(HoleIndex, R7_GoesOnWhereSlotsAreRefused) {
  TestHost host;
  std::mt19937_64 random(2);
  Subject subject(host.allocator());
  ASSERT_TRUE(subject.created);
  const auto bytes = host.bytes();
  host.fail_forever(true);
  host.fail_at(1);
  for (int i = 0; i < 4000; ++i) {
    subject.prepare();
    subject.toggle({1 + below(random, 3), below(random, 3000)});
  }
  EXPECT_EQ(host.bytes(), bytes);
  EXPECT_EQ(subject.compare({1, 0}), "");
  host.fail_forever(false);
  host.fail_at(0);
  const auto requests = host.requests();
  for (int i = 0; i < 100; ++i)
    subject.toggle({1, below(random, 3000)});
  EXPECT_EQ(host.requests(), requests);
  subject.prepare();
  EXPECT_GT(host.bytes(), bytes);
  EXPECT_EQ(subject.compare({1, 0}), "");
}

// Many equal holes, small or large, cost no more than few; and slots for them cost less than they do
// themselves.
TEST(HoleIndex, ManyEqualHolesAreFoundAtOnce) {
  for (const std::uint32_t size : {1U, 16U, 256U, 512U, 4096U, 100000U}) {
    TestHost host;
    Subject subject(host.allocator());
    const auto empty = host.bytes();
    std::mt19937_64 random(size);
    while (subject.model.size() < 3000) {
      subject.prepare();
      if (const Key key{size, below(random, 20000) * (size + 1)}; !subject.model.contains(key))
        subject.insert(key);
    }
    EXPECT_LE(host.bytes() - empty, 3000 * 24) << size;
    EXPECT_EQ(subject.compare({size, 0}), "");
    const std::uint64_t before = subject.probe.visits;
    for (int i = 0; i < 5000; ++i)
      subject.toggle({size, below(random, 20000) * (size + 1)});
    EXPECT_LE(subject.probe.visits - before, 5000U * 3) << size;
  }
}

// Holes that come by the thousand between two allocations, and are gone before the second, find slots when
// they come again.
TEST(HoleIndex, ACrowdIsRememberedAfterItIsGone) {
  Subject subject;
  std::uint64_t visits = 0;
  for (int round = 0; round < 3; ++round) {
    subject.prepare();
    const std::uint64_t before = subject.probe.visits;
    for (std::uint32_t i = 0; i < 2000; ++i)
      subject.insert({256, (i * 7 % 2000) * 300});
    for (std::uint32_t i = 0; i < 2000; ++i)
      subject.erase({256, i * 300});
    visits = subject.probe.visits - before;
  }
  EXPECT_LE(visits, 4000U * 3);
}

TEST(HoleIndex, MovesWithItsSlots) {
  TestHost host;
  {
    Subject one(host.allocator());
    for (std::uint32_t i = 0; i < 500; ++i) {
      one.prepare();
      one.insert({2, i * 3});
    }
    Subject two(host.allocator());
    for (std::uint32_t i = 0; i < 100; ++i) {
      two.prepare();
      two.insert({3, i * 4});
    }
    Index moved = std::move(one.index);
    two.index = std::move(moved);
    EXPECT_EQ(two.index.validate(one.pool, one.probe), nullptr);
    EXPECT_EQ(two.index.best_fit(one.pool, one.probe, 1), one.model.begin()->second);
  }
  EXPECT_EQ(host.bytes(), 0);
}

}  // namespace
}  // namespace vaspace::test
