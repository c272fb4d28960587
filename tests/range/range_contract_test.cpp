// One contract suite for every range allocator, against the oracle after every operation.
#include <deque>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <rapidcheck/gtest.h>
#include <set>
#include <string>

#include "support/host.hpp"
#include "support/range_driver.hpp"

namespace vaspace::test {
namespace {

template <class Subject>
class RangeContract : public testing::Test {};
using Subjects = testing::Types<ObjectSubject, IndexedObjectSubject, SlabSubject, OddSlabSubject>;
TYPED_TEST_SUITE(RangeContract, Subjects);

RangeOp random_op(std::mt19937_64& random, std::uint64_t unit) {
  const auto pick = [&](std::uint64_t n) { return random() % n; };
  switch (pick(16)) {
    case 0:
      return {RangeOpKind::free_stale, pick(1000), 0};
    case 1:
      return {RangeOpKind::free_unknown, pick(40), random()};
    case 2:
      return {RangeOpKind::extend, pick(1000), pick(12 * unit)};
    case 3:
      return {RangeOpKind::shrink, pick(1000), pick(12 * unit)};
    case 4:
      return {RangeOpKind::find_at, pick(64 * unit), 0};
    case 5:
      return {pick(4) == 0 ? RangeOpKind::add_span : RangeOpKind::remove_span, pick(8), 0};
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
      return {RangeOpKind::free, pick(1000), 0};
    default:
      return {RangeOpKind::allocate, pick(6 * unit), pick(4) == 0 ? pick(12) : 0};
  }
}

// R1, R2, R3, R4, R6: every operation, everything compared.
TYPED_TEST(RangeContract, R1_R2_R3_R4_R6_EqualsTheOracleAfterEveryOperation) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    std::mt19937_64 random(seed);
    auto driver = TypeParam::make(40 + seed * 9);
    for (int i = 0; i < 1500; ++i) {
      const std::string wrong = driver.apply(random_op(random, TypeParam::kUnit));
      ASSERT_EQ(wrong, "") << "seed " << seed << ", operation " << i;
    }
    ASSERT_EQ(driver.free_all(), "");
  }
}

// The same where holes share bins: sizes of up to a thousand granules, and what they leave of each other.
TEST(RangeContractOfLargeHoles, R1_R2_R3_R4_EqualsTheOracleAfterEveryOperation) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    std::mt19937_64 random(seed);
    auto driver = ObjectSubject::make(3000 + 700 * seed);
    for (int i = 0; i < 2000; ++i) {
      const std::string wrong = driver.apply(random_op(random, 160 * ObjectSubject::kUnit));
      ASSERT_EQ(wrong, "") << "seed " << seed << ", operation " << i;
    }
    ASSERT_EQ(driver.free_all(), "");
  }
}

// Who keeps records of its own gives ranges back by their index.
TEST(ObjectAllocator, GivesByIndexAndSaysWhetherTheSpanIsEmpty) {
  auto subject = ObjectAllocator::create({.capacity = 64_KiB, .granule = Alignment{256}});
  ASSERT_TRUE(subject && subject->add_span(64_KiB));
  const auto a = subject->allocate({24_KiB, {}});
  const auto b = subject->allocate({24_KiB, {}});
  const auto c = subject->allocate({16_KiB, {}});
  const auto other = subject->allocate({64_KiB, {}});
  ASSERT_TRUE(a && b && c && other);
  EXPECT_FALSE(subject->give(a->id.index)) << "what is behind it lives";
  EXPECT_FALSE(subject->give(c->id.index)) << "what is before it lives";
  EXPECT_TRUE(subject->give(other->id.index));
  EXPECT_TRUE(subject->give(b->id.index));
  EXPECT_EQ(subject->validate(), nullptr);
  EXPECT_EQ(subject->try_free(a->id).error().code, ErrorCode::stale_handle);
}

// R5 in many orders, and R3 at a full block: fill to the first refusal, free in a shuffled order.
TYPED_TEST(RangeContract, R5_FreeingAllInAnyOrderRestoresTheBlock) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    auto driver = TypeParam::make(64);
    for (int i = 0; i < 200; ++i) {
      ASSERT_EQ(driver.apply({RangeOpKind::allocate, 1 + random() % (4 * TypeParam::kUnit), 0}), "");
    }
    while (driver.live() != 0)
      ASSERT_EQ(driver.apply({RangeOpKind::free, random(), 0}), "");
    ASSERT_EQ(driver.free_all(), "");
    const Bytes all = driver.subject().largest_free();
    ASSERT_EQ(driver.apply({RangeOpKind::allocate, all.value, 0}), "");
  }
}

// R8: nothing wraps around at the edges of 64 bits.
TYPED_TEST(RangeContract, R8_EdgesGiveTypedErrors) {
  auto driver = TypeParam::make(8);
  auto& subject = driver.subject();
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  const auto code = [&](std::uint64_t size, std::uint64_t alignment) {
    const auto range = subject.allocate({Bytes{size}, Alignment{alignment}});
    EXPECT_FALSE(subject.can_allocate({Bytes{size}, Alignment{alignment}}));
    return range ? ErrorCode{} : range.error().code;
  };
  EXPECT_EQ(code(0, 1), ErrorCode::invalid_size);
  EXPECT_EQ(code(1, 0), ErrorCode::invalid_alignment);
  EXPECT_EQ(code(1, 3), ErrorCode::invalid_alignment);
  EXPECT_EQ(code(1, kMax), ErrorCode::invalid_alignment);
  for (const std::uint64_t size : {kMax, kMax - 1, kMax - 255, kMax / 2 + 1, std::uint64_t{1} << 63U}) {
    EXPECT_EQ(code(size, 1), ErrorCode::too_large) << size;
    EXPECT_EQ(code(size, std::uint64_t{1} << 63U), ErrorCode::too_large) << size;
  }
  EXPECT_EQ(code(1, std::uint64_t{1} << 63U), ErrorCode::too_large);
  EXPECT_EQ(code(1, std::uint64_t{1} << 12U), ErrorCode::too_large);  // an alignment above the block
  EXPECT_EQ(subject.report().used, Bytes{});
  EXPECT_EQ(driver.free_all(), "");
}

// R9: the same calls, the same places and the same handles' slots.
TYPED_TEST(RangeContract, R9_SameCallsSamePlacement) {
  const auto run = [] {
    std::mt19937_64 random(99);
    auto driver = TypeParam::make(50);
    std::string places;
    for (int i = 0; i < 600; ++i) {
      EXPECT_EQ(driver.apply(random_op(random, TypeParam::kUnit)), "");
      places += driver.draw() + "\n";
    }
    return places;
  };
  EXPECT_EQ(run(), run());
}

// R10: a moved allocator goes on; the one it came from can be destroyed or assigned to.
TYPED_TEST(RangeContract, R10_MovesWithItsLiveRanges) {
  auto driver = TypeParam::make(16);
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(driver.apply({RangeOpKind::allocate, 1, 0}), "");
  auto moved = std::move(driver.subject());
  driver.subject() = std::move(moved);
  ASSERT_EQ(driver.apply({RangeOpKind::free, 2, 0}), "");
  auto other = TypeParam::make(4);
  other.subject() = std::move(driver.subject());
  driver.subject() = std::move(other.subject());
  ASSERT_EQ(driver.apply({RangeOpKind::allocate, 1, 0}), "");
  ASSERT_EQ(driver.free_all(), "");
}

// R6: a handle of another allocator of the same kind and history is told from one's own.
TYPED_TEST(RangeContract, R6_ForeignHandlesAreUnknown) {
  auto one = TypeParam::make(16);
  auto two = TypeParam::make(16);
  const auto mine = one.subject().allocate({Bytes{1}, {}});
  const auto theirs = two.subject().allocate({Bytes{1}, {}});
  ASSERT_TRUE(mine && theirs);
  EXPECT_EQ(one.subject().try_free(theirs->id).error().code, ErrorCode::unknown_handle);
  EXPECT_TRUE(one.subject().find(mine->id));
  EXPECT_TRUE(one.subject().try_free(mine->id));
}

// R6: after a double free the slot is handed out again, and the old handle stays dead: 65,535 reuses.
TYPED_TEST(RangeContract, R6_StaleHandlesStayStaleOverManyReuses) {
  auto driver = TypeParam::make(4);
  auto& subject = driver.subject();
  const auto first = subject.allocate({Bytes{1}, {}});
  ASSERT_TRUE(first && subject.try_free(first->id));
  for (int i = 0; i < 65535; ++i) {
    EXPECT_EQ(subject.try_free(first->id).error().code, ErrorCode::stale_handle);
    const auto again = subject.allocate({Bytes{1}, {}});
    ASSERT_TRUE(again);
    ASSERT_FALSE(again->id == first->id) << i;
    ASSERT_EQ(subject.find(first->id).error().code, ErrorCode::stale_handle) << i;
    ASSERT_TRUE(subject.try_free(again->id));
  }
}

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

// R7: whichever host request fails, the state is as it was, and the same call succeeds afterwards.
TEST(RangeHostFailure, R7_EveryHostRequestOfCreateAndGrowth) {
  for (int nth = 1;; ++nth) {
    TestHost host;
    host.fail_at(nth);
    auto object =
        ObjectAllocator::create({.capacity = 1_MiB, .granule = Alignment{16}, .host = host.allocator()});
    if (!object) {
      EXPECT_EQ(object.error().code, ErrorCode::out_of_host_memory);
      EXPECT_EQ(host.bytes(), 0);
      continue;
    }
    bool refused = false;
    std::vector<RangeId> live;
    for (int i = 0; i < 700; ++i) {
      const RangeReport before = object->report();
      auto range = object->allocate({Bytes{16}, Alignment{64}});
      if (!range) {
        ASSERT_EQ(range.error().code, ErrorCode::out_of_host_memory);
        ASSERT_EQ(object->validate(), nullptr);
        ASSERT_EQ(object->report().used, before.used);
        ASSERT_EQ(object->report().free_ranges, before.free_ranges);
        refused = true;
        range = object->allocate({Bytes{16}, Alignment{64}});
      }
      ASSERT_TRUE(range);
      if (i % 50 == 0) {
        ASSERT_EQ(object->validate(), nullptr);
      }
      live.push_back(range->id);
    }
    const auto requests = host.requests();
    for (const RangeId id : live)
      ASSERT_TRUE(object->try_free(id));
    EXPECT_EQ(host.requests(), requests) << "free asked for host memory";
    ASSERT_EQ(object->report().free_ranges, 1U);
    if (!refused) break;
  }
}
TEST(RangeHostFailure, R7_EveryHostRequestOfSlabSpans) {
  for (int nth = 1;; ++nth) {
    TestHost host;
    auto slab = SlabAllocator::create({.slot_size = Bytes{64}, .window = 64_KiB, .host = host.allocator()});
    ASSERT_TRUE(slab);
    host.fail_at(nth);
    bool refused = false;
    for (int i = 0; i < 70; ++i) {
      auto span = slab->add_span(64_KiB);
      if (!span) {
        ASSERT_EQ(span.error().code, ErrorCode::out_of_host_memory);
        ASSERT_EQ(slab->validate(), nullptr);
        ASSERT_EQ(slab->report().capacity, 64_KiB * static_cast<std::uint64_t>(i));
        refused = true;
        span = slab->add_span(64_KiB);
      }
      ASSERT_TRUE(span);
      ASSERT_EQ(span->value, 65536U * static_cast<unsigned>(i));
    }
    ASSERT_EQ(slab->validate(), nullptr);
    if (!refused) break;
  }
}

// R4's cost: node visits per operation against the key-bit bound, over a heap with many equal and near-equal
// holes.
TEST(ObjectCost, R4_NodeVisitsStayWithinTheKeyBits) {
  auto object = BasicObjectAllocator<VisitProbe>::create({.capacity = 4_GiB});
  ASSERT_TRUE(object);
  std::mt19937_64 random(7);
  std::vector<RangeId> live;
  // One look-up, and up to three trees changed: the hole found and what is left before and behind it; or two
  // neighbours taken out and the merged hole put in. Each visits at most a node per key bit, twice where a
  // node is met and compared.
  const std::uint64_t bound = std::uint64_t{4} * object->key_bits();
  std::uint64_t worst = 0;
  std::uint64_t most_holes = 0;
  for (int i = 0; i < 300000; ++i) {
    const std::uint64_t before = object->probe().visits;
    if (live.empty() || random() % 10 < (i / 50000 % 2 == 0 ? 9U : 2U)) {
      const std::uint64_t size = random() % 3 == 0 ? 65536 : 256U << (random() % 8);
      const auto range = object->allocate({Bytes{size + random() % 700}, {}});
      if (range) live.push_back(range->id);
    } else {
      std::swap(live[random() % live.size()], live.back());
      ASSERT_TRUE(object->try_free(live.back()));
      live.pop_back();
    }
    worst = std::max(worst, object->probe().visits - before);
    most_holes = std::max(most_holes, object->report().free_ranges);
  }
  EXPECT_GT(most_holes, 5000U);
  EXPECT_LE(worst, bound);
  RecordProperty("worst_visits", static_cast<int>(worst));
}

TEST(ObjectCost, AlignmentCandidatesCanBeCapped) {
  auto object = ObjectAllocator::create({.capacity = 64_MiB, .alignment_candidates = 2});
  ASSERT_TRUE(object);
  std::vector<RangeId> odd;
  // Holes of 64 KiB at odd multiples of 32 KiB: none of the first holds an aligned 64 KiB.
  for (int i = 0; i < 300; ++i) {
    const auto hole = object->allocate({64_KiB, {}});
    const auto wall = object->allocate({32_KiB, {}});
    ASSERT_TRUE(hole && wall);
    if (i % 2 == 1) odd.push_back(hole->id);
  }
  for (const RangeId id : odd)
    ASSERT_TRUE(object->try_free(id));
  const auto range = object->allocate({64_KiB, Alignment{64_KiB}});
  ASSERT_TRUE(range);
  EXPECT_TRUE(is_aligned(range->offset, Alignment{64_KiB}));
}

// R6: a span that goes away and comes back keeps its slots' generations, however differently they were used.
TEST(SlabSpans, R6_StaleHandlesStayStaleInTheWindowsNextLife) {
  auto slab = SlabAllocator::create({.slot_size = 64_B, .window = Bytes{256}});
  ASSERT_TRUE(slab && slab->add_span(Bytes{256}));
  const auto hot = slab->allocate({64_B, {}});
  const auto rare = slab->allocate({64_B, {}});
  ASSERT_TRUE(hot && rare && slab->try_free(rare->id) && slab->try_free(hot->id));
  for (int i = 0; i < 65534; ++i)
    ASSERT_TRUE(slab->try_free(slab->allocate({64_B, {}})->id));
  ASSERT_TRUE(slab->remove_span(Offset{}));
  EXPECT_EQ(slab->try_free(rare->id).error().code, ErrorCode::stale_handle);
  ASSERT_TRUE(slab->add_span(Bytes{256}));
  const auto again = slab->allocate({64_B, {}});
  const auto there = slab->allocate({64_B, {}});
  ASSERT_TRUE(again && there);
  ASSERT_EQ(there->id.index, rare->id.index);
  EXPECT_FALSE(there->id == rare->id);
  EXPECT_EQ(slab->try_free(rare->id).error().code, ErrorCode::stale_handle);
}

TEST(ObjectSpans, ASpanCanBeTakenWhole) {
  auto object = ObjectAllocator::create({.window = 1_MiB});
  ASSERT_TRUE(object && object->add_span(1_MiB) && object->add_span(64_KiB));
  const auto whole = object->take_span(Offset{1U << 20U}, 60_KiB);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->size, 64_KiB);
  EXPECT_EQ(object->requested(whole->id), 60_KiB);
  EXPECT_EQ(object->validate(), nullptr);
  EXPECT_EQ(object->take_span(Offset{1U << 20U}, 60_KiB).error().code, ErrorCode::wrong_state);
  EXPECT_EQ(object->take_span(Offset{256}, 60_KiB).error().code, ErrorCode::unknown_address);
  EXPECT_EQ(object->take_span(Offset{}, 2_MiB).error().code, ErrorCode::invalid_size);
  EXPECT_EQ(object->take_span(Offset{}, Bytes{}).error().code, ErrorCode::invalid_size);
  ASSERT_TRUE(object->try_free(whole->id));
  EXPECT_EQ(object->validate(), nullptr);
}

TEST(RangeConfiguration, BadOnesAreRefused) {
  const auto object = [](ObjectConfig config) { return ObjectAllocator::create(config).error().code; };
  EXPECT_EQ(object({}), ErrorCode::invalid_configuration);
  EXPECT_EQ(object({.capacity = 1_MiB, .granule = Alignment{3}}), ErrorCode::invalid_alignment);
  EXPECT_EQ(object({.capacity = 2_MiB, .window = 1_MiB}), ErrorCode::invalid_configuration);
  EXPECT_EQ(object({.capacity = kMaxBytes}), ErrorCode::invalid_configuration);
  const auto slab = [](SlabConfig config) { return SlabAllocator::create(config).error().code; };
  const auto tracked = [](SlabConfig config) { return TrackedSlabAllocator::create(config).error().code; };
  EXPECT_EQ(slab({}), ErrorCode::invalid_configuration);
  EXPECT_EQ(slab({.slot_size = 64_B, .capacity = 32_B}), ErrorCode::invalid_configuration);
  EXPECT_EQ(tracked({.slot_size = 1_MiB, .capacity = 8_MiB}), ErrorCode::invalid_configuration);
  EXPECT_EQ(slab({.slot_size = 1_B, .capacity = kMaxBytes}), ErrorCode::invalid_configuration);
}

}  // namespace
}  // namespace vaspace::test
