// Semaphores and fences. Everything here is under the device's lock.
#pragma once

#include <deque>

#include "objects.hpp"
#include "order.hpp"

namespace vasim {

struct Semaphore : Object {
  static constexpr VkObjectType kType = VK_OBJECT_TYPE_SEMAPHORE;

  Semaphore(bool is_timeline, std::uint64_t initial) : Object(kType), timeline(is_timeline), value(initial) {}

  // Signals it, with what the signaller knows. V26: a timeline only grows.
  void signal(std::uint64_t to, const Clock& known);
  // Whether a wait for `wanted` may go on.
  [[nodiscard]] bool reached(std::uint64_t wanted) const { return timeline ? value >= wanted : signalled; }
  // Takes what a wait learns; a binary semaphore is unsignalled by it.
  Clock take(std::uint64_t wanted);
  // What the host learns from a value that it has seen.
  [[nodiscard]] Clock known_at(std::uint64_t seen) const;
  void forget(const Order& order);

  const bool timeline;
  std::uint64_t value;     // timeline
  bool signalled = false;  // binary
  bool promised = false;   // binary: signalled, or a signal is submitted, and no wait for it is yet

 private:
  struct Signal {
    std::uint64_t value;
    Clock known;
  };
  std::deque<Signal> signals_;  // of a timeline, by value
  Clock known_;                 // of a binary
};

struct Fence : Object {
  static constexpr VkObjectType kType = VK_OBJECT_TYPE_FENCE;

  explicit Fence(bool is_signalled) : Object(kType), signalled(is_signalled) {}

  bool signalled;
  bool submitted = false;  // with an operation that has not completed
  Clock known;
};

struct Event : Object {
  static constexpr VkObjectType kType = VK_OBJECT_TYPE_EVENT;

  Event() : Object(kType) {}

  bool set = false;
};

}  // namespace vasim
