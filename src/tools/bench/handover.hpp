// A queue from one thread to one other, bounded.
//
// Always true: what is popped was pushed, in that order, each once; at most kCapacity lie in it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <thread>

namespace vaspace::tools::bench {

template <class T>
class Handover {
 public:
  static constexpr std::size_t kCapacity = 1024;

  void push(const T& value) {
    const std::size_t at = pushed_.load(std::memory_order_relaxed);
    wait([&] { return at - popped_.load(std::memory_order_acquire) < kCapacity; });
    ring_[at % kCapacity] = value;
    // Releases the value to pop's acquire.
    pushed_.store(at + 1, std::memory_order_release);
  }
  T pop() {
    const std::size_t at = popped_.load(std::memory_order_relaxed);
    wait([&] { return pushed_.load(std::memory_order_acquire) != at; });
    T value = ring_[at % kCapacity];
    // Releases the place to push's acquire.
    popped_.store(at + 1, std::memory_order_release);
    return value;
  }

 private:
  template <class Ready>
  static void wait(Ready&& ready) {
    for (unsigned spins = 0; !ready(); ++spins) {
      if (spins % 1024 == 1023) std::this_thread::yield();
    }
  }

  alignas(64) std::atomic<std::size_t> pushed_{0};
  alignas(64) std::atomic<std::size_t> popped_{0};
  alignas(64) std::array<T, kCapacity> ring_{};
};

}  // namespace vaspace::tools::bench
