// The way that most calls take: a slab's size, the thread's own magazine, no lock.
//
//   allocate: pop a parked slot, write its record          free: write the record, push the slot
//
// Each touches the magazine, which stays in the cache, and one record of 4 bytes; an allocate also the
// address of the slot's window. Nothing of the arena is written, so that threads share no line that anybody
// writes but for records of slots that they pass to each other.
#pragma once

#include "arena/core.hpp"

namespace vaspace {

template <class Policy>
inline Result<Allocation> AllocatorCore<Policy>::allocate_parked(Magazine& magazine, std::uint32_t k,
                                                                 Bytes size) noexcept {
  const std::uint32_t slot = magazine.pop();
  magazine.live.add(size.value);
  const std::uint32_t generation = magazine.slab.records.activate(slot, size);
  return Allocation{magazine.slab.address_of(slot), size,
                    std::bit_cast<AllocationId>(make_id((k << kArenaShift) | slot, generation))};
}

template <class Policy>
inline Result<Allocation> AllocatorCore<Policy>::allocate(const AllocationRequest& request) noexcept {
  const Bytes size = request.size;
  if (size.value - 1 < kSmall && (request.name.size() | request.user_data) == 0) [[likely]] {
    const std::uint32_t k = slab_of_size_[(size.value - 1) >> kSmallStepBits].get();
    const FrontInHand<Policy> front(fronts_);
    if (front) [[likely]] {
      Magazine& magazine = front->magazine(k);
      if (!magazine.empty() && request.alignment.value - 1 < magazine.slab.alignment &&
          request.alignment.valid()) [[likely]] {
        return allocate_parked(magazine, k, size);
      }
    }
  }
  return allocate_locked(request);
}

template <class Policy>
template <bool kChecked>
inline bool AllocatorCore<Policy>::free_parked(AllocationId id, Address address) noexcept {
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(id);
  const auto slot = static_cast<std::uint32_t>(bits) & kIndexMask;
  const std::uint32_t k = static_cast<std::uint32_t>(bits) >> kArenaShift;
  // A note was there before the id that it belongs to was handed out.
  if (long_way_[k].get()) [[unlikely]]
    return false;
  const FrontInHand<Policy> front(fronts_);
  if (!front) [[unlikely]]
    return false;
  Magazine& magazine = front->magazine(k);
  if (magazine.full() || (kChecked && !magazine.slab.is_at(slot, address))) [[unlikely]]
    return false;
  const std::uint64_t requested =
      magazine.slab.records.template park<Policy::kShared>(slot, static_cast<std::uint32_t>(bits >> 32U));
  if (requested == 0) [[unlikely]]
    return false;
  magazine.push(slot);
  magazine.live.add(0 - requested);
  return true;
}

template <class Policy>
inline Result<void> AllocatorCore<Policy>::try_free(AllocationId id) noexcept {
  if (free_parked<false>(id, {})) [[likely]]
    return {};
  return free_locked(id, nullptr);
}

template <class Policy>
inline Result<void> AllocatorCore<Policy>::try_free(const Allocation& allocation) noexcept {
  // A handle of an allocator with the same history names another address.
  if (free_parked<true>(allocation.id, allocation.address)) [[likely]]
    return {};
  return free_locked(allocation.id, &allocation.address);
}

template <class Policy>
inline void AllocatorCore<Policy>::free(AllocationId id) noexcept {
  if (!free_parked<false>(id, {})) [[unlikely]]
    free_or_report(id, nullptr);
}

template <class Policy>
inline void AllocatorCore<Policy>::free(const Allocation& allocation) noexcept {
  if (!free_parked<true>(allocation.id, allocation.address)) [[unlikely]]
    free_or_report(allocation.id, &allocation.address);
}

template <class Policy>
template <class Visit>
void AllocatorCore<Policy>::for_each_parked(const ArenaOf& arena, std::uint32_t k, Visit&& visit) noexcept {
  if (has_magazine(k)) {
    fronts_.for_each([&](const Front& front) {
      const Magazine& magazine = front.magazine(k);
      for (std::uint32_t i = 0; i < magazine.count.get(); ++i)
        visit(arena.spans.range_at(magazine.slots[i]));
    });
  } else if (keeps_ranges(k)) {
    fronts_.for_each([&](const Front& front) {
      front.kept(kept_of_[k]).for_each([&](std::uint32_t index) { visit(arena.spans.range_at(index)); });
    });
  }
}

}  // namespace vaspace
