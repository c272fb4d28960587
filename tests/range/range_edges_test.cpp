// What the contract does not say of every range allocator: refused host memory, spans, configurations.
#include <cstdint>
#include <gtest/gtest.h>
#include <vector>

#include "vaspace/range/object_allocator.hpp"
#include "vaspace/range/slab_allocator.hpp"

#include "support/host.hpp"

namespace vaspace::test {
namespace {

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
