// The fronts of an allocator: one where a single thread uses it, one per thread where any may.
//
//   its thread:   in_hand = 1; light fence; paused?  --no-->  magazine ... ; in_hand = 0
//                                              '--yes-> in_hand = 0, and the way with the arena's lock
//   collect, report, a refusal:   paused = 1; heavy fence; wait until in_hand is 0; look, empty; paused = 0
//
// Always true: a front is in one thread's hands at a time. Its own thread never waits for it: while it is
// paused, it goes the other way. (The fences: one of the two sees what the other has written, Dekker's way.
// tests/arena/front_model_test.cpp walks through every interleaving of the two.)
#pragma once

#include <array>
#include <atomic>
#include <mutex>

#include "vaspace/arena/allocation.hpp"
#include "vaspace/arena/lock_policy.hpp"
#include "vaspace/base/host_allocator.hpp"
#include "vaspace/base/host_object.hpp"

#include "arena/asymmetric_fence.hpp"
#include "arena/front.hpp"
#include "arena/thread_slots.hpp"

namespace vaspace {

// What all fronts of an allocator look like.
struct FrontShape {
  std::uint32_t magazines = 0;  // by arena
  std::uint32_t kept = 0;       // object arenas
  std::array<SlabShape, kMaxArenas> slabs{};
};

// Null: no host memory.
[[nodiscard]] Front* make_front(const HostAllocator& host, const FrontShape& shape) noexcept;
void destroy_front(const HostAllocator& host, Front* front) noexcept;

// What a front's end needs to be told: its slots go back to their arenas.
struct FrontOwner {
  void* core = nullptr;
  void (*empty)(void* core, Front& front) noexcept = nullptr;
};

template <class Policy>
class Fronts;

// A front in hand until this ends; or none.
template <class Policy>
class FrontInHand {
 public:
  explicit FrontInHand(Fronts<Policy>& fronts) noexcept : fronts_(fronts), front_(fronts.enter()) {}
  FrontInHand(const FrontInHand&) = delete;
  FrontInHand& operator=(const FrontInHand&) = delete;
  ~FrontInHand() {
    if (front_ != nullptr) fronts_.leave(*front_);
  }
  [[nodiscard]] explicit operator bool() const noexcept { return front_ != nullptr; }
  [[nodiscard]] Front* operator->() const noexcept { return front_; }

 private:
  Fronts<Policy>& fronts_;
  Front* front_;
};

template <>
class Fronts<SingleThreaded> {
 public:
  explicit Fronts(const HostAllocator& host) noexcept : host_(host) {}
  Fronts(const Fronts&) = delete;
  Fronts& operator=(const Fronts&) = delete;
  ~Fronts() { destroy_front(host_, front_); }

  // False: no host memory.
  [[nodiscard]] bool open(const FrontShape& shape, const FrontOwner&) noexcept {
    front_ = make_front(host_, shape);
    return front_ != nullptr;
  }
  void close() noexcept {}

  [[nodiscard]] Front* enter() noexcept { return front_; }
  void leave(Front&) noexcept {}
  // There is one already.
  void join() noexcept {}
  [[nodiscard]] std::uint8_t taker() const noexcept { return 0; }

  template <class Visit>
  void for_each(Visit&& visit) const noexcept {
    if (front_ != nullptr) visit(*front_);
  }
  template <class Visit>
  void pause_all(Visit&& visit) noexcept {
    if (front_ != nullptr) visit(*front_);
  }
  template <class Visit>
  void look_at_all(Visit&& visit) noexcept {
    pause_all(visit);
  }
  template <class Use>
  void while_paused(Use&& use) noexcept {
    use();
  }

 private:
  HostAllocator host_;
  Front* front_ = nullptr;
};

template <>
class Fronts<ThreadSafe> final : public ThreadSlots::Listener {
 public:
  explicit Fronts(const HostAllocator& host) noexcept : host_(host) {}
  Fronts(const Fronts&) = delete;
  Fronts& operator=(const Fronts&) = delete;
  ~Fronts();

  [[nodiscard]] bool open(const FrontShape& shape, const FrontOwner& owner) noexcept;
  // No thread's end is heard of any more.
  void close() noexcept;

  // The calling thread's front, in its hands until leave(); null: it has none, or it is paused.
  [[nodiscard]] Front* enter() noexcept {
    // Acquire: the front's content, by whoever made it.
    Front* front = table_[ThreadSlots::mine()].load(std::memory_order_acquire);
    if (front == nullptr) [[unlikely]]
      return nullptr;
    front->in_hand.store(1, std::memory_order_relaxed);
    fence_.light();
    // Acquire: what was done to the front while it was paused, released with `paused`.
    if (front->paused.load(std::memory_order_acquire) != 0) [[unlikely]] {
      front->in_hand.store(0, std::memory_order_release);
      return nullptr;
    }
    return front;
  }
  // Release: who then finds it in nobody's hands sees what was done.
  void leave(Front& front) noexcept { front.in_hand.store(0, std::memory_order_release); }
  // Makes one for the calling thread, if it has none and may have one; it does without where host memory
  // fails. Never called by a free (R7).
  void join() noexcept;
  // By which slabs know the calling thread; 0: it has no front.
  [[nodiscard]] std::uint8_t taker() const noexcept {
    const Front* front = table_[ThreadSlots::mine()].load(std::memory_order_relaxed);
    return front != nullptr ? front->taker : std::uint8_t{0};
  }

  // All fronts, whatever their threads do meanwhile: for figures.
  template <class Visit>
  void for_each(Visit&& visit) const noexcept {
    for (std::uint32_t number = 1; number < made_.load(std::memory_order_acquire); ++number) {
      if (const Front* front = table_[number].load(std::memory_order_acquire); front != nullptr) {
        visit(*front);
      }
    }
  }
  // Calls visit for each, all of them paused. No lock of the allocator is held.
  template <class Visit>
  void pause_all(Visit&& visit) noexcept {
    const std::scoped_lock lock(mutex_);
    pause();
    for_each_front([&](Front& front) { visit(front); });
    resume();
  }
  // Calls visit for each while its thread goes on: for its figures, and what Fronts' mutex guards.
  template <class Visit>
  void look_at_all(Visit&& visit) noexcept {
    const std::scoped_lock lock(mutex_);
    for_each_front([&](Front& front) { visit(front); });
  }
  template <class Use>
  void while_paused(Use&& use) noexcept {
    const std::scoped_lock lock(mutex_);
    pause();
    use();
    resume();
  }

 private:
  template <class Visit>
  void for_each_front(Visit&& visit) noexcept {
    for (std::uint32_t number = 1; number < made_.load(std::memory_order_relaxed); ++number) {
      if (Front* front = table_[number].load(std::memory_order_relaxed); front != nullptr) visit(*front);
    }
  }
  void pause() noexcept;
  void resume() noexcept;
  void thread_ends(std::uint32_t number) noexcept override;

  HostAllocator host_;
  AsymmetricFence fence_;
  FrontOwner owner_{};
  FrontShape shape_{};
  bool open_ = false;
  // One above the highest number that has a front.
  std::atomic<std::uint32_t> made_{0};
  // By a thread's number. A front outlives its thread: the next with that number takes it over.
  std::array<std::atomic<Front*>, ThreadSlots::kCount> table_{};
  std::mutex mutex_;  // who pauses, and who makes
};

}  // namespace vaspace
