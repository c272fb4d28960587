// Filling the fronts' magazines, spilling and emptying them.
#include <algorithm>
#include <cassert>
#include <utility>

#include "arena/core_hot.hpp"

namespace vaspace {

// The magazine was empty, or there is no front yet, or none for now. Errors: out_of_space, that is, not this
// way.
template <class Policy>
Result<Allocation> AllocatorCore<Policy>::allocate_refilled(std::uint32_t k,
                                                            const AllocationRequest& request) noexcept {
  fronts_.join();
  Refill refilled = Refill::nothing;
  const Result<Allocation> allocation = allocate_from_front(k, request, false, refilled);
  if (allocation || refilled != Refill::only_others) return allocation;
  // Slots that lie among another thread's are worse than a reservation more, up to a point.
  (void)windows_.open(*arenas_[k], {request.size, request.alignment}, true);
  return allocate_from_front(k, request, true, refilled);
}

template <class Policy>
Result<Allocation> AllocatorCore<Policy>::allocate_from_front(std::uint32_t k,
                                                              const AllocationRequest& request, bool steal,
                                                              Refill& refilled) noexcept {
  const FrontInHand<Policy> front(fronts_);
  if (!front) return fail(ErrorCode::out_of_space);
  Magazine& magazine = front->magazine(k);
  if (request.alignment.value > magazine.slab.alignment) return fail(ErrorCode::out_of_space);
  if (magazine.empty()) refilled = refill(*arenas_[k], magazine, front->taker, steal);
  if (magazine.empty()) return fail(ErrorCode::out_of_space);
  const Result<Allocation> allocation = allocate_parked(magazine, k, request.size);
  tell(EventKind::allocate, k, *allocation);
  return allocation;
}

// As free_parked, for a slab without notes; the free is told between the slot's end and its next life.
template <class Policy>
bool AllocatorCore<Policy>::free_parked_observed(AllocationId id) noexcept {
  const std::uint32_t k = id.index >> kArenaShift;
  const std::uint32_t slot = id.index & kIndexMask;
  const FrontInHand<Policy> front(fronts_);
  if (!front) return false;
  Magazine& magazine = front->magazine(k);
  if (magazine.full()) return false;
  const Bytes requested{magazine.slab.records.template park<Policy::kShared>(slot, id.generation)};
  if (requested == Bytes{}) return false;
  tell(EventKind::free, k, {magazine.slab.address_of(slot), requested, id});
  magazine.push(slot);
  magazine.live.add(0 - requested.value);
  return true;
}

// As many as the magazine asks for, of those that need no page bound: the lowest on top. Where a page would
// have to be bound for slots of the thread's own, slots among another thread's are better.
template <class Policy>
auto AllocatorCore<Policy>::refill(ArenaOf& arena, Magazine& magazine, std::uint8_t taker,
                                   bool steal) noexcept -> Refill {
  const std::uint32_t want = magazine.refill;
  const Lock lock(arena.mutex);
  TrackedSlabAllocator& slab = *arena.spans.slab();
  std::uint32_t got = 0;
  if (taker != 0) {
    got = keep_bound(arena, magazine.slots, slab.take(magazine.slots, want, taker, steal));
    if (got == 0 && !arena.pages && slab.largest_free() != Bytes{}) return Refill::only_others;
  }
  if (got == 0) got = keep_bound(arena, magazine.slots, slab.take(magazine.slots, want));
  magazine.count.set(got);
  if (got == 0) return Refill::nothing;
  magazine.refill = std::min(want * 2, magazine.capacity / 2);
  std::reverse(magazine.slots, magazine.slots + got);
  return Refill::some;
}

// How many of these slots in a row lie wholly in the page in which the first begins; at least one.
template <class Policy>
std::uint32_t AllocatorCore<Policy>::slots_in_page(const ArenaOf& arena, const std::uint32_t* slots,
                                                   std::uint32_t count) noexcept {
  const Bytes page = arena.pages->page_size();
  const Offset begin = align_down(arena.spans.range_at(slots[0]).offset, Alignment{page});
  std::uint32_t run = 1;
  for (; run < count; ++run) {
    const Range range = arena.spans.range_at(slots[run]);
    if (range.offset < begin || range.end() > begin + page) break;
  }
  return run;
}

// Touches the pages of the first of these slots, as far as they are bound, and gives back the others; how
// many are left.
template <class Policy>
std::uint32_t AllocatorCore<Policy>::keep_bound(ArenaOf& arena, const std::uint32_t* slots,
                                                std::uint32_t count) noexcept {
  if (!arena.pages) return count;
  std::uint32_t bound = 0;
  while (bound < count) {
    const std::uint32_t run = slots_in_page(arena, slots + bound, count - bound);
    const Range range = arena.spans.range_at(slots[bound]);
    if (!arena.pages->touch_bound(range.offset, range.size, run)) break;
    bound += run;
  }
  arena.spans.slab()->give(slots + bound, count - bound, [](Offset) {});
  return bound;
}

// Page by page slot for slot: what was freed lies in no order.
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
void AllocatorCore<Policy>::empty(Front& front, std::uint32_t k) noexcept {
  ArenaOf& arena = *arenas_[k];
  const Lock lock(arena.mutex);
  if (arena.spans.is_slab()) {
    Magazine& magazine = front.magazine(k);
    give_slots(arena, magazine.slots, magazine.count.get());
    magazine.count.set(0);
    magazine.refill = 1;
  } else {
    front.kept(kept_of_[k]).take_all([&](std::uint32_t index) {
      give_back(arena, arena.spans.range_at(index));
    });
  }
}

template <class Policy>
void AllocatorCore<Policy>::empty_front(Front& front) noexcept {
  for (std::uint32_t k = 0; k < class_count_; ++k)
    empty(front, k);
  front.seen_at = front.trace();
}

// What collect leaves: the magazines of threads that are at work in arenas where something lives, as long as
// what nothing but parked ranges holds is no more than `keep`; how many pages that is. Fronts that nobody
// used since the last time are emptied.
template <class Policy>
std::uint64_t AllocatorCore<Policy>::trim_fronts(Bytes keep) noexcept {
  if (!has_fronts_ || !wants_trimming()) return 0;
  const std::uint32_t lifeless = arenas_without_life();
  Bytes parked_alone{};
  bool first = true;
  fronts_.pause_all([&](Front& front) {
    const bool idle = front.trace() == front.seen_at;
    for (std::uint32_t k = 0; k < class_count_; ++k) {
      if (((lifeless >> k) & 1U) != 0) empty(front, k);
    }
    if (std::exchange(first, false)) parked_alone = parked_bytes();
    if ((idle || parked_alone > keep) && !front.is_empty()) {
      empty_front(front);
      parked_alone = parked_bytes();
    }
    front.seen_at = front.trace();
  });
  return paging_ ? parked_alone / pool_->page_size() : 0;
}

// A bit for each arena that has parked slots and no live ones.
template <class Policy>
std::uint32_t AllocatorCore<Policy>::arenas_without_life() noexcept {
  std::uint32_t arenas = 0;
  for (std::uint32_t k = 0; k < class_count_; ++k) {
    if (parked(k) == 0) continue;
    const Lock lock(arenas_[k]->mutex);
    if (tally(*arenas_[k], k).count == 0) arenas |= 1U << k;
  }
  return arenas;
}

// Without a pause: fronts that are at work where parked ranges hold nothing of the device need none.
template <class Policy>
bool AllocatorCore<Policy>::wants_trimming() noexcept {
  const bool holds = paging_ || backend_.profile().capabilities.reserve_commits;
  bool wants = arenas_without_life() != 0;
  fronts_.look_at_all([&](Front& front) {
    wants = wants || (!front.is_empty() && (holds || front.trace() == front.seen_at));
  });
  if (!wants) fronts_.look_at_all([&](Front& front) { front.seen_at = front.trace(); });
  return wants;
}

template <class Policy>
Bytes AllocatorCore<Policy>::parked_bytes() noexcept {
  if (paging_) return parked_pages() * pool_->page_size();
  Bytes bytes{};
  if (!backend_.profile().capabilities.reserve_commits) return bytes;
  for_each_arena([&](ArenaOf& arena, std::uint32_t k) {
    for_each_parked(arena, k, [&](const Range& range) { bytes += range.size; });
  });
  return bytes;
}

template <class Policy>
void AllocatorCore<Policy>::empty_fronts() noexcept {
  if (!has_fronts_) return;
  fronts_.pause_all([&](Front& front) { empty_front(front); });
}

// The arena's lock is held. Its page table counts them, with the parked slots out of the way for a moment.
template <class Policy>
std::uint64_t AllocatorCore<Policy>::parked_pages(ArenaOf& arena, std::uint32_t k) noexcept {
  const std::uint64_t empty = arena.pages->empty();
  for_each_parked(arena, k, [&](const Range& range) { arena.pages->release(range.offset, range.size); });
  const std::uint64_t with_parked = arena.pages->empty();
  for_each_parked(arena, k, [&](const Range& range) {
    [[maybe_unused]] const bool bound = arena.pages->touch_bound(range.offset, range.size);
    assert(bound);
  });
  return with_parked - empty;
}

template <class Policy>
std::uint64_t AllocatorCore<Policy>::parked_pages() noexcept {
  std::uint64_t pages = 0;
  if (!paging_) return pages;
  for_each_arena([&](ArenaOf& arena, std::uint32_t k) {
    const Lock lock(arena.mutex);
    pages += parked_pages(arena, k);
  });
  return pages;
}

// What is defined here.
template class AllocatorCore<SingleThreaded>;
template class AllocatorCore<ThreadSafe>;

}  // namespace vaspace
