// T2: while one thread's bind is held back in the driver, nobody waits but who needs that very page.
#include <atomic>
#include <cstring>
#include <gtest/gtest.h>
#include <optional>
#include <thread>
#include <vector>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/arena/default_allocator.hpp"
#include "vaspace/backends/cpu.hpp"

#include "support/gate_backend.hpp"

namespace vaspace::test {
namespace {

using Outcome = std::optional<Result<Allocation>>;

// A device, a gate before it, and an allocator whose first page of the 512 B arena is about to be bound.
class HeldBind : public testing::Test {
 protected:
  HeldBind()
      : device_(std::move(*cpu::Backend::create({.physical_size = 64_MiB}))),
        gate_(*device_),
        arenas_(std::move(*ThreadSafeArenaAllocator::create(gate_, {.retain = {}, .retain_percent = 0}))) {}

  // Allocates in the background; the bind that this takes stands at the gate when this returns.
  std::thread hold(Bytes size, Outcome& outcome) {
    gate_.hold_next_bind();
    std::thread thread([this, size, &outcome] { outcome.emplace(arenas_.allocate({.size = size})); });
    gate_.wait_until_held();
    return thread;
  }
  HostObject<cpu::Backend> device_;
  GateBackend gate_;
  ThreadSafeArenaAllocator arenas_;
};

TEST_F(HeldBind, T2_OthersGoOnAndAFailedBindRollsBackForAllWhoNeedThePage) {
  // Something is committed already, in another arena and in another page of the same one.
  const auto elsewhere = arenas_.allocate({.size = 3_KiB});
  std::vector<Allocation> first_page;
  for (int i = 0; i < 128; ++i)
    first_page.push_back(*arenas_.allocate({.size = 512_B}));
  ASSERT_TRUE(elsewhere);
  const AllocatorReport before = arenas_.report();

  Outcome binder;  // takes the first slot of the second page
  std::thread one = hold(512_B, binder);
  Outcome waiter;  // takes the second slot of that page, and must wait for it
  std::thread three([&] { waiter.emplace(arenas_.allocate({.size = 512_B})); });
  // Both are placed; nobody can free what is not handed out yet (R6).
  while (arenas_.report().arenas[0].under_way != 2)
    std::this_thread::yield();
  const Address second_page = first_page[0].address + 64_KiB;
  EXPECT_EQ(arenas_.try_free(second_page).error().code, ErrorCode::unknown_address);
  EXPECT_EQ(arenas_.find(second_page + 512_B).error().code, ErrorCode::unknown_address);
  // Another thread allocates and frees to completion: another arena, new pages and reservations, and slots of
  // the same arena whose page is there.
  std::thread two([&] {
    for (int i = 0; i < 100; ++i) {
      const auto small = arenas_.allocate({.size = 3_KiB});
      const auto large = arenas_.allocate({.size = 1_MiB});
      ASSERT_TRUE(small && large);
      std::memset(reinterpret_cast<void*>(large->address.value), i, large->size.value);
      arenas_.free(*small);
      arenas_.free(large->address);
      arenas_.free(first_page[0]);
      const auto again = arenas_.allocate({.size = 512_B});
      ASSERT_TRUE(again);
      ASSERT_EQ(again->address, first_page[0].address);
      first_page[0] = *again;
      arenas_.collect();
    }
  });
  two.join();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(gate_.held());
  EXPECT_FALSE(binder || waiter);

  gate_.open_with({ErrorCode::driver_error, -4});
  one.join();
  three.join();
  ASSERT_TRUE(binder && waiter);
  ASSERT_FALSE(*binder);
  EXPECT_EQ(binder->error(), (Error{ErrorCode::driver_error, -4}));
  ASSERT_FALSE(*waiter);
  EXPECT_EQ(waiter->error(), (Error{ErrorCode::driver_error, -4}));
  EXPECT_EQ(arenas_.find(second_page).error().code, ErrorCode::unknown_address);
  EXPECT_EQ(arenas_.find(second_page + 512_B).error().code, ErrorCode::unknown_address);

  arenas_.flush();
  const AllocatorReport after = arenas_.report();
  EXPECT_EQ(after.total.live, before.total.live);
  EXPECT_EQ(after.total.used, before.total.used);
  EXPECT_LE(after.total.committed, before.total.committed);
  EXPECT_EQ(arenas_.validate(), nullptr);
  // The very same request succeeds now.
  const auto again = arenas_.allocate({.size = 512_B});
  ASSERT_TRUE(again);
  arenas_.free(*again);
  for (const Allocation& a : first_page)
    arenas_.free(a);
  arenas_.free(*elsewhere);
}

TEST_F(HeldBind, T2_WhoWaitsGetsItsMemoryWhenTheBindSucceeds) {
  Outcome binder;
  std::thread one = hold(512_B, binder);
  Outcome waiters[3];
  std::vector<std::thread> threads;
  for (Outcome& waiter : waiters) {
    threads.emplace_back([&] { waiter.emplace(arenas_.allocate({.size = 512_B})); });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  for (const Outcome& waiter : waiters)
    EXPECT_FALSE(waiter);
  gate_.open();
  one.join();
  for (std::thread& thread : threads)
    thread.join();
  ASSERT_TRUE(*binder);
  for (const Outcome& waiter : waiters) {
    ASSERT_TRUE(*waiter);
    std::memset(reinterpret_cast<void*>((*waiter)->address.value), 1, 512);
    arenas_.free(**waiter);
  }
  arenas_.free(**binder);
  EXPECT_EQ(arenas_.validate(), nullptr);
}

// An allocation that needs a page which collect is just unbinding waits for that, and binds it anew.
TEST_F(HeldBind, T2_APageOnItsWayOutIsWaitedFor) {
  const auto first = arenas_.allocate({.size = 512_B});
  const auto keeper = arenas_.allocate({.size = 512_B});  // keeps the reservation
  std::vector<Allocation> page;
  for (int i = 0; i < 127; ++i)
    page.push_back(*arenas_.allocate({.size = 512_B}));
  const auto second_page = page.back();  // slot 128: alone in the second page
  arenas_.free(second_page);
  page.pop_back();
  gate_.hold_next_bind();
  std::thread collector([&] { arenas_.collect(); });
  gate_.wait_until_held();
  Outcome outcome;
  std::thread thread([&] { outcome.emplace(arenas_.allocate({.size = 512_B})); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(outcome);
  gate_.open();
  collector.join();
  thread.join();
  ASSERT_TRUE(*outcome);
  EXPECT_EQ((*outcome)->address, second_page.address);
  std::memset(reinterpret_cast<void*>((*outcome)->address.value), 1, 512);
  arenas_.free(**outcome);
  for (const Allocation& a : page)
    arenas_.free(a);
  arenas_.free(*first);
  arenas_.free(*keeper);
  arenas_.flush();
  EXPECT_EQ(arenas_.committed(), Bytes{});
}

}  // namespace
}  // namespace vaspace::test
