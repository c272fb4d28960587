#include "arena/thread_slots.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <mutex>

namespace vaspace {

namespace {

// Trivially destructible in all but the mutex, which outlives what threads do at the process's end because
// it is never destroyed.
struct Registry {
  std::mutex mutex;
  ThreadSlots::Listener* first = nullptr;
  std::array<std::uint64_t, ThreadSlots::kCount / 64> taken{1};  // 0 is no number
  // Relaxed: who reads an old one tries once too often, or once too late.
  std::atomic<std::uint32_t> left{ThreadSlots::kCount - 1};
};

Registry& registry() noexcept {
  alignas(Registry) static unsigned char room[sizeof(Registry)];
  static Registry* const it = ::new (static_cast<void*>(room)) Registry;
  return *it;
}

std::uint32_t take_number(Registry& all) noexcept {
  for (std::uint32_t word = 0; word < all.taken.size(); ++word) {
    if (all.taken[word] == ~std::uint64_t{0}) continue;
    const auto bit = static_cast<std::uint32_t>(std::countr_one(all.taken[word]));
    all.taken[word] |= std::uint64_t{1} << bit;
    all.left.store(all.left.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    return word * 64 + bit;
  }
  return 0;
}

thread_local constinit bool ending = false;

}  // namespace

struct ThreadSlots::Exit {
  Exit() noexcept = default;
  Exit(const Exit&) = delete;
  Exit& operator=(const Exit&) = delete;
  ~Exit() { leave(); }
};

std::uint32_t ThreadSlots::join() noexcept {
  if (mine_ != 0 || ending) return mine_;
  {
    Registry& all = registry();
    if (all.left.load(std::memory_order_relaxed) == 0) return 0;
    const std::scoped_lock lock(all.mutex);
    mine_ = take_number(all);
  }
  if (mine_ != 0) {
    thread_local const Exit at_exit;
    (void)at_exit;
  }
  return mine_;
}

// Whatever this thread frees from here on, in other destructors of its own, goes past the fronts.
void ThreadSlots::leave() noexcept {
  const std::uint32_t number = mine_;
  mine_ = 0;
  ending = true;
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  for (Listener* listener = all.first; listener != nullptr; listener = listener->next_)
    listener->thread_ends(number);
  all.taken[number / 64] &= ~(std::uint64_t{1} << (number % 64));
  all.left.store(all.left.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void ThreadSlots::add(Listener& listener) noexcept {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  listener.next_ = all.first;
  if (all.first != nullptr) all.first->previous_ = &listener;
  all.first = &listener;
}

void ThreadSlots::remove(Listener& listener) noexcept {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  Listener* const next = listener.next_;
  Listener* const previous = listener.previous_;
  if (next != nullptr) next->previous_ = previous;
  (previous != nullptr ? previous->next_ : all.first) = next;
  listener.next_ = listener.previous_ = nullptr;
}

}  // namespace vaspace
