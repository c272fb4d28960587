// What one thread keeps of the slab arenas' slots, to hand out and take back without their locks: a magazine
// of parked slots per arena, last in, first out.
//
// Always true: a slot in a magazine is parked, taken of its arena, and its pages are touched; it counts as
// neither live nor free. A magazine's `live` is what it has added to its arena's live bytes: it wraps, the
// sum over all fronts and the arena does not.
//
// After Bonwick and Adams, "Magazines and Vmem" (USENIX 2001).
//
// Lock order: the registry of thread numbers, Fronts' mutex, a front in hand, Arena::growing, Arena::mutex. A
// front is in the hands of its thread between enter() and leave(), or of who has paused it; no driver call is
// made with one in hand.
#pragma once

#include <atomic>
#include <cstdint>

#include "vaspace/base/published_array.hpp"
#include "vaspace/base/units.hpp"
#include "vaspace/range/slab_allocator.hpp"

#include "arena/figure.hpp"
#include "arena/kept_ranges.hpp"

namespace vaspace {

// What the way without a lock needs to know of a slab arena. The tables grow, but stay where they are.
struct SlabShape {
  SlotRecords records{};
  std::uint32_t window_bits = 0;  // log2 of slots between two windows
  std::uint32_t window_mask = 0;  // those, less 1
  std::uint64_t alignment = 0;    // every slot's
  const PublishedArray<Address>* windows = nullptr;

  [[nodiscard]] Address address_of(std::uint32_t slot) const noexcept {
    return window_of(slot) + Bytes{(slot & window_mask) * records.slot_size};
  }
  // Any `slot` may be asked for.
  [[nodiscard]] bool is_at(std::uint32_t slot, Address address) const noexcept {
    return slot >> window_bits < windows->view().size() && address_of(slot) == address;
  }

 private:
  [[nodiscard]] Address window_of(std::uint32_t slot) const noexcept {
    return windows->view()[slot >> window_bits];
  }
};

struct alignas(64) Magazine {
  static constexpr std::uint32_t kMostSlots = 64;
  static constexpr std::uint32_t kFewestSlots = 8;
  static constexpr Bytes kMostBytes = 2_MiB;  // what it keeps of pages that may have nothing else

  SlabShape slab{};
  Figure<std::uint32_t> count;
  std::uint32_t capacity = 0;
  Figure<std::uint64_t> live;  // bytes asked for
  // Slots that the next one asks for: doubles up to half the capacity, so that a front that is emptied at
  // every collect() does not fill up in vain.
  std::uint32_t refill = 1;
  std::uint32_t slots[kMostSlots];

  [[nodiscard]] static std::uint32_t capacity_for(Bytes slot) noexcept {
    const std::uint64_t fit = kMostBytes / slot;
    return static_cast<std::uint32_t>(fit > kMostSlots     ? kMostSlots
                                      : fit < kFewestSlots ? kFewestSlots
                                                           : fit);
  }
  [[nodiscard]] bool empty() const noexcept { return count.get() == 0; }
  [[nodiscard]] bool full() const noexcept { return count.get() == capacity; }
  void push(std::uint32_t slot) noexcept {
    slots[count.get()] = slot;
    count.add(1);
  }
  [[nodiscard]] std::uint32_t pop() noexcept {
    const std::uint32_t left = count.get() - 1;
    count.set(left);
    return slots[left];
  }
};

struct alignas(64) Front {
  std::atomic<std::uint32_t> in_hand{0};  // by its thread
  std::atomic<std::uint32_t> paused{0};
  std::uint32_t magazine_count = 0;  // by arena, and one more; that and those of object arenas stay empty
  std::uint32_t kept_count = 0;      // one per object arena
  std::uint8_t taker = 0;            // by which slabs know the front among several; 0: there is only this one
  std::uint64_t seen_at = 0;         // trace() when collect last looked. Guarded by Fronts' mutex.

  [[nodiscard]] Magazine& magazine(std::uint32_t arena) const noexcept { return magazines()[arena]; }
  [[nodiscard]] KeptRanges& kept(std::uint32_t number) const noexcept { return kept_ranges()[number]; }
  [[nodiscard]] Magazine* magazines() const noexcept {
    return reinterpret_cast<Magazine*>(const_cast<Front*>(this) + 1);
  }
  [[nodiscard]] KeptRanges* kept_ranges() const noexcept {
    return reinterpret_cast<KeptRanges*>(magazines() + magazine_count);
  }
  [[nodiscard]] bool is_empty() const noexcept {
    std::uint64_t held = 0;
    for (std::uint32_t k = 0; k < magazine_count; ++k)
      held += magazine(k).count.get();
    for (std::uint32_t i = 0; i < kept_count; ++i)
      held += kept(i).count();
    return held == 0;
  }
  // Looks different after nearly every sequence of calls that went through the front: who finds it as it was
  // takes the thread for idle, and is wrong now and then, at the price of a refill.
  [[nodiscard]] std::uint64_t trace() const noexcept {
    std::uint64_t mix = 0;
    for (std::uint32_t k = 0; k < magazine_count; ++k)
      mix = mix * 31 + magazine(k).live.get() + (std::uint64_t{magazine(k).count.get()} << 48U);
    for (std::uint32_t i = 0; i < kept_count; ++i)
      mix = mix * 31 + kept(i).live_bytes.get() + (std::uint64_t{kept(i).count()} << 48U);
    return mix;
  }
};
static_assert(alignof(Magazine) <= alignof(Front) && sizeof(Front) % alignof(Magazine) == 0);
static_assert(sizeof(Magazine) % alignof(KeptRanges) == 0);

}  // namespace vaspace
