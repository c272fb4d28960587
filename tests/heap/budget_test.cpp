// V16: one gate, whatever takes memory from the device.
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

HeapRequest device_only(Bytes size, BudgetPolicy policy) {
  HeapRequest request = request_for(size);
  request.requirements.memory_type_bits = 1;
  request.budget = policy;
  return request;
}

// Every path that takes memory: an arena's slice, a block, a memory object of its own, a pool.
TEST(HeapBudget, WithinMeansNotOneByteAboveItOnEveryPath_V16) {
  PlainDevice device(discrete(1_GiB));
  device.budget_share[0] = 64_MiB;
  auto heap = SingleThreadedHeap::create(device);
  const auto pool = heap->create_pool({.memory_type = 0, .budget = BudgetPolicy::within});
  std::vector<HeapAllocation> live;
  for (const bool dedicated : {false, true, false}) {
    for (const Bytes size : {40_MiB, 9_MiB, 3_MiB, 700_KiB, 64_KiB, 4_KiB, 300_B}) {
      for (int n = 0; n < 3000; ++n) {
        HeapRequest request = device_only(size, BudgetPolicy::within);
        if (dedicated) request.dedicated = DedicatedWish::required;
        const auto allocation = heap->allocate(request);
        EXPECT_LE(device.held(0), 64_MiB);
        if (!allocation) {
          EXPECT_EQ(allocation.error(), (Error{ErrorCode::out_of_device_memory}));
          break;
        }
        live.push_back(*allocation);
      }
    }
  }
  EXPECT_GT(device.held(0), 63_MiB) << "and up to it";
  HeapRequest pooled = device_only(1_MiB, BudgetPolicy::may_exceed);
  pooled.pool = *pool;
  EXPECT_EQ(heap->allocate(pooled).error().code, ErrorCode::out_of_device_memory);
  EXPECT_GT(heap->report().refused_by_budget, 0U);
  // Who may exceed it does.
  live.push_back(*heap->allocate(device_only(40_MiB, BudgetPolicy::may_exceed)));
  EXPECT_GT(device.held(0), 64_MiB);
  EXPECT_EQ(heap->validate(), nullptr);
  heap->free(live);
}

TEST(HeapBudget, WhatIsUnusedGoesBackBeforeItIsPassed_V16) {
  PlainDevice device(discrete(1_GiB));
  device.budget_share[0] = 64_MiB;
  auto heap = SingleThreadedHeap::create(device, {.keep = 64_MiB});
  std::vector<HeapAllocation> live;
  for (int i = 0; i < 50; ++i)
    live.push_back(*heap->allocate(device_only(1_MiB, BudgetPolicy::within)));
  heap->free(live);
  heap->collect();
  EXPECT_GT(device.held(0), 32_MiB) << "kept";
  HeapRequest dedicated = device_only(60_MiB, BudgetPolicy::may_exceed);
  dedicated.dedicated = DedicatedWish::required;
  const auto large = heap->allocate(dedicated);
  ASSERT_TRUE(large);
  EXPECT_LE(device.held(0), 64_MiB);
  heap->free(*large);
}

// Device memory that nobody uses is better than host memory that somebody gets.
TEST(HeapBudget, WhatIsUnusedGoesBackBeforeAWorseTypeIsTaken_V16) {
  PlainDevice device(discrete(64_MiB));
  auto heap = *Heap::create(device, {.largest_block = 16_MiB, .keep = 64_MiB});
  const auto fill = [&](std::uint32_t priority) {
    std::vector<HeapAllocation> all;
    HeapRequest request = request_for(1_MiB);
    request.priority = static_cast<float>(priority) / 8;  // blocks of their own
    for (int i = 0; i < 60; ++i)
      all.push_back(*heap.allocate(request));
    return all;
  };
  std::vector<HeapAllocation> first = fill(4);
  for (const HeapAllocation& a : first)
    EXPECT_EQ(a.memory_type, 0U);
  heap.free(first);
  EXPECT_GE(device.held(0), 60_MiB);
  std::vector<HeapAllocation> second = fill(6);
  for (const HeapAllocation& a : second)
    ASSERT_EQ(a.memory_type, 0U);
  EXPECT_EQ(heap.report().demoted, 0U);
  std::vector<HeapAllocation> third = fill(2);
  EXPECT_NE(third.back().memory_type, 0U);
  EXPECT_GE(heap.report().demoted, 50U);
  heap.free(second);
  heap.free(third);
}

// Nobody counts it, and so nobody would ever give it back.
TEST(HeapBudget, LazilyAllocatedMemoryIsReportedApartAndTrimmed_V14) {
  PlainDevice device({.heaps = {{256_MiB, true}},
                      .types = {{.heap = 0, .device_local = true},
                                {.heap = 0, .device_local = true, .lazily_allocated = true}}});
  auto heap = *Heap::create(device);
  const HeapAllocation there = *heap.allocate(request_for(1_MiB));
  const HeapAllocation lazy =
      *heap.allocate(request_for(1_MiB, {}, Intent::transient_attachment, ResourceKind::optimal));
  ASSERT_EQ(lazy.memory_type, 1U);
  const HeapReport report = heap.report();
  EXPECT_GE(report.lazy, 1_MiB);
  EXPECT_EQ(report.total.committed, report.memory_types[0].committed);
  EXPECT_EQ(report.total.used, report.memory_types[0].used);
  EXPECT_EQ(report.total.allocations, 2U);
  EXPECT_EQ(device.held_objects(), 2U);
  heap.free(lazy);
  EXPECT_EQ(heap.trim(1_GiB), report.total.committed);
  EXPECT_EQ(device.held_objects(), 1U);
  heap.free(there);
}

TEST(HeapBudget, IsClampedToTheHeap_V16) {
  PlainDevice device(discrete(1_GiB));
  device.budget_share[0] = Bytes{std::uint64_t{1} << 60U};
  auto heap = SingleThreadedHeap::create(device);
  EXPECT_EQ(heap->budget(0)->budget, 1_GiB);
  EXPECT_EQ(heap->budget(0)->size, 1_GiB);
  EXPECT_EQ(heap->budget(9).error().code, ErrorCode::invalid_argument);
  device.budget_share[0] = 0_B;  // a driver that says nothing
  auto other = SingleThreadedHeap::create(device);
  EXPECT_EQ(other->budget(0)->budget, 1_GiB);
}

TEST(HeapBudget, IsReadSeldomAndCorrectedBetween_V16) {
  PlainDevice device(discrete(8_GiB));
  auto heap = SingleThreadedHeap::create(device);
  std::vector<HeapAllocation> live;
  for (int i = 0; i < 2000; ++i)
    live.push_back(*heap->allocate(device_only(64_KiB, BudgetPolicy::may_exceed)));
  EXPECT_LE(device.budget_questions(), 1 + device.reserves() / 16);
  EXPECT_EQ(heap->budget(0)->usage, device.held(0)) << "known without asking";
  heap->free(live);
}

// A reading that is old is made anew before anybody is refused because of it, and after a refusal of the
// driver.
TEST(HeapBudget, ForeignProcessesComeAndGo_V16) {
  PlainDevice device(discrete(256_MiB));
  device.budget_share[0] = 256_MiB;
  auto heap = SingleThreadedHeap::create(device);
  device.foreign[0] = 250_MiB;
  const HeapRequest request = device_only(8_MiB, BudgetPolicy::within);
  EXPECT_EQ(heap->allocate(request).error().code, ErrorCode::out_of_device_memory);
  EXPECT_EQ(heap->validate(), nullptr);
  device.foreign[0] = 0_B;
  const auto allocation = heap->allocate(request);
  ASSERT_TRUE(allocation);
  // Below what the gate knows, the driver itself refuses: its own code comes through.
  device.foreign[0] = 245_MiB;
  EXPECT_EQ(heap->allocate(device_only(16_MiB, BudgetPolicy::may_exceed)).error(),
            (Error{ErrorCode::out_of_device_memory, -2}));
  heap->free(*allocation);
}

TEST(HeapBudget, ALimitOfTheConfigurationHoldsForAll_V4_V16) {
  PlainDevice device(discrete(1_GiB));
  HeapConfig config;
  config.heap_limits[0] = 32_MiB;
  config.max_memory_objects = 5;
  auto heap = SingleThreadedHeap::create(device, config);
  std::vector<HeapAllocation> live;
  for (;;) {
    const auto next = heap->allocate(device_only(1_MiB, BudgetPolicy::may_exceed));
    if (!next) break;
    live.push_back(*next);
    ASSERT_LE(device.held(0), 32_MiB);
    ASSERT_LE(device.held_objects(), 5U);
  }
  EXPECT_GT(live.size(), 20U);
  heap->free(live);
}

TEST(HeapBudget, TrimGivesBackDownToATarget) {
  PlainDevice device(discrete(1_GiB));
  auto heap = SingleThreadedHeap::create(device, {.keep = 1_GiB});
  std::vector<HeapAllocation> live;
  std::vector<HeapAllocation> host;
  for (int i = 0; i < 100; ++i) {
    live.push_back(*heap->allocate(device_only(1_MiB, BudgetPolicy::within)));
    host.push_back(*heap->allocate(request_for(1_MiB, {}, Intent::upload)));
  }
  heap->free(live);
  heap->free(host);
  heap->collect();
  const Bytes held = device.held(0) + device.held(1);
  ASSERT_GT(held, 200_MiB);
  EXPECT_LE(heap->trim(150_MiB), 150_MiB);
  EXPECT_GT(device.held(0) + device.held(1), 0_B);
  EXPECT_EQ(*heap->trim_heap(1), 0_B);
  EXPECT_EQ(device.held(1), 0_B);
  EXPECT_EQ(heap->trim(), 0_B);
  EXPECT_EQ(heap->trim_heap(7).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace vaspace::test
