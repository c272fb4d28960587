// What waits for the device, and for how many of its timelines (DESIGN, decision 4).
#include <string>
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

class HeapRetire : public testing::TestWithParam<std::uint64_t> {
 protected:
  HeapAllocation make() { return *heap_.allocate(request_for(Bytes{GetParam()})); }
  [[nodiscard]] std::uint64_t live() const { return heap_.report().total.allocations; }
  void retire(const HeapAllocation& allocation, std::vector<TimelinePoint> points) {
    ASSERT_TRUE(heap_.retire(allocation, points));
  }

  PlainDevice device_{discrete(1_TiB)};
  std::vector<ErrorCode> misuses_;
  SingleThreadedHeap heap_ = *SingleThreadedHeap::create(
      device_, {.on_misuse = {&misuses_, [](void* to, const Misuse& misuse) noexcept {
                                static_cast<std::vector<ErrorCode>*>(to)->push_back(misuse.code);
                              }}});
};

TEST_P(HeapRetire, MemoryGoesBackWhenAllItsPointsHavePassed) {
  device_.timelines = {{1, 0}, {2, 0}};
  retire(make(), {at(1, 5), at(2, 9)});
  heap_.collect();
  EXPECT_EQ(live(), 1U);
  device_.timelines[2] = 9;
  heap_.collect();
  EXPECT_EQ(live(), 1U) << "one of two has passed";
  device_.timelines[1] = 4;
  heap_.collect();
  EXPECT_EQ(live(), 1U);
  device_.timelines[1] = 7;
  heap_.collect();
  EXPECT_EQ(live(), 0U);
  EXPECT_EQ(heap_.report().retired, 0U);
  retire(make(), {});
  heap_.collect();
  EXPECT_EQ(live(), 0U) << "no points: the next collect";
  EXPECT_EQ(heap_.validate(), nullptr);
  EXPECT_TRUE(misuses_.empty());
}

TEST_P(HeapRetire, InAnyOrderOfValues) {
  device_.timelines = {{1, 0}, {2, 0}, {3, 0}};
  Dice dice(GetParam());
  struct Waiting {
    HeapAllocation allocation;
    std::uint64_t values[3];
  };
  std::vector<Waiting> waiting;
  for (int step = 0; step < 60; ++step) {
    for (int i = 0; i < 3; ++i) {
      Waiting w{make(), {dice.below(40), dice.below(40), dice.below(40)}};
      retire(w.allocation,
             {at(1, w.values[0]), at(2, w.values[1]), at(3, w.values[2]), at(1, w.values[0] / 2)});
      waiting.push_back(w);
    }
    device_.timelines[1 + static_cast<std::uint32_t>(dice.below(3))] += dice.below(4);
    heap_.collect();
    std::erase_if(waiting, [&](const Waiting& w) {
      return w.values[0] <= device_.timelines[1] && w.values[1] <= device_.timelines[2] &&
             w.values[2] <= device_.timelines[3];
    });
    ASSERT_EQ(live(), waiting.size()) << "exactly those that have not passed";
    ASSERT_EQ(heap_.report().retired, waiting.size());
    ASSERT_EQ(heap_.validate(), nullptr);
  }
}

TEST_P(HeapRetire, AsksOncePerTimelineWhereNothingHasPassed) {
  device_.timelines = {{1, 10}, {2, 10}};
  for (std::uint64_t i = 0; i < 100; ++i)
    retire(make(), {at(1, 11 + i / 10), at(2, 11 + i / 20)});
  const std::uint64_t before = device_.questions();
  heap_.collect();
  EXPECT_EQ(device_.questions() - before, 1U) << "who waits for the one is not asked about for the other";
  device_.timelines = {{1, 1000}, {2, 1000}};
  const std::uint64_t late = device_.questions();
  heap_.collect();
  EXPECT_LE(device_.questions() - late, 6U) << "when all has passed, it does not ask for every value";
  EXPECT_EQ(live(), 0U);
}

TEST_P(HeapRetire, FreedOrRetiredTwiceIsTold_R6) {
  device_.timelines = {{1, 0}};
  const HeapAllocation allocation = make();
  retire(allocation, {at(1, 1)});
  EXPECT_EQ(heap_.try_free(allocation).error().code, ErrorCode::stale_handle);
  EXPECT_FALSE(heap_.find(allocation));
  EXPECT_EQ(heap_.retire(allocation, std::vector{at(1, 2)}).error().code, ErrorCode::stale_handle);
  heap_.free(allocation);
  EXPECT_EQ(misuses_, std::vector{ErrorCode::stale_handle});
  EXPECT_EQ(live(), 1U);
  device_.timelines[1] = 1;
  heap_.collect();
  EXPECT_EQ(live(), 0U);
  misuses_.clear();
  // Retired when it was gone already: at once, or, of a small one, when its time has come.
  const HeapAllocation gone = make();
  heap_.free(gone);
  const auto late = heap_.retire(gone, std::vector{at(1, 1)});
  heap_.collect();
  EXPECT_TRUE(!late || misuses_ == std::vector{ErrorCode::stale_handle});
  EXPECT_EQ(heap_.validate(), nullptr);
}

TEST_P(HeapRetire, ALostDeviceHasPassedEverything) {
  device_.timelines = {{1, 0}};
  retire(make(), {at(1, 1)});
  retire(make(), {at(1, 7), at(2, 3)});
  device_.lost = true;
  heap_.collect();
  EXPECT_EQ(live(), 0U);
}

TEST_P(HeapRetire, AnUnknownTimelineIsCountedAndWaitedFor) {
  retire(make(), {at(9, 1)});
  heap_.collect();
  EXPECT_EQ(live(), 1U);
  EXPECT_EQ(heap_.report().lost_timeline_questions, 1U);
  device_.timelines = {{9, 1}};
  heap_.collect();
  EXPECT_EQ(live(), 0U);
}

TEST_P(HeapRetire, AnotherReaderMayKnowTheTimelines) {
  std::uint64_t passed = 0;
  HeapConfig config;
  config.timelines = {&passed, [](void* p, TimelinePoint point) noexcept -> Result<bool> {
                        return point.value <= *static_cast<std::uint64_t*>(p);
                      }};
  auto heap = *SingleThreadedHeap::create(device_, config);
  ASSERT_TRUE(heap.retire(*heap.allocate(request_for(Bytes{GetParam()})), std::vector{at(1, 3)}));
  heap.collect();
  EXPECT_EQ(heap.report().total.allocations, 1U);
  passed = 3;
  heap.collect();
  EXPECT_EQ(heap.report().total.allocations, 0U);
  EXPECT_EQ(device_.questions(), 0U);
}

TEST_P(HeapRetire, WhatStillWaitsAtTheEndIsNoLeak) {
  std::uint64_t leaks = 0;
  {
    HeapConfig config;
    config.on_leak = {&leaks,
                      [](void* n, const HeapAllocationInfo&) noexcept { ++*static_cast<std::uint64_t*>(n); }};
    auto heap = *SingleThreadedHeap::create(device_, config);
    ASSERT_TRUE(heap.retire(*heap.allocate(request_for(Bytes{GetParam()})), std::vector{at(1, 3)}));
  }
  EXPECT_EQ(leaks, 0U);
}

// The handler is called under no lock, and may ask of the heap what it likes.
TEST_P(HeapRetire, WhoIsToldOfAMisuseMayCallTheHeap_R6) {
  device_.timelines = {{1, 1}};
  struct Told {
    SingleThreadedHeap* heap = nullptr;
    std::vector<std::string> functions;
  } told;
  HeapConfig config;
  const bool arena = Bytes{GetParam()} <= config.small;
  if (!arena) config.guards.margin = 64_B;
  config.on_misuse = {&told, [](void* to, const Misuse& misuse) noexcept {
                        Told& all = *static_cast<Told*>(to);
                        all.functions.emplace_back(misuse.function);
                        (void)all.heap->report();
                        all.heap->collect();
                        all.heap->trim();
                        all.heap->free(*all.heap->allocate(request_for(1_KiB)));
                        EXPECT_EQ(all.heap->validate(), nullptr);
                      }};
  auto heap = *SingleThreadedHeap::create(device_, config);
  told.heap = &heap;
  HeapRequest request = request_for(Bytes{GetParam()}, Alignment{256}, Intent::upload);
  if (!arena) request.mapping = Mapping::required;
  // Of each that waits something is wrong: it is gone already, or what is behind it was overwritten.
  for (int i = 0; i < 3; ++i) {
    const HeapAllocation allocation = *heap.allocate(request);
    if (arena) heap.free(allocation);
    if (!arena) allocation.mapped[allocation.size.value] = std::byte{1};
    ASSERT_TRUE(heap.retire(allocation, std::vector{at(1, 1)}));
  }
  heap.collect();
  EXPECT_EQ(told.functions, (std::vector<std::string>(3, "Heap::collect"))) << "each once";
  EXPECT_EQ(heap.report().total.allocations, 0U);
  EXPECT_EQ(heap.report().retired, 0U);
}

TEST_P(HeapRetire, AFreeThatTellsNobodyAnswers_R6) {
  const HeapAllocation allocation = make();
  EXPECT_EQ(heap_.free_silently(allocation), std::nullopt);
  const auto twice = heap_.free_silently(allocation);
  ASSERT_TRUE(twice);
  EXPECT_EQ(twice->code, ErrorCode::stale_handle);
  EXPECT_EQ(twice->subject, allocation.id.bits());
  EXPECT_TRUE(misuses_.empty());
  heap_.free(allocation);
  EXPECT_EQ(misuses_, std::vector{ErrorCode::stale_handle});
  auto guarded = *SingleThreadedHeap::create(device_, {.guards = {.margin = 64_B}});
  HeapRequest request = request_for(Bytes{GetParam()}, Alignment{256}, Intent::upload);
  request.mapping = Mapping::required;
  const HeapAllocation broken = *guarded.allocate(request);
  broken.mapped[broken.size.value] = std::byte{1};
  const auto margin = guarded.free_silently(broken);
  ASSERT_TRUE(margin);
  EXPECT_EQ(margin->code, ErrorCode::wrong_state);
  EXPECT_EQ(guarded.report().total.allocations, 0U) << "it is freed all the same";
}

INSTANTIATE_TEST_SUITE_P(Sizes, HeapRetire, testing::Values(500, 5000, 100000, 200 << 20));

}  // namespace
}  // namespace vaspace::test
