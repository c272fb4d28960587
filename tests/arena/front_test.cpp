// Magazines before the slabs: no lock in steady state, nothing lost with a thread, nothing kept from others.
#include <array>
#include <barrier>
#include <cstdint>
#include <gtest/gtest.h>
#include <thread>
#include <utility>
#include <vector>

#include "arena/front_fixture.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

TEST(Fronts, P8_ASteadyStatePairTakesNoLock) {
  for (const bool paged : {false, true}) {
    auto device = addresses(paged);
    auto arenas = open_tuned<ThreadSafeArenaAllocator>(*device);
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
  auto arenas = open_tuned<ThreadSafeArenaAllocator>(*device);
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
  auto arenas = open_tuned<ThreadSafeArenaAllocator>(*device);
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
  auto arenas = open_tuned<ArenaAllocator>(*device, {.retain = {}, .retain_percent = 0});
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
  auto arenas = open_tuned<ThreadSafeArenaAllocator>(*device);
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
    auto arenas = open_tuned<ThreadSafeArenaAllocator>(*device, {.host = host.allocator()});
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
  auto arenas = open_tuned<ArenaAllocator>(*device);
  auto others = open_tuned<ArenaAllocator>(*device);
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

}  // namespace
}  // namespace vaspace::test
