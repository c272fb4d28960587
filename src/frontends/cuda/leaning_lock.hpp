// A lock that leans to the first thread that works under it often enough: to that thread it costs two plain
// stores, no atomic read-modify-write. To the others it is a spin lock, and the first of them makes it stop
// leaning.
//
//   owner:  held = true; light fence; still mine?          another:  owner = nobody; heavy fence; held?
//
// Always true: one thread at a time has it. At least one of the two loads above sees the other side's store,
// so that who takes the lock away has either stopped the owner at its door or waits until it has left. It
// leans to one thread only, the first that took it often enough: another one's `held` could be undone by who
// was stopped at the door long ago. It leans to nobody while it may not: what that depends on, who enters by
// lean() need not look at.
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

  // True: it leans to this thread, which has it now, until leave().
  [[nodiscard]] bool lean() noexcept {
    const std::uintptr_t me = this_thread();
    if (owner_.load(std::memory_order_relaxed) != me) [[unlikely]]
      return false;
    held_.store(true, std::memory_order_relaxed);
    fence_.light();
    if (owner_.load(std::memory_order_acquire) == me) [[likely]]
      return true;
    held_.store(false, std::memory_order_release);
    return false;
  }
  void leave() noexcept { held_.store(false, std::memory_order_release); }

  void lock() noexcept {
    if (lean()) {
      by_owner_ = true;
    } else {
      lock_shared_way();
    }
  }
  // The same by who does what it leans for: allocate and free. Who only looks is not counted.
  void lock_at_work() noexcept {
    lock();
    if (!by_owner_) count_towards_leaning();
  }
  void unlock() noexcept {
    if (by_owner_) {
      by_owner_ = false;
      leave();
    } else {
      taken_.store(false, std::memory_order_release);
    }
  }
  // Nobody has it by lean() then, and it leans to nobody until it may again.
  void lock_upright() noexcept { lock_shared_way(); }
  // By who has it upright.
  void let_lean(bool may) noexcept { may_lean_ = may; }

 private:
  static constexpr int kSpins = 200;
  static constexpr std::uint32_t kEnough = 512;  // times in a row until it leans

  // A number that no other living thread has: its own register where that can be read, for the address of a
  // thread_local takes a call in code that may come to lie in a shared library. A thread that gets a dead
  // one's number comes after it: the kernel has ended the one before its stack is given to another.
  [[nodiscard]] static std::uintptr_t this_thread() noexcept {
#if defined(__linux__) && defined(__x86_64__) && defined(__LP64__)
    std::uintptr_t number = 0;
    // Volatile: a coroutine may go on in another thread, between two calls.
    asm volatile("{movq %%fs:0, %0|mov %0, qword ptr fs:0}" : "=r"(number));
    return number;
#elif defined(__linux__) && defined(__aarch64__)
    return reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
#else
    thread_local char number;
    return reinterpret_cast<std::uintptr_t>(&number);
#endif
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
  void lock_shared_way() noexcept {
    while (taken_.exchange(true, std::memory_order_acquire))
      wait_while([&] { return taken_.load(std::memory_order_relaxed); });
    if (owner_.load(std::memory_order_relaxed) != 0) {
      owner_.store(0, std::memory_order_relaxed);
      fence_.heavy();
      wait_while([&] { return held_.load(std::memory_order_acquire); });
    }
  }
  // It is held the shared way.
  void count_towards_leaning() noexcept {
    const std::uintptr_t me = this_thread();
    if (last_ != me) {
      last_ = me;
      in_a_row_ = 0;
    } else if (may_lean_ && ++in_a_row_ == kEnough) {
      in_a_row_ = 0;
      if (only_ == 0) only_ = me;
      if (only_ == me) owner_.store(me, std::memory_order_relaxed);
    }
  }

  std::atomic<std::uintptr_t> owner_{0};  // to whom it leans; changed by who has it the shared way
  std::atomic<bool> held_{false};         // by the owner
  std::atomic<bool> taken_{false};        // the shared way
  const AsymmetricFence fence_;           // its own copy: on this cache line
  // Of whoever has the lock.
  bool by_owner_ = false;
  bool may_lean_ = true;
  std::uint32_t in_a_row_ = 0;
  std::uintptr_t last_ = 0;
  std::uintptr_t only_ = 0;  // to whom it may lean
};

}  // namespace vaspace::cuda
