// Magazines before the slabs: no lock in steady state, nothing lost with a thread, nothing kept from others.
#include <array>
#include <atomic>
#include <barrier>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/device/address_backend.hpp"
#include "vaspace/range/slab_allocator.hpp"

#include "support/host.hpp"

namespace vaspace::test {
namespace {

HostObject<AddressBackend> addresses(bool paged = false) {
  static constexpr std::array<Bytes, 1> kPages{64_KiB};
  AddressBackendConfig config{.physical_size = 4_GiB};
  if (paged) config.page_sizes = kPages;
  return std::move(*AddressBackend::create(config));
}

template <class A>
A open(Backend& backend, ArenaConfig config = {}) {
  config.classes = kTunedSizeClasses;
  return std::move(*A::create(backend, config));
}

std::uint64_t parked(const AllocatorReport& report) {
  std::uint64_t slots = 0;
  for (const ArenaReport& arena : report.arenas)
    slots += arena.parked;
  return slots;
}
std::uint64_t acquisitions(const AllocatorReport& report) {
  std::uint64_t locks = 0;
  for (const ArenaReport& arena : report.arenas)
    locks += arena.lock_acquisitions;
  return locks;
}

// A free and an allocation of the same size class, over and over, in every slab class.
template <class A>
void pairs(A& arenas, int count) {
  std::vector<AllocationId> live;
  for (const SizeClass& one : kTunedSizeClasses) {
    if (one.strategy == Strategy::slab) live.push_back(arenas.allocate({.size = one.max_size})->id);
  }
  for (int i = 0; i < count; ++i) {
    for (std::size_t k = 0; k < live.size(); ++k) {
      arenas.free(live[k]);
      live[k] = arenas.allocate({.size = kTunedSizeClasses[k].max_size})->id;
    }
  }
  for (const AllocationId id : live)
    arenas.free(id);
}

TEST(Fronts, P8_ASteadyStatePairTakesNoLock) {
  for (const bool paged : {false, true}) {
    auto device = addresses(paged);
    auto arenas = open<ThreadSafeArenaAllocator>(*device);
    pairs(arenas, 10);
    // What a report takes by itself.
    const std::uint64_t first = acquisitions(arenas.report());
    const std::uint64_t second = acquisitions(arenas.report());
    pairs(arenas, 1000);
    EXPECT_EQ(acquisitions(arenas.report()) - second, second - first);
    // The count can fail: what has a name takes the lock.
    arenas.free(*arenas.allocate({.size = 100_B, .name = "named"}));
    const std::uint64_t third = acquisitions(arenas.report());
    arenas.free(*arenas.allocate({.size = 100_B, .name = "named"}));
    EXPECT_GT(acquisitions(arenas.report()) - third, second - first);
  }
}

TEST(Fronts, AThreadsEndGivesBackWhatItKept) {
  auto device = addresses(true);
  auto arenas = open<ThreadSafeArenaAllocator>(*device);
  const auto kept = arenas.allocate({.size = 200_B});
  ASSERT_TRUE(kept);
  const std::uint64_t mine = parked(arenas.report());
  std::uint64_t with_other = 0;
  std::thread([&] {
    pairs(arenas, 3);
    with_other = parked(arenas.report());
  }).join();
  EXPECT_GT(with_other, mine);
  EXPECT_EQ(parked(arenas.report()), mine);
  EXPECT_EQ(arenas.validate(), nullptr);
  arenas.free(*kept);
}

TEST(Fronts, CollectReclaimsWhatAnIdleThreadKeeps) {
  auto device = addresses(true);
  auto arenas = open<ThreadSafeArenaAllocator>(*device);
  std::barrier barrier(2);
  std::thread idle([&] {
    const auto first = arenas.allocate({.size = 200_B});
    const auto second = arenas.allocate({.size = 200_B});
    arenas.free(*first);
    barrier.arrive_and_wait();
    barrier.arrive_and_wait();
    // Its front is there again.
    pairs(arenas, 2);
    arenas.free(*second);
  });
  barrier.arrive_and_wait();
  EXPECT_GT(parked(arenas.report()), 0U);
  arenas.collect();
  EXPECT_GT(parked(arenas.report()), 0U) << "it was at work since the last time";
  arenas.collect();
  EXPECT_EQ(parked(arenas.report()), 0U);
  EXPECT_EQ(arenas.validate(), nullptr);
  barrier.arrive_and_wait();
  idle.join();
  EXPECT_EQ(arenas.live(), Bytes{});
  EXPECT_EQ(arenas.validate(), nullptr);
}

// DESIGN, decision 9: the cap is in bytes, whoever keeps them, and where reserving commits it is blocks that
// are kept.
TEST(Fronts, CollectKeepsNoMoreThanTheCapWhereReservingCommits) {
  auto device = std::move(*AddressBackend::create({.physical_size = 4_GiB, .reserve_commits = true}));
  auto arenas = open<ArenaAllocator>(*device, {.retain = {}, .retain_percent = 0});
  const auto stays = arenas.allocate({.size = 3_MiB});
  ASSERT_TRUE(stays);
  for (int i = 0; i < 3; ++i)
    arenas.free(*arenas.allocate({.size = 30_MiB}));
  EXPECT_GT(parked(arenas.report()), 0U);
  arenas.collect();
  EXPECT_EQ(parked(arenas.report()), 0U);
  EXPECT_EQ(arenas.validate(), nullptr);
  arenas.free(*stays);
}

// A look for idle fronts makes none of those look idle that are at work.
TEST(Fronts, ABusyFrontKeepsItsSlotsWhileAnIdleOneLosesThem) {
  auto device = addresses();
  auto arenas = open<ThreadSafeArenaAllocator>(*device);
  const auto mine = arenas.allocate({.size = 200_B});
  std::barrier barrier(2);
  std::thread idle([&] {
    const auto first = arenas.allocate({.size = 200_B});
    const auto second = arenas.allocate({.size = 200_B});
    arenas.free(*first);
    barrier.arrive_and_wait();
    barrier.arrive_and_wait();
    arenas.free(*second);
  });
  barrier.arrive_and_wait();
  arenas.collect();
  const auto more = arenas.allocate({.size = 200_B});
  const auto again = arenas.allocate({.size = 200_B});
  arenas.free(*again);
  arenas.collect();  // finds the other one idle, and this one not
  EXPECT_GT(parked(arenas.report()), 0U);
  barrier.arrive_and_wait();
  idle.join();
  arenas.free(*more);
  arenas.free(*mine);
}

// A front keeps its thread's speed, never an allocation from succeeding.
TEST(Fronts, R3_NothingIsRefusedForWhatOthersKeep) {
  static constexpr SizeClass kOne[] = {{4_KiB, 64_KiB, Strategy::slab}, {kMaxBytes, {}}};
  static constexpr std::array<Bytes, 1> kPages{64_KiB};
  auto device = std::move(*AddressBackend::create({.physical_size = 64_KiB, .page_sizes = kPages}));
  auto arenas = std::move(*ThreadSafeArenaAllocator::create(*device, {.classes = kOne}));
  std::barrier barrier(2);
  std::thread other([&] {
    std::vector<AllocationId> ids;
    for (int i = 0; i < 16; ++i)
      ids.push_back(arenas.allocate({.size = 4_KiB})->id);
    for (const AllocationId id : ids)
      arenas.free(id);
    barrier.arrive_and_wait();
    barrier.arrive_and_wait();
  });
  barrier.arrive_and_wait();
  EXPECT_GT(parked(arenas.report()), 0U);
  EXPECT_TRUE(arenas.can_allocate({.size = 4_KiB}));
  std::vector<AllocationId> ids;
  for (int i = 0; i < 16; ++i) {
    const auto allocation = arenas.allocate({.size = 4_KiB});
    ASSERT_TRUE(allocation) << i;
    ids.push_back(allocation->id);
  }
  EXPECT_FALSE(arenas.allocate({.size = 4_KiB})) << "the device has one page";
  for (const AllocationId id : ids)
    arenas.free(id);
  barrier.arrive_and_wait();
  other.join();
}

// R7: a thread that only frees asks for no host memory; one that cannot have a front does without.
TEST(Fronts, R7_NoHostMemoryForAFreeAndNoneNeededForAFront) {
  TestHost host;
  auto device = addresses();
  {
    auto arenas = open<ThreadSafeArenaAllocator>(*device, {.host = host.allocator()});
    const auto first = arenas.allocate({.size = 200_B});
    const auto second = arenas.allocate({.size = 200_B});
    ASSERT_TRUE(first && second);
    std::thread([&] {
      const std::int64_t requests = host.requests();
      arenas.free(*first);
      EXPECT_EQ(host.requests(), requests);
      host.fail_forever(true);
      host.fail_at(1);
      const auto third = arenas.allocate({.size = 200_B});
      EXPECT_TRUE(third);
      host.fail_forever(false);
      host.fail_at(0);
      arenas.free(*third);
    }).join();
    arenas.free(*second);
    EXPECT_EQ(arenas.validate(), nullptr);
  }
  EXPECT_EQ(host.bytes(), 0);
}

// R6 through magazines: twice freed, never given out, of another allocator.
TEST(Fronts, R6_ParkedSlotsAreNobodys) {
  auto device = addresses();
  auto arenas = open<ArenaAllocator>(*device);
  auto others = open<ArenaAllocator>(*device);
  const auto allocation = arenas.allocate({.size = 200_B});
  const auto theirs = others.allocate({.size = 200_B});
  ASSERT_TRUE(allocation && theirs);
  EXPECT_EQ(arenas.try_free(theirs->id).error().code, ErrorCode::unknown_handle);
  EXPECT_TRUE(arenas.try_free(allocation->id));
  EXPECT_EQ(arenas.try_free(allocation->id).error().code, ErrorCode::stale_handle);
  EXPECT_EQ(arenas.try_free(*allocation).error().code, ErrorCode::stale_handle);
  EXPECT_EQ(arenas.try_free(allocation->address).error().code, ErrorCode::unknown_address);
  AllocationId next = allocation->id;
  ++next.generation;
  EXPECT_EQ(arenas.try_free(next).error().code, ErrorCode::unknown_handle) << "it was never given out";
  // Right in all but its address.
  const auto again = arenas.allocate({.size = 200_B});
  ASSERT_TRUE(again);
  Allocation elsewhere = *again;
  elsewhere.address += 256_B;
  EXPECT_EQ(arenas.try_free(elsewhere).error().code, ErrorCode::unknown_handle);
  EXPECT_TRUE(arenas.try_free(*again));
  others.free(*theirs);
}

// R6: of two threads that free the same at the same moment, one does.
TEST(Fronts, R6_OneOfTwoParksTheSlot) {
  constexpr int kRounds = 200'000;
  auto slab = std::move(*TrackedSlabAllocator::create({.slot_size = 256_B, .capacity = 64_KiB}));
  const SlotRecords records = slab.slot_records();
  const std::uint32_t slot = slab.take();
  RangeId id{};
  std::atomic<int> round{0}, arrived{0}, parked{0};
  int wrong = 0;
  const auto race = [&](int now) {
    ++arrived;
    while (arrived < 2 * now) {
    }
    if (records.park<true>(id.index, id.generation) != 0) ++parked;
  };
  std::thread other([&] {
    for (int i = 1; i <= kRounds; ++i) {
      while (round != i) {
      }
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
    while (arrived != 2 * i + 1) {
    }
    if (parked != 1) ++wrong;
  }
  other.join();
  EXPECT_EQ(wrong, 0);
}

// More threads at once than there are fronts.
TEST(Fronts, ThreadsWithoutAFrontAllocateToo) {
  constexpr int kThreads = 300;
  auto device = addresses();
  auto arenas = open<ThreadSafeArenaAllocator>(*device);
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
    arenas = std::make_unique<ThreadSafeArenaAllocator>(open<ThreadSafeArenaAllocator>(*device));
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
  auto arenas = open<ThreadSafeArenaAllocator>(*device);
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
  auto arenas = open<ThreadSafeArenaAllocator>(*device, {.retain = {}, .retain_percent = 0});
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
