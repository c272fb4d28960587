// One thread at a time has the lock, whichever way it came; and it leans only where it may.
#include "frontends/cuda/leaning_lock.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

namespace vaspace::cuda {
namespace {

constexpr int kEnough = 2000;  // times in a row, for any lock to lean

constexpr int kDisturbances = 200;

void take_often(LeaningLock& lock) {
  for (int i = 0; i < kEnough; ++i) {
    lock.lock_at_work();
    lock.unlock();
  }
}
bool leans(LeaningLock& lock) {
  if (!lock.lean()) return false;
  lock.leave();
  return true;
}

TEST(LeaningLock, LeansToWhoTakesItMostUntilAnotherDoes) {
  const AsymmetricFence fence;
  LeaningLock lock(fence);
  EXPECT_FALSE(leans(lock));
  take_often(lock);
  EXPECT_TRUE(leans(lock));
  std::thread([&] {
    EXPECT_FALSE(leans(lock)) << "it is the other's";
    lock.lock();
    lock.unlock();
  }).join();
  EXPECT_FALSE(leans(lock));
  take_often(lock);
  EXPECT_TRUE(leans(lock));
  std::thread([&] {
    take_often(lock);
    EXPECT_FALSE(leans(lock)) << "to one thread only";
  }).join();
}

TEST(LeaningLock, LeansToNobodyWhoOnlyLooks) {
  const AsymmetricFence fence;
  LeaningLock lock(fence);
  for (int i = 0; i < 2 * kEnough; ++i) {
    lock.lock();
    lock.unlock();
  }
  EXPECT_FALSE(leans(lock));
  std::thread([&] {
    take_often(lock);
    EXPECT_TRUE(leans(lock)) << "who looked is not the first";
  }).join();
}

TEST(LeaningLock, LeansToNobodyWhileItMayNot) {
  const AsymmetricFence fence;
  LeaningLock lock(fence);
  take_often(lock);
  lock.lock_upright();
  EXPECT_FALSE(leans(lock)) << "though it is the thread's own";
  lock.let_lean(false);
  lock.unlock();
  EXPECT_FALSE(leans(lock));
  take_often(lock);
  EXPECT_FALSE(leans(lock));
  lock.lock_upright();
  lock.let_lean(true);
  lock.unlock();
  take_often(lock);
  EXPECT_TRUE(leans(lock));
}

// As soon as the lock leans to one thread, another takes it away at whatever point the first has come to, and
// now and then says that it may not lean: which the first never finds while it leans.
TEST(LeaningLock, T1_OneThreadAtATimeHasIt) {
  const AsymmetricFence fence;
  LeaningLock lock(fence);
  std::uint64_t taken = 0;  // the lock's, like `may`
  bool may = true;
  std::atomic<std::uint64_t> turns{0};
  std::atomic<std::uint64_t> leaned{0};
  std::atomic<bool> over{false};
  std::atomic<bool> coming{false};
  std::uint64_t by_other = 0;
  // Slowly, so that who else has the lock meanwhile is seen.
  const auto take_slowly = [&] {
    volatile std::uint64_t before = taken;
    for (int i = 0; i < 3000; ++i)
      before = before + 0;
    taken = before + 1;
  };
  const auto take = [&] {
    take_slowly();
    ++by_other;
    coming = false;
  };
  const auto set = [&](bool to) {
    coming = true;
    lock.lock_upright();
    take();
    may = to;
    lock.let_lean(to);
    lock.unlock();
  };
  const auto wait_for = [](const std::atomic<std::uint64_t>& count, std::uint64_t until) {
    while (count < until)
      std::this_thread::yield();
  };
  std::thread other([&] {
    for (int i = 0; i < kDisturbances; ++i) {
      wait_for(leaned, leaned + 1);
      if (i % 4 != 0) {
        coming = true;
        lock.lock();
        take();
        lock.unlock();
      } else {
        set(false);
        wait_for(turns, turns + kEnough);
        set(true);
      }
    }
    over = true;
  });
  int wrong = 0;
  while (!over) {
    if (lock.lean()) {
      coming ? take_slowly() : static_cast<void>(++taken);
      if (!may) ++wrong;
      lock.leave();
      ++leaned;
    } else {
      lock.lock_at_work();
      ++taken;
      lock.unlock();
    }
    ++turns;
  }
  other.join();
  EXPECT_EQ(taken, turns + by_other);
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace vaspace::cuda
