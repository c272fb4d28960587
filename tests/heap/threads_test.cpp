// T1 and T3 with threads that really meet. T2 is in driver_calls_test.cpp.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "vaspace/device/address_backend.hpp"

#include "ledger.hpp"

namespace vaspace::test {
namespace {

// Every thread allocates, and frees or retires what it or another made.
TEST(HeapThreads, AnyThreadAllocatesFreesAndRetires_T1) {
  constexpr int kThreads = 4;
  constexpr int kSlots = 64;
  PlainDevice device(unified(64_GiB));
  device.timelines = {{1, 1000}};
  auto heap = *Heap::create(device, {.buffer_image_granularity = Alignment{1024}});
  std::mutex locks[kSlots];
  HeapAllocation slots[kSlots]{};
  std::atomic<bool> wrong{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Dice dice(static_cast<std::uint64_t>(t));
      const std::vector<TimelinePoint> points{{TimelineId{1}, 5}};
      for (int i = 0; i < 3000; ++i) {
        const std::size_t which = dice.below(kSlots);
        const std::lock_guard lock(locks[which]);
        HeapAllocation& slot = slots[which];
        if (slot) {
          if (slot.mapped != nullptr && *slot.mapped != std::byte(which)) wrong = true;
          if (dice.below(3) == 0) {
            if (!heap.retire(slot, points)) wrong = true;
          } else {
            heap.free(slot);
          }
          slot = {};
        } else {
          HeapRequest request =
              request_for(Bytes{1 + dice.below(std::uint64_t{1} << (4 + dice.below(16)))}, Alignment{64},
                          Intent::device, static_cast<ResourceKind>(dice.below(2)));
          request.mapping = dice.below(2) == 0 ? Mapping::required : Mapping::none;
          request.movable = dice.below(4) == 0;
          const auto allocation = heap.allocate(request);
          if (!allocation) {
            wrong = true;
          } else {
            slot = *allocation;
            if (slot.mapped != nullptr) *slot.mapped = std::byte(which);
          }
        }
        if (i % 128 == 0) heap.collect();
        if (i % 512 == 0) (void)heap.report();
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_FALSE(wrong);
  EXPECT_EQ(heap.validate(), nullptr);
  for (const HeapAllocation& slot : slots)
    if (slot) heap.free(slot);
  heap.collect();
  EXPECT_EQ(heap.report().total.allocations, 0U);
  EXPECT_EQ(heap.trim(), 0_B);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
}

// Two threads do `step` so often, while another does `meanwhile` over and over.
template <class Step, class Meanwhile>
void while_two_do(int often, std::uint64_t seed, Step&& step, Meanwhile&& meanwhile) {
  std::atomic<bool> done{false};
  std::thread beside([&] {
    while (!done)
      meanwhile();
  });
  std::vector<std::thread> two;
  for (std::uint64_t t = 0; t < 2; ++t) {
    two.emplace_back([&, t] {
      Dice dice(t + seed);
      for (int i = 0; i < often; ++i)
        step(dice);
    });
  }
  for (std::thread& thread : two)
    thread.join();
  done = true;
  beside.join();
}

void free_all(Heap& heap, const std::vector<HeapAllocation>& live) {
  EXPECT_EQ(heap.validate(), nullptr);
  for (const HeapAllocation& a : live)
    if (a) heap.free(a);
  EXPECT_EQ(heap.trim(), 0_B);
}

// One plans and ends moves while others free what is being moved.
TEST(HeapThreads, FreesWhileMovesAreUnderWay_T3) {
  PlainDevice device(unified(64_GiB));
  auto heap = *Heap::create(device, {.largest_block = 8_MiB, .keep = 0_B});
  constexpr std::size_t kCount = 300;
  std::mutex mutex;
  std::vector<HeapAllocation> live(kCount);
  std::atomic<int> wrong{0};
  const auto refill = [&](Dice& dice) {
    const std::lock_guard lock(mutex);
    HeapAllocation& a = live[dice.below(kCount)];
    if (a) {
      if (!heap.try_free(a)) ++wrong;
      a = {};
    } else if (dice.below(6) == 0) {
      HeapRequest request = request_for(Bytes{70'000 + dice.below(400'000)});
      request.movable = true;
      const auto made = heap.allocate(request);
      if (made)
        a = *made;
      else
        ++wrong;
    }
  };
  Dice first(9);
  for (int i = 0; i < 3000; ++i)
    refill(first);
  const auto move_some = [&] {
    std::vector<Move> moves(8);
    const auto planned = heap.plan_moves({}, moves);
    if (!planned) ++wrong;
    for (std::uint32_t i = 0; i < planned.value_or(0); ++i) {
      const std::lock_guard lock(mutex);
      const auto now = heap.commit_move(moves[i]);
      if (!now) {
        ++wrong;
      } else if (*now) {
        bool known = false;
        for (HeapAllocation& a : live) {
          if (a.id != now->id) continue;
          a = *now;
          known = true;
        }
        if (!known) ++wrong;
      }
    }
    heap.collect();
  };
  while_two_do(4000, 20, refill, move_some);
  EXPECT_EQ(wrong, 0);
  free_all(heap, live);
}

// What is mapped stays where it is, and what was planned before that changes nothing (V10).
TEST(HeapThreads, MapsPinsAndRetiresWhileMovesAreUnderWay_V10_T1_T3) {
  PlainDevice device(unified(64_GiB));
  device.timelines = {{1, 1000}};
  auto heap = *Heap::create(device, {.largest_block = 8_MiB, .keep = 0_B, .keep_percent = 0});
  constexpr std::size_t kCount = 120;
  std::mutex mutex;  // of the handles, which a commit changes
  std::vector<HeapAllocation> live(kCount);
  std::atomic<int> wrong{0};
  const std::vector<TimelinePoint> points{{TimelineId{1}, 5}};
  HeapRequest request = request_for(100_KiB);
  request.movable = true;
  const auto step = [&](Dice& dice) {
    std::unique_lock lock(mutex);
    HeapAllocation& a = live[dice.below(kCount)];
    if (!a) {
      request.requirements.size = Bytes{70'000 + dice.below(400'000)};
      a = *heap.allocate(request);
      return;
    }
    const std::uint64_t what = dice.below(4);
    if (what == 0) {
      if (!heap.retire(std::exchange(a, {}), points)) ++wrong;
    } else if (what == 1) {
      if (!heap.pin(a) || !heap.unpin(a)) ++wrong;
    } else {
      const HeapAllocation held = std::exchange(a, {});  // this thread's alone
      lock.unlock();
      const auto mapped = heap.map(held);
      if (!mapped) {
        ++wrong;
        return;
      }
      **mapped = std::byte{7};
      std::this_thread::yield();
      const auto where = heap.find(held);
      if (!where || where->allocation.address != held.address || !heap.unmap(held)) ++wrong;
      heap.free(held);
    }
  };
  const auto move_some = [&] {
    std::vector<Move> moves(8);
    const auto planned = heap.plan_moves({}, moves);
    std::this_thread::yield();
    for (std::uint32_t i = 0; i < planned.value_or(0); ++i) {
      const std::lock_guard lock(mutex);
      const auto slot = std::find_if(live.begin(), live.end(),
                                     [&](const HeapAllocation& a) { return a.id == moves[i].source.id; });
      // Whoever holds it alone may map it at any moment: only what is in its slot is committed.
      if (slot == live.end()) {
        if (!heap.abandon_move(moves[i], points)) ++wrong;
        continue;
      }
      const auto now = heap.commit_move(moves[i], points);
      if (!now) ++wrong;
      if (now && *now) *slot = *now;
    }
    heap.collect();
  };
  while_two_do(2500, 30, step, move_some);
  EXPECT_EQ(wrong, 0);
  free_all(heap, live);
  EXPECT_EQ(heap.report().moves_open, 0U);
  EXPECT_EQ(heap.report().retired, 0U);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
}

// Few sizes, so that places are kept; whoever frees is not who allocated; others look, collect and plan.
TEST(HeapThreads, PlacesThatAreKeptAreNobodysTwice_T1_R1) {
  PlainDevice device(unified(64_GiB));
  auto heap = *Heap::create(device, {.first_block = 16_MiB, .largest_block = 64_MiB});
  constexpr std::size_t kSlots = 48;
  std::array<std::atomic<HeapAllocation*>, kSlots> slots{};
  std::atomic<int> wrong{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Dice dice(t + 60);
      for (int i = 0; i < 4000; ++i) {
        HeapRequest request = request_for(Bytes{(1 + dice.below(3)) * 400'000});
        request.mapping = Mapping::required;
        request.movable = dice.below(3) == 0;
        const auto made = heap.allocate(request);
        if (!made) {
          ++wrong;
          continue;
        }
        auto* mine = new HeapAllocation(*made);
        std::memcpy(mine->mapped, &mine->id, sizeof(mine->id));
        HeapAllocation* others = slots[dice.below(kSlots)].exchange(mine);
        if (others == nullptr) continue;
        if (std::memcmp(others->mapped, &others->id, sizeof(others->id)) != 0) ++wrong;
        if (!heap.try_free(*others)) ++wrong;
        delete others;
      }
    });
  }
  std::thread looker([&] {
    std::vector<Move> moves(4);
    while (!done) {
      if (heap.report().total.allocations > kSlots + 4) ++wrong;
      const auto planned = heap.plan_moves({}, moves);
      for (std::uint32_t i = 0; i < planned.value_or(0); ++i)
        if (!heap.abandon_move(moves[i])) ++wrong;
      heap.collect();
    }
  });
  for (std::thread& thread : threads)
    thread.join();
  done = true;
  looker.join();
  for (auto& slot : slots) {
    if (HeapAllocation* left = slot.load()) {
      heap.free(*left);
      delete left;
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(heap.validate(), nullptr);
  EXPECT_EQ(heap.report().total.allocations, 0U);
  EXPECT_EQ(heap.trim(), 0_B);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
}

// Where pages are bound the arenas do all the work, and every page passes the gate.
TEST(HeapThreads, PagesPassTheGateToo_V16) {
  const Bytes pages[] = {64_KiB};
  auto device = *AddressBackend::create({.physical_size = 256_MiB, .page_sizes = pages});
  HeapConfig config;
  config.heap_limits[0] = 32_MiB;
  auto heap = *Heap::create(*device, config);
  std::vector<HeapAllocation> live;
  for (;;) {
    const auto next = heap.allocate(request_for(300_KiB));
    if (!next) {
      EXPECT_EQ(next.error().code, ErrorCode::out_of_device_memory);
      break;
    }
    live.push_back(*next);
    EXPECT_EQ(next->block, 0U);
    EXPECT_LE(device->budget(0)->usage, 32_MiB);
  }
  EXPECT_GT(live.size(), 90U);
  EXPECT_EQ(heap.validate(), nullptr);
  EXPECT_EQ(heap.report().total.allocations, live.size());
  EXPECT_EQ(heap.create_pool({.memory_type = 0}).error().code, ErrorCode::not_supported);
  std::vector<Move> moves(1);
  EXPECT_EQ(heap.plan_moves({}, moves).error().code, ErrorCode::not_supported);
  heap.free(live);
  EXPECT_EQ(heap.trim(), 0_B);
  EXPECT_EQ(device->budget(0)->usage, 0_B);
}

}  // namespace
}  // namespace vaspace::test
