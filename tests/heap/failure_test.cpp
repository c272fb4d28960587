// R7: whatever is refused, by the host or by the driver, at whichever call: the state is as it was.
#include <functional>
#include <vector>

#include "ledger.hpp"
#include "support/faulty_backend.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

struct State {
  std::uint64_t allocations = 0;
  Bytes live{};
  std::uint64_t retired = 0;

  friend bool operator==(const State&, const State&) = default;
};

State state_of(const SingleThreadedHeap& heap) {
  const HeapReport report = heap.report();
  return {report.total.allocations, report.total.live, report.retired};
}

// What a test tries while things fail; true: it succeeded.
using Step = std::function<bool(SingleThreadedHeap&)>;

struct Scene {
  const char* name;
  std::function<void(SingleThreadedHeap&, std::vector<HeapAllocation>&)> before;
  Step step;
  bool one_call = false;  // that takes memory and, where it fails, has it from nobody but the device
};

bool allocated(SingleThreadedHeap& heap, const HeapRequest& request) {
  const auto allocation = heap.allocate(request);
  if (allocation) heap.free(*allocation);
  return allocation.has_value();
}

std::vector<Scene> scenes() {
  const auto nothing = [](SingleThreadedHeap&, std::vector<HeapAllocation>&) {};
  std::vector<Scene> all;
  for (const Bytes size : {400_B, 5_KiB, 100_KiB, 1_MiB, 200_MiB}) {
    for (const bool named : {false, true}) {
      all.push_back({"allocate", nothing,
                     [=](SingleThreadedHeap& heap) {
                       HeapRequest request = request_for(size, Alignment{256}, Intent::upload);
                       request.requirements.memory_type_bits = 0b10;
                       request.mapping = Mapping::required;
                       if (named) request.name = "a name that is long enough to be somewhere else";
                       return allocated(heap, request);
                     },
                     true});
    }
  }
  all.push_back({"dedicated", nothing,
                 [](SingleThreadedHeap& heap) {
                   HeapRequest request = request_for(1_MiB);
                   request.dedicated = DedicatedWish::required;
                   request.resource = {MemoryTraits::Dedicated::buffer, 4};
                   return allocated(heap, request);
                 },
                 true});
  all.push_back({"dedicated and mapped", nothing,
                 [](SingleThreadedHeap& heap) {
                   HeapRequest request = request_for(1_GiB, Alignment{256}, Intent::upload);
                   request.requirements.memory_type_bits = 0b10;
                   request.dedicated = DedicatedWish::required;
                   request.mapping = Mapping::required;
                   return allocated(heap, request);
                 },
                 true});
  all.push_back({"batch", nothing,
                 [](SingleThreadedHeap& heap) {
                   std::vector<HeapRequest> requests(12, request_for(600_KiB));
                   std::vector<HeapAllocation> out(12);
                   const bool done = heap.allocate(requests, out).has_value();
                   if (done) heap.free(out);
                   return done;
                 },
                 true});
  all.push_back({"batch of dedicated ones", nothing,
                 [](SingleThreadedHeap& heap) {
                   std::vector<HeapRequest> requests(4, request_for(600_KiB));
                   for (HeapRequest& request : requests)
                     request.dedicated = DedicatedWish::required;
                   std::vector<HeapAllocation> out(4);
                   const bool done = heap.allocate(requests, out).has_value();
                   if (done) heap.free(out);
                   return done;
                 },
                 true});
  for (const PoolStrategy strategy : {PoolStrategy::object, PoolStrategy::linear, PoolStrategy::ring}) {
    all.push_back({"pool", nothing, [=](SingleThreadedHeap& heap) {
                     const auto pool = heap.create_pool(
                         {.strategy = strategy, .memory_type = 0, .block_size = 1_MiB, .name = "pool"});
                     if (!pool) return false;
                     HeapRequest request = request_for(10_KiB);
                     request.pool = *pool;
                     const bool done = allocated(heap, request);
                     EXPECT_TRUE(heap.destroy_pool(*pool));
                     return done;
                   }});
  }
  const auto one = [](SingleThreadedHeap& heap, std::vector<HeapAllocation>& live) {
    HeapRequest request = request_for(200_KiB);
    request.aliasable = true;
    live.push_back(*heap.allocate(request));
    live.push_back(*heap.allocate(request_for(1_KiB)));
  };
  all.push_back({"alias", one, [](SingleThreadedHeap& heap) {
                   HeapRequest request = request_for(100_KiB);
                   request.aliasable = true;
                   const auto first = heap.allocate(request);
                   if (!first) return false;
                   const auto second = heap.alias(*first);
                   if (second) heap.free(*second);
                   heap.free(*first);
                   return second.has_value();
                 }});
  all.push_back({"retire", one, [](SingleThreadedHeap& heap) {
                   const auto first = heap.allocate(request_for(100_KiB));
                   const auto second = heap.allocate(request_for(1_KiB));
                   const std::vector<TimelinePoint> points{{TimelineId{1}, 1}, {TimelineId{2}, 1}};
                   bool done = first && second;
                   for (const auto& allocation : {first, second}) {
                     if (!allocation) continue;
                     const bool retired = heap.retire(*allocation, points).has_value();
                     if (!retired) heap.free(*allocation);
                     done = done && retired;
                   }
                   heap.collect();
                   return done;
                 }});
  all.push_back({"moves",
                 [](SingleThreadedHeap& heap, std::vector<HeapAllocation>& live) {
                   HeapRequest request = request_for(500_KiB);
                   request.movable = true;
                   for (int i = 0; i < 60; ++i)
                     live.push_back(*heap.allocate(request));
                   std::vector<HeapAllocation> kept;
                   for (std::size_t i = 0; i < live.size(); ++i) {
                     if (i % 6 == 0) {
                       kept.push_back(live[i]);
                     } else {
                       heap.free(live[i]);
                     }
                   }
                   live = kept;
                 },
                 [](SingleThreadedHeap& heap) {
                   std::vector<Move> moves(4);
                   const auto planned = heap.plan_moves({}, moves);
                   if (!planned) return false;
                   EXPECT_GT(*planned, 0U);
                   const std::vector<TimelinePoint> points{{TimelineId{1}, 1}};
                   bool done = true;
                   for (std::uint32_t i = 0; i < *planned; ++i) {
                     const bool abandoned = heap.abandon_move(moves[i], points).has_value();
                     if (!abandoned) {
                       EXPECT_TRUE(heap.abandon_move(moves[i])) << "the move is still open";
                     }
                     done = done && abandoned;
                   }
                   heap.collect();
                   return done;
                 }});
  return all;
}

// Before anything is collected or trimmed: what a call took and could not use goes back with its refusal.
void expect_nothing_held(const SingleThreadedHeap& heap, const PlainDevice& device) {
  EXPECT_EQ(device.held_objects(), 0U);
  EXPECT_EQ(heap.report().memory_objects, 0U);
  EXPECT_EQ(heap.report().total.committed, 0_B);
}

TEST(HeapFailure, HostMemoryRefusedAtEachRequest_R7) {
  for (const Scene& scene : scenes()) {
    bool reached = true;
    for (int nth = 1; reached; ++nth) {
      SCOPED_TRACE(testing::Message() << scene.name << ", the host refuses request " << nth);
      ASSERT_LT(nth, 400);
      TestHost host;
      PlainDevice device(discrete());
      device.timelines = {{1, 1}, {2, 1}};
      {
        auto heap = *SingleThreadedHeap::create(device, {.host = host.allocator()});
        std::vector<HeapAllocation> live;
        scene.before(heap, live);
        const State before = state_of(heap);
        const std::int64_t requests = host.requests();
        host.fail_at(nth);
        const bool succeeded = scene.step(heap);
        reached = host.requests() - requests >= nth;
        host.fail_at(0);
        EXPECT_TRUE(succeeded || reached);
        if (scene.one_call && !succeeded) expect_nothing_held(heap, device);
        ASSERT_EQ(state_of(heap), before);
        ASSERT_EQ(heap.validate(), nullptr);
        for (const HeapAllocation& allocation : live)
          ASSERT_TRUE(heap.find(allocation));
        heap.free(live);
        EXPECT_EQ(heap.trim(), 0_B);
      }
      EXPECT_EQ(device.held_objects(), 0U);
      EXPECT_EQ(host.bytes(), 0);
    }
  }
}

TEST(HeapFailure, TheDriverRefusesEachCall_R7) {
  for (const Error error : {Error{ErrorCode::out_of_device_memory, -2}, Error{ErrorCode::device_lost, -4},
                            Error{ErrorCode::driver_error, -13}}) {
    for (const Scene& scene : scenes()) {
      bool reached = true;
      for (int nth = 1; reached; ++nth) {
        SCOPED_TRACE(testing::Message() << scene.name << ", the driver refuses call " << nth);
        ASSERT_LT(nth, 200);
        PlainDevice device(discrete());
        device.timelines = {{1, 1}, {2, 1}};
        FaultyBackend faulty(device);
        {
          auto heap = *SingleThreadedHeap::create(faulty);
          std::vector<HeapAllocation> live;
          scene.before(heap, live);
          const State before = state_of(heap);
          faulty.fail_any_at(nth, error);
          const bool succeeded = scene.step(heap);
          reached = faulty.refused() != 0;
          faulty.stop_failing();
          if (scene.one_call && !succeeded) expect_nothing_held(heap, device);
          ASSERT_EQ(state_of(heap), before);
          ASSERT_EQ(heap.validate(), nullptr);
          heap.free(live);
          EXPECT_EQ(heap.trim(), 0_B);
        }
        EXPECT_EQ(device.held_objects(), 0U);
        EXPECT_EQ(device.broken(), std::vector<std::string>{});
      }
    }
  }
}

// The native code comes through when there is nobody left to ask.
TEST(HeapFailure, TheDriversOwnCodeIsInTheError) {
  PlainDevice device(discrete());
  FaultyBackend faulty(device);
  auto heap = *SingleThreadedHeap::create(faulty);
  faulty.fail_at(Call::reserve, 1, {ErrorCode::device_lost, -4}, true);
  for (const Bytes size : {1_KiB, 100_KiB, 200_MiB})
    EXPECT_EQ(heap.allocate(request_for(size)).error(), (Error{ErrorCode::device_lost, -4}));
  faulty.fail_at(Call::reserve, 1, {ErrorCode::driver_error, -1000}, true);
  for (const Bytes size : {1_KiB, 100_KiB, 200_MiB})
    EXPECT_EQ(heap.allocate(request_for(size)).error(), (Error{ErrorCode::driver_error, -1000}));
  faulty.fail_at(Call::map, 1, {ErrorCode::driver_error, -5}, true);
  faulty.stop_failing();
  faulty.fail_at(Call::map, 1, {ErrorCode::driver_error, -5}, true);
  HeapRequest mapped = request_for(1_KiB, {}, Intent::upload);
  mapped.requirements.memory_type_bits = 0b10;
  mapped.mapping = Mapping::required;
  EXPECT_EQ(heap.allocate(mapped).error(), (Error{ErrorCode::driver_error, -5}));
  EXPECT_EQ(heap.report().total.allocations, 0U);
}

// Refused at every try, or at the first of two types: what could not be mapped is not kept.
TEST(HeapFailure, WhatCannotBeMappedGoesBackAtOnce_R7) {
  HeapRequest alone = request_for(1_GiB, {}, Intent::upload);
  alone.dedicated = DedicatedWish::required;
  for (HeapRequest request :
       {request_for(1_KiB, {}, Intent::upload), request_for(300_KiB, {}, Intent::upload), alone}) {
    SCOPED_TRACE(request.requirements.size.value);
    request.mapping = Mapping::required;
    PlainDevice device(discrete());
    FaultyBackend faulty(device);
    auto heap = *SingleThreadedHeap::create(faulty);
    faulty.fail_at(Call::map, 1, {ErrorCode::driver_error, -5}, true);
    request.requirements.memory_type_bits = 0b010;
    EXPECT_EQ(heap.allocate(request).error(), (Error{ErrorCode::driver_error, -5}));
    expect_nothing_held(heap, device);
    faulty.stop_failing();
    if (request.dedicated != DedicatedWish::required) continue;
    faulty.fail_at(Call::map, 1, {ErrorCode::driver_error, -5});
    request.requirements.memory_type_bits = 0b110;
    const auto next_best = heap.allocate(request);
    ASSERT_TRUE(next_best);
    EXPECT_EQ(device.held_objects(), 1U);
    heap.free(*next_best);
  }
}

// Who makes more of an allocation, and fails, takes it back at once; what waits for the device still waits.
TEST(HeapFailure, WhatIsUnusedGoesBackWhenItIsAskedFor_R7) {
  PlainDevice device(discrete());
  device.timelines = {{1, 1}};
  auto heap = *SingleThreadedHeap::create(device);
  HeapRequest alone = request_for(1_MiB);
  alone.dedicated = DedicatedWish::required;
  const HeapAllocation waits = *heap.allocate(alone);
  ASSERT_TRUE(heap.retire(waits, std::vector{at(1, 1)}));
  for (const HeapRequest& request : {request_for(1_KiB), request_for(300_KiB), alone}) {
    heap.free(*heap.allocate(request));
    EXPECT_EQ(device.held_objects(), 2U);
    heap.give_back_unused();
    EXPECT_EQ(device.held_objects(), 1U);
    EXPECT_EQ(heap.report().retired, 1U);
    EXPECT_EQ(heap.validate(), nullptr);
  }
  heap.collect();
  EXPECT_EQ(device.held_objects(), 0U);
}

// What the driver does not take back is kept, counted and offered again.
TEST(HeapFailure, AReleaseThatIsRefusedIsTriedAgain_R7) {
  PlainDevice device(discrete());
  FaultyBackend faulty(device);
  auto heap = *SingleThreadedHeap::create(faulty);
  const auto allocation = *heap.allocate(request_for(200_MiB));
  heap.free(allocation);
  faulty.fail_at(Call::release, 1, {ErrorCode::driver_error, -1}, true);
  heap.collect();
  EXPECT_EQ(heap.report().refused_by_driver, 1U);
  EXPECT_EQ(heap.report().total.committed, 200_MiB);
  EXPECT_EQ(heap.validate(), nullptr);
  faulty.stop_failing();
  heap.collect();
  EXPECT_EQ(device.held_objects(), 0U);
  EXPECT_EQ(heap.report().total.committed, 0_B);
}

}  // namespace
}  // namespace vaspace::test
