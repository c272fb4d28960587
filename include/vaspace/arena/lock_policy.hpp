// The two lock policies of the same allocator code (DESIGN, decision 8).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace vaspace {

// No lock at all: one thread at a time, the caller's to see to.
struct SingleThreaded {
  static constexpr bool kShared = false;

  struct Mutex {
    void lock() noexcept {}
    void unlock() noexcept {}
    bool try_lock() noexcept { return true; }
    [[nodiscard]] std::uint64_t acquisitions() const noexcept { return 0; }
  };
  struct Condition {
    // With one thread nobody else has the page in hand.
    void wait(std::unique_lock<Mutex>&) noexcept {}
    void notify_all() noexcept {}
  };
};

// Any thread may call anything but the destructor and the move operations, at any time (T1). One lock per
// arena, and before it a front per thread (src/arena/fronts.hpp).
struct ThreadSafe {
  static constexpr bool kShared = true;

  // What it guards takes some ten nanoseconds, so that who finds it taken looks again before it sleeps.
  class Mutex {
   public:
    void lock() noexcept {
      if (!try_spinning()) mutex_.lock();
      ++acquisitions_;
    }
    void unlock() noexcept { mutex_.unlock(); }
    bool try_lock() noexcept {
      const bool locked = mutex_.try_lock();
      if (locked) ++acquisitions_;
      return locked;
    }
    // How often it was taken; read with it held.
    [[nodiscard]] std::uint64_t acquisitions() const noexcept { return acquisitions_; }

   private:
    static constexpr int kSpins = 100;

    [[nodiscard]] bool try_spinning() noexcept {
      for (int i = 0; i < kSpins; ++i) {
        if (mutex_.try_lock()) return true;
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
      }
      return false;
    }

    std::mutex mutex_;
    std::uint64_t acquisitions_ = 0;
  };
  using Condition = std::condition_variable_any;
};

}  // namespace vaspace
