// Filling the fronts' magazines, spilling and emptying them.
#include <algorithm>

#include "arena/core_hot.hpp"

namespace vaspace {

// The magazine was empty, or there is no front yet, or none for now. Errors: out_of_space, that is, not this
// way.
template <class Policy>
Result<Allocation> AllocatorCore<Policy>::allocate_refilled(std::uint32_t k, Bytes size) noexcept {
  fronts_.join();
  const FrontInHand<Policy> front(fronts_);
  if (!front) return fail(ErrorCode::out_of_space);
  Magazine& magazine = front->magazine(k);
  if (magazine.empty()) refill(*arenas_[k], magazine);
  if (magazine.empty()) return fail(ErrorCode::out_of_space);
  return allocate_parked(magazine, k, size);
}

// As many as the magazine asks for, of those that need no page bound: the lowest on top.
template <class Policy>
void AllocatorCore<Policy>::refill(ArenaOf& arena, Magazine& magazine) noexcept {
  const std::uint32_t want = magazine.refill;
  magazine.refill = std::min(want * 2, magazine.capacity / 2);
  {
    const Lock lock(arena.mutex);
    TrackedSlabAllocator& slab = *arena.spans.slab();
    const std::uint32_t got = slab.take(magazine.slots, want);
    std::uint32_t ready = arena.pages ? 0 : got;
    for (bool bound = true; ready < got && bound; ready += bound ? 1U : 0U) {
      const Range range = arena.spans.range_of_slot(magazine.slots[ready]);
      bound = arena.pages->touch_bound(range.offset, range.size);
    }
    slab.give(magazine.slots + ready, got - ready, [](Offset) {});
    magazine.count.set(ready);
  }
  std::reverse(magazine.slots, magazine.slots + magazine.count.get());
}

template <class Policy>
void AllocatorCore<Policy>::give_slots(ArenaOf& arena, const std::uint32_t* slots,
                                       std::uint32_t count) noexcept {
  TrackedSlabAllocator& slab = *arena.spans.slab();
  slab.give(slots, count, [&](Offset in_window) { arena.queue_window(arena.spans.window_of(in_window)); });
  if (!arena.pages) return;
  for (std::uint32_t i = 0; i < count; ++i)
    arena.pages->release(slab.offset_of(slots[i]), slab.slot_size());
}

// The older half of a full magazine goes back to the arena.
template <class Policy>
void AllocatorCore<Policy>::spill(std::uint32_t k) noexcept {
  const FrontInHand<Policy> front(fronts_);
  if (!front) return;
  Magazine& magazine = front->magazine(k);
  if (!magazine.full()) return;
  const std::uint32_t half = magazine.capacity / 2;
  const std::uint32_t left = magazine.count.get() - half;
  ArenaOf& arena = *arenas_[k];
  const Lock lock(arena.mutex);
  give_slots(arena, magazine.slots, half);
  std::copy_n(magazine.slots + half, left, magazine.slots);
  magazine.count.set(left);
}

// The front is in the caller's hands, or paused.
template <class Policy>
void AllocatorCore<Policy>::empty_front(Front& front) noexcept {
  for (std::uint32_t k = 0; k < front.magazine_count; ++k) {
    Magazine& magazine = front.magazine(k);
    magazine.refill = 1;
    if (magazine.empty()) continue;
    ArenaOf& arena = *arenas_[k];
    const Lock lock(arena.mutex);
    give_slots(arena, magazine.slots, magazine.count.get());
    magazine.count.set(0);
  }
}

template <class Policy>
void AllocatorCore<Policy>::empty_fronts(bool idle_only) noexcept {
  if (magazines_ == 0) return;
  // Idle: used, but not since collect last looked.
  const auto is_idle = [](const Front& front) {
    const std::uint64_t now = front.trace();
    return now == front.seen_at && now != front.emptied_at;
  };
  bool any = !idle_only;
  if (idle_only) {
    fronts_.look_at_all([&](Front& front) {
      any = any || is_idle(front);
      if (!is_idle(front)) front.seen_at = front.trace();
    });
  }
  if (!any) return;
  fronts_.pause_all([&](Front& front) {
    if (idle_only && !is_idle(front)) return;
    empty_front(front);
    front.emptied_at = front.seen_at = front.trace();
  });
}

template Result<Allocation> AllocatorCore<SingleThreaded>::allocate_refilled(std::uint32_t, Bytes) noexcept;
template void AllocatorCore<SingleThreaded>::spill(std::uint32_t) noexcept;
template void AllocatorCore<SingleThreaded>::empty_front(Front&) noexcept;
template void AllocatorCore<SingleThreaded>::empty_fronts(bool) noexcept;
template Result<Allocation> AllocatorCore<ThreadSafe>::allocate_refilled(std::uint32_t, Bytes) noexcept;
template void AllocatorCore<ThreadSafe>::spill(std::uint32_t) noexcept;
template void AllocatorCore<ThreadSafe>::empty_front(Front&) noexcept;
template void AllocatorCore<ThreadSafe>::empty_fronts(bool) noexcept;

}  // namespace vaspace
