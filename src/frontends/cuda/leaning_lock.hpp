// A lock that leans to the thread which takes it most: to that thread it costs two plain stores, no atomic
// read-modify-write. To the others it is a spin lock, and the first of them makes it stop leaning.
//
//   owner:  held = true; light fence; still mine?          another:  owner = nobody; heavy fence; held?
//
// Always true: one thread at a time has it. At least one of the two loads above sees the other side's store,
// so that who takes the lock away has either stopped the owner at its door or waits until it has left. It
// leans to one thread only, the first that took it often enough: another one's `held` could be undone by who
// was stopped at the door long ago.
//
// No thread holds it across a driver call or a request for host memory that may take long.
#pragma once

#include <atomic>
#include <cstdint>
#include <sched.h>

#include "arena/asymmetric_fence.hpp"

namespace vaspace::cuda {

class LeaningLock {
 public:
  explicit LeaningLock(const AsymmetricFence& fence) noexcept : fence_(fence) {}
  LeaningLock(const LeaningLock&) = delete;
  LeaningLock& operator=(const LeaningLock&) = delete;

  void lock() noexcept {
    const std::uintptr_t me = this_thread();
    if (owner_.load(std::memory_order_relaxed) == me) [[likely]] {
      held_.store(true, std::memory_order_relaxed);
      fence_.light();
      if (owner_.load(std::memory_order_acquire) == me) [[likely]] {
        by_owner_ = true;
        return;
      }
      held_.store(false, std::memory_order_release);
    }
    lock_shared_way(me);
  }
  void unlock() noexcept {
    if (by_owner_) [[likely]] {
      by_owner_ = false;
      held_.store(false, std::memory_order_release);
    } else {
      taken_.store(false, std::memory_order_release);
    }
  }

 private:
  static constexpr int kSpins = 200;
  static constexpr std::uint32_t kEnough = 512;  // times in a row until it leans

  [[nodiscard]] static std::uintptr_t this_thread() noexcept {
    thread_local char token;
    return reinterpret_cast<std::uintptr_t>(&token);
  }
  template <class Busy>
  static void wait_while(Busy&& busy) noexcept {
    for (int spins = 0; busy(); ++spins) {
      if (spins < kSpins) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
        continue;
      }
      (void)sched_yield();
      spins = 0;
    }
  }
  void lock_shared_way(std::uintptr_t me) noexcept {
    while (taken_.exchange(true, std::memory_order_acquire))
      wait_while([&] { return taken_.load(std::memory_order_relaxed); });
    if (owner_.load(std::memory_order_relaxed) != 0) {
      owner_.store(0, std::memory_order_relaxed);
      fence_.heavy();
      wait_while([&] { return held_.load(std::memory_order_acquire); });
    }
    if (last_ != me) {
      last_ = me;
      in_a_row_ = 0;
    } else if (++in_a_row_ == kEnough) {
      in_a_row_ = 0;
      if (only_ == 0) only_ = me;
      if (only_ == me) owner_.store(me, std::memory_order_relaxed);
    }
  }

  const AsymmetricFence& fence_;
  std::atomic<std::uintptr_t> owner_{0};  // to whom it leans; changed by who has it the shared way
  std::atomic<bool> held_{false};         // by the owner
  std::atomic<bool> taken_{false};        // the shared way
  // Of whoever has the lock.
  bool by_owner_ = false;
  std::uint32_t in_a_row_ = 0;
  std::uintptr_t last_ = 0;
  std::uintptr_t only_ = 0;  // to whom it may lean
};

}  // namespace vaspace::cuda
