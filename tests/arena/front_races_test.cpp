// Fronts in threads that race, that are more than there are fronts, and that end in any order.
#include <array>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "vaspace/range/slab_allocator.hpp"

#include "arena/front_fixture.hpp"

namespace vaspace::test {
namespace {

// R6: of two threads that free the same at the same moment, one does.
TEST(Fronts, R6_OneOfTwoParksTheSlot) {
  constexpr int kRounds = 200'000;
  auto slab = std::move(*TrackedSlabAllocator::create({.slot_size = 256_B, .capacity = 64_KiB}));
  const SlotRecords records = slab.slot_records();
  const std::uint32_t slot = slab.take();
  RangeId id{};
  std::atomic<int> round{0}, arrived{0}, parked{0};
  int wrong = 0;
  // Closely, so that the two meet; but on a busy machine the other one may not run.
  const auto wait_until = [](auto&& holds) {
    for (int looks = 0; !holds(); ++looks)
      if (looks > 1000) std::this_thread::yield();
  };
  const auto race = [&](int now) {
    ++arrived;
    wait_until([&] { return arrived >= 2 * now; });
    if (records.park<true>(id.index, id.generation) != 0) ++parked;
  };
  std::thread other([&] {
    for (int i = 1; i <= kRounds; ++i) {
      wait_until([&] { return round == i; });
      race(i);
      ++arrived;
    }
  });
  for (int i = 1; i <= kRounds; ++i) {
    id = slab.activate(slot, 1_B);
    arrived = 2 * (i - 1);
    parked = 0;
    round = i;
    race(i);
    wait_until([&] { return arrived == 2 * i + 1; });
    if (parked != 1) ++wrong;
  }
  other.join();
  EXPECT_EQ(wrong, 0);
}

// More threads at once than there are fronts.
TEST(Fronts, ThreadsWithoutAFrontAllocateToo) {
  constexpr int kThreads = 300;
  auto device = addresses();
  auto arenas = open_tuned<ThreadSafeArenaAllocator>(*device);
  std::barrier barrier(kThreads);
  std::vector<std::thread> threads;
  std::atomic<int> refused{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const auto allocation = arenas.allocate({.size = 1_KiB});
      if (!allocation) ++refused;
      barrier.arrive_and_wait();
      if (allocation) arenas.free(*allocation);
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(parked(arenas.report()), 0U);
  EXPECT_EQ(arenas.live(), Bytes{});
  EXPECT_EQ(arenas.validate(), nullptr);
}

// Allocators come and go while threads that have used them live on, and the other way round.
TEST(Fronts, AllocatorsAndThreadsEndInAnyOrder) {
  auto device = addresses();
  std::unique_ptr<ThreadSafeArenaAllocator> arenas;
  std::barrier barrier(2);
  std::thread worker([&] {
    for (int i = 0; i < 50; ++i) {
      barrier.arrive_and_wait();
      pairs(*arenas, 2);
      std::thread([&] { pairs(*arenas, 1); }).join();
      barrier.arrive_and_wait();
    }
  });
  for (int i = 0; i < 50; ++i) {
    arenas = std::make_unique<ThreadSafeArenaAllocator>(open_tuned<ThreadSafeArenaAllocator>(*device));
    barrier.arrive_and_wait();
    barrier.arrive_and_wait();
    EXPECT_EQ(arenas->live(), Bytes{});
    arenas.reset();
  }
  worker.join();
}

// What is freed in a thread's own destructors, after its front has gone.
struct FreesLate {
  ThreadSafeArenaAllocator* arenas = nullptr;
  AllocationId id{};
  FreesLate() = default;
  FreesLate(const FreesLate&) = delete;
  FreesLate& operator=(const FreesLate&) = delete;
  ~FreesLate() {
    if (arenas != nullptr) arenas->free(id);
  }
};

TEST(Fronts, AFreeAfterTheThreadsFrontHasGone) {
  auto device = addresses();
  auto arenas = open_tuned<ThreadSafeArenaAllocator>(*device);
  std::thread([&] {
    thread_local FreesLate late;  // made before the front, so that it ends after it
    late.arenas = &arenas;
    late.id = arenas.allocate({.size = 1_KiB})->id;
  }).join();
  EXPECT_EQ(arenas.live(), Bytes{});
  EXPECT_EQ(parked(arenas.report()), 0U);
  EXPECT_EQ(arenas.validate(), nullptr);
}

// Threads hand each other what they allocate, while others empty their fronts, count and free by address.
TEST(Fronts, T1_StressOfPassingOnWhileOthersEmptyTheFronts) {
  constexpr int kThreads = 3;
  constexpr int kRounds = 100'000;
  auto device = addresses(true);
  auto arenas = open_tuned<ThreadSafeArenaAllocator>(*device, {.retain = {}, .retain_percent = 0});
  // A slot of a table per thread and size, exchanged for another: whoever takes it out frees it.
  std::array<std::atomic<std::uint64_t>, 64> table{};
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<std::uint64_t>(t));
      for (int i = 0; i < kRounds; ++i) {
        const auto allocation = arenas.allocate({.size = Bytes{1 + random() % 4096}});
        if (!allocation) {
          ++wrong;
          continue;
        }
        const std::uint64_t other = table[random() % table.size()].exchange(allocation->id.bits());
        const AllocationId id{static_cast<std::uint32_t>(other), static_cast<std::uint32_t>(other >> 32U)};
        if (other != 0 && !arenas.try_free(id)) ++wrong;
        if (other != 0 && arenas.try_free(id)) ++wrong;  // twice
      }
    });
  }
  std::thread emptier([&] {
    for (int i = 0; !done; ++i) {
      i % 2 == 0 ? arenas.flush() : arenas.collect();
      const AllocatorReport report = arenas.report();
      if (report.total.live > report.total.used || report.total.used > report.total.reserved) ++wrong;
    }
  });
  for (std::thread& thread : threads)
    thread.join();
  done = true;
  emptier.join();
  EXPECT_EQ(wrong, 0);
  std::uint64_t left = 0;
  for (const std::atomic<std::uint64_t>& entry : table)
    left += entry != 0 ? 1U : 0U;
  EXPECT_EQ(arenas.report().total.live_allocations, left);
  EXPECT_EQ(arenas.validate(), nullptr);
  for (const std::atomic<std::uint64_t>& entry : table) {
    const std::uint64_t bits = entry;
    if (bits != 0)
      arenas.free(AllocationId{static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32U)});
  }
  arenas.flush();
  EXPECT_EQ(arenas.committed(), Bytes{});
}

}  // namespace
}  // namespace vaspace::test
