// What the object strategy costs: looks at nodes and bytes of metadata, in place of a clock.
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
#include <random>
#include <vector>

#include "vaspace/range/object_allocator.hpp"

#include "support/host.hpp"

namespace vaspace::test {
namespace {

using Counted = BasicObjectAllocator<VisitProbe>;

// Sizes as in workload W8.
Bytes mixed_size(std::mt19937_64& random) {
  const double log = 8.0 + 4.0 * static_cast<double>(random() % 65536) / 65536.0;
  return Bytes{static_cast<std::uint64_t>(std::exp2(log))};
}

// Frees that leave thousands of equal holes, which merge at last (W1, W2): some looks each, not a tree's
// depth.
TEST(ObjectCost, ShuffledFreesOfOneSizeLookAtAFewNodesEach) {
  for (const Bytes size : {4_KiB, 64_KiB, 100_KiB}) {
    auto object = Counted::create({.capacity = 4_GiB});
    ASSERT_TRUE(object);
    constexpr std::size_t kCount = 8000;
    std::vector<RangeId> live(kCount);
    std::mt19937_64 random(size.value);
    std::uint64_t visits = 0;
    for (int round = 0; round < 3; ++round) {
      for (RangeId& id : live)
        id = object->allocate({size, {}})->id;
      std::shuffle(live.begin(), live.end(), random);
      const std::uint64_t before = object->probe().visits;
      for (const RangeId id : live)
        ASSERT_TRUE(object->try_free(id));
      visits = object->probe().visits - before;
      ASSERT_EQ(object->validate(), nullptr);
      ASSERT_EQ(object->report().free_ranges, 1U);
    }
    EXPECT_LE(visits, kCount * 6) << size.value;
  }
}

// A pair in steady state: as many looks with 10^5 live as with 10^3.
TEST(ObjectCost, PairsLookAtAFewNodesHoweverManyAreLive) {
  for (const std::size_t live : {1000U, 10000U, 100000U}) {
    auto object = Counted::create({.capacity = 4_GiB});
    ASSERT_TRUE(object);
    std::mt19937_64 random(live);
    std::vector<RangeId> ids(live);
    for (RangeId& id : ids)
      id = object->allocate({mixed_size(random), {}})->id;
    std::uint64_t before = 0;
    constexpr std::uint64_t kPairs = 20000;
    for (std::uint64_t i = 0; i < 3 * live + kPairs; ++i) {
      if (i == 3 * live) before = object->probe().visits;
      RangeId& id = ids[random() % live];
      ASSERT_TRUE(object->try_free(id));
      id = object->allocate({mixed_size(random), {}})->id;
    }
    EXPECT_LE(object->probe().visits - before, kPairs * 6) << live;
    EXPECT_EQ(object->validate(), nullptr);
  }
}

// P10: bytes per node, live or free, through the host allocator.
TEST(ObjectCost, P10_MetadataPerNode) {
  for (const std::size_t live : {10000U, 100000U}) {
    TestHost host;
    auto object = ObjectAllocator::create({.capacity = 4_GiB, .host = host.allocator()});
    ASSERT_TRUE(object);
    std::mt19937_64 random(live);
    std::vector<RangeId> ids(live);
    for (RangeId& id : ids)
      id = object->allocate({mixed_size(random), {}})->id;
    for (std::size_t i = 0; i < 3 * live; ++i) {
      RangeId& id = ids[random() % live];
      ASSERT_TRUE(object->try_free(id));
      id = object->allocate({mixed_size(random), {}})->id;
    }
    const RangeReport report = object->report();
    EXPECT_LE(static_cast<double>(host.bytes()),
              48.0 * static_cast<double>(report.live + report.free_ranges));
  }
}

// Spans of a TiB each: nothing is laid out by how much there is, only by how much is used.
TEST(ObjectCost, R8_TerabytesOfSpansCostWhatIsUsed) {
  TestHost host;
  auto object = ObjectAllocator::create(
      {.window = Bytes{std::uint64_t{1} << 40U}, .granule = Alignment{4096}, .host = host.allocator()});
  ASSERT_TRUE(object);
  for (int i = 0; i < 15; ++i)
    ASSERT_TRUE(object->add_span(Bytes{std::uint64_t{1} << 40U}));
  std::mt19937_64 random(8);
  std::vector<RangeId> live;
  for (int i = 0; i < 3000; ++i) {
    if (!live.empty() && random() % 3 == 0) {
      std::swap(live[random() % live.size()], live.back());
      ASSERT_TRUE(object->try_free(live.back()));
      live.pop_back();
    } else if (const auto range = object->allocate({Bytes{(1 + random() % 9) << (12 + random() % 23)}, {}});
               range) {
      live.push_back(range->id);
    }
    if (i % 100 == 0) {
      ASSERT_EQ(object->validate(), nullptr);
    }
  }
  EXPECT_LE(host.bytes(), 48 * 3000 + 65536);
  for (const RangeId id : live)
    ASSERT_TRUE(object->try_free(id));
  EXPECT_EQ(object->report().free_ranges, 15U);
  EXPECT_EQ(object->validate(), nullptr);
}

// R7: a host that gives nodes and refuses slots is served all the same.
TEST(ObjectCost, R7_AnAllocationNeedsNoSlots) {
  TestHost host;
  auto object = ObjectAllocator::create({.capacity = 64_MiB, .host = host.allocator()});
  ASSERT_TRUE(object);
  std::vector<RangeId> live;
  for (int i = 0; i < 4000; ++i)
    live.push_back(object->allocate({Bytes{256}, {}})->id);
  for (std::size_t i = 0; i < live.size(); i += 2)
    ASSERT_TRUE(object->try_free(live[i]));
  host.fail_forever(true);
  host.fail_at(1);
  for (std::size_t i = 0; i < live.size(); i += 2) {
    const auto range = object->allocate({Bytes{256}, {}});
    ASSERT_TRUE(range);
    EXPECT_EQ(range->offset, Offset{i * 256});  // R4
  }
  EXPECT_EQ(object->validate(), nullptr);
}

// R4's cost: node visits per operation against the key-bit bound, over a heap with many equal and near-equal
// holes.
TEST(ObjectCost, R4_NodeVisitsStayWithinTheKeyBits) {
  auto object = Counted::create({.capacity = 4_GiB});
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

}  // namespace
}  // namespace vaspace::test
