// The two lock policies of the same allocator code (DESIGN, decision 8).
#pragma once

#include <condition_variable>
#include <mutex>

namespace vaspace {

// No lock at all: one thread at a time, the caller's to see to.
struct SingleThreaded {
  struct Mutex {
    void lock() noexcept {}
    void unlock() noexcept {}
    bool try_lock() noexcept { return true; }
  };
  struct Condition {
    // With one thread nobody else has the page in hand.
    void wait(std::unique_lock<Mutex>&) noexcept {}
    void notify_all() noexcept {}
  };
};

// Any thread may call anything but the destructor and the move operations, at any time (T1). One lock per
// arena.
struct ThreadSafe {
  using Mutex = std::mutex;
  using Condition = std::condition_variable;
};

}  // namespace vaspace
