// Equal slots, and a hierarchical bitmap of the free ones. Lowest free slot first.
//
//   span 0                       span 1                          spans of equal windows, so that a slot's
//   |##|##|  |##|  |  |##|##|    |##|  |  |  |  |  |  |  |       number says its span and its offset
//    0  1  2  3  4  5  6  7       8  9 ...
//   bitmap (1 = free): 00001100  01111111        lowest free: 2, kept outside the bitmap
//
// Always true: live slots never overlap, never leave their span and lie where their alignment asks (R1); live
// + free = slots of all spans (R2); a slot is free exactly when its bit is set or it is the lowest one, which
// is below every bit; a slot's generation changes when it is freed, so a stale handle is told until 2^16
// reuses have passed (R6).
//
// allocate and free are O(1): at most HierarchicalBitmap::kMaxLevels words each, and mostly none, because who
// frees below all that is free only moves the lowest slot; beside that they touch one record. An alignment
// above the slot's own looks at up to (free slots / (alignment / slot)) candidates. Externally synchronised.
//
// There are two of them. SlabAllocator keeps 2 bytes a slot, the generation. TrackedSlabAllocator keeps 4: it
// also knows what was asked for, and its slots can be parked:
//
//   free --take--> parked --activate--> live --park--> parked --give--> free
//
// A parked slot is nobody's and not free. activate and park write nothing but the slot's record, so that
// whoever holds a parked slot hands it out without the lock that guards the rest (magazines, src/arena).
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "vaspace/base/host_array.hpp"
#include "vaspace/base/published_array.hpp"
#include "vaspace/range/hierarchical_bitmap.hpp"
#include "vaspace/range/range.hpp"
#include "vaspace/range/slot_records.hpp"

namespace vaspace {

struct SlabConfig {
  Bytes slot_size{};  // every range's size
  // The largest span. Offsets of span n begin at n * (this, rounded up to a power of two).
  Bytes window{};
  // How much of it the allocator begins with; 0: nothing, until add_span.
  Bytes capacity{};
  // Told from the handles of other allocators by this (R6). 0: by the address of its host memory.
  std::uint32_t identity = 0;
  HostAllocator host = default_host_allocator();
};

// What a free gave back.
struct Freed {
  Offset offset{};
  Bytes size{};       // handed out
  Bytes requested{};  // asked for; equal to size where that is not tracked
  bool span_empty = false;
};

template <class Record>
class BasicSlabAllocator {
 public:
  using Word = typename Record::Word;
  static constexpr bool kTracked = Record::kTracked;
  static constexpr std::uint32_t kNone = HierarchicalBitmap::kNone;
  static constexpr std::uint32_t kMaxSlots = 1U << 27U;

  // Errors: invalid_configuration (no slot fits the window, more than kMaxSlots, slots above 64 KiB where
  // what was asked for is tracked), out_of_host_memory.
  [[nodiscard]] static Result<BasicSlabAllocator> create(const SlabConfig& config) noexcept;

  BasicSlabAllocator(BasicSlabAllocator&&) noexcept = default;
  BasicSlabAllocator& operator=(BasicSlabAllocator&& other) noexcept;
  BasicSlabAllocator(const BasicSlabAllocator&) = delete;
  BasicSlabAllocator& operator=(const BasicSlabAllocator&) = delete;
  ~BasicSlabAllocator() { release_records(); }

  // Errors: invalid_size (0; tracked: 1 byte in a slot of 64 KiB), invalid_alignment, too_large (size above
  // the slot, alignment above the largest span), out_of_space.
  [[nodiscard]] Result<Range> allocate(RangeRequest request) noexcept {
    const std::uint32_t slot = lowest_;
    if (!is_plain(request) || slot == kNone) [[unlikely]]
      return allocate_rare(request);
    lowest_ = kNone;
    count_taken_slot(slot);
    return made_live(slot, request.size);
  }

  // Errors: unknown_handle, stale_handle; nothing has changed then (R6).
  [[nodiscard]] Result<Freed> release(RangeId id) noexcept {
    const Bytes requested = retire(id);
    if (requested == Bytes{}) [[unlikely]]
      return why_not(id);
    give(id.index);
    return Freed{offset_of(id.index), Bytes{slot_size_}, requested, span_empty(offset_of(id.index))};
  }
  [[nodiscard]] Result<void> try_free(RangeId id) noexcept {
    if (!free_lowest(id)) [[unlikely]]
      return free_rare(id);
    return {};
  }

  // Errors as release.
  [[nodiscard]] Result<Range> find(RangeId id) const noexcept;
  // The live slot that begins at `offset`. Errors: interior_address, unknown_address. O(1).
  [[nodiscard]] Result<Range> find_at(Offset offset) const noexcept;
  // What was asked for, of a live slot; tracked, and freed meanwhile: 0.
  [[nodiscard]] Bytes requested(RangeId id) const noexcept;

  [[nodiscard]] bool can_allocate(RangeRequest request) const noexcept;
  [[nodiscard]] Bytes largest_free() const noexcept {
    return lowest_ == kNone && free_.empty() ? Bytes{} : Bytes{slot_size_};
  }
  // Parked slots count as used.
  [[nodiscard]] RangeReport report() const noexcept;
  [[nodiscard]] const char* validate() const noexcept;

  // More slots, as many as fit `capacity`, at the lowest window that is not in use; its begin. Errors:
  // invalid_size (no slot fits), too_large (above the largest span; more than kMaxSlots), out_of_host_memory.
  [[nodiscard]] Result<Offset> add_span(Bytes capacity) noexcept;
  // Errors: unknown_address (no span begins there), wrong_state (it has live or parked slots).
  [[nodiscard]] Result<void> remove_span(Offset begin) noexcept;

  // `offset` lies in a span. O(1) where tracked, else a look at the span's bits.
  [[nodiscard]] bool span_empty(Offset offset) const noexcept {
    const auto span = static_cast<std::uint32_t>(offset.value >> window_shift_);
    if constexpr (kTracked) return spans_[span].taken == 0;
    return count_taken(span) == 0;
  }

  [[nodiscard]] Bytes slot_size() const noexcept { return Bytes{slot_size_}; }
  // What every slot has.
  [[nodiscard]] Alignment natural_alignment() const noexcept { return Alignment{natural_alignment_}; }
  // Distance of the begins of two neighbouring spans.
  [[nodiscard]] Bytes window() const noexcept { return Bytes{std::uint64_t{1} << window_shift_}; }
  // So few are free that another span is better than slots of another taker's: less than a quarter, or than
  // one taker gets.
  [[nodiscard]] bool is_crowded() const noexcept {
    const std::uint64_t left = slots_ - taken_;
    return left * 4 < slots_ || left < 64;
  }
  // Slots that are not free.
  [[nodiscard]] std::uint32_t taken() const noexcept { return taken_; }

  // Whether any slot serves the request; what is left to ask is whether one is free.
  [[nodiscard]] bool is_plain(RangeRequest request) const noexcept {
    const bool fits = request.size.value - 1 < slot_size_ &&
                      request.alignment.value - 1 < natural_alignment_ && request.alignment.valid();
    if constexpr (kTracked) return fits && slot_size_ - request.size.value < Record::kNobody;
    return fits;
  }
  // Takes a free slot out, as allocate does, but parked. Errors: as allocate.
  [[nodiscard]] Result<std::uint32_t> take(RangeRequest request) noexcept requires(Record::kTracked);
  // The lowest free slot, parked; or kNone.
  [[nodiscard]] std::uint32_t take() noexcept {
    std::uint32_t slot = lowest_;
    if (slot != kNone) [[likely]] {
      lowest_ = kNone;
    } else {
      slot = take_next();
      if (slot == kNone) return kNone;
    }
    count_taken_slot(slot);
    return slot;
  }
  // The lowest free slot that is not below `slot`, or kNone.
  [[nodiscard]] std::uint32_t next_free(std::uint64_t slot) const noexcept;
  // This free slot, parked.
  void take_at(std::uint32_t slot) noexcept;
  // A parked slot is free again.
  void give(std::uint32_t slot) noexcept {
    if (lowest_ == kNone && slot < floor_) [[likely]] {
      lowest_ = slot;
    } else {
      give_next(slot);
    }
    --taken_;
    if constexpr (kTracked) --spans_.data()[slot >> window_bits_].taken;
  }

  // The same, several at once: up to `most` of the lowest free slots, in order; how many.
  [[nodiscard]] std::uint32_t take(std::uint32_t* slots, std::uint32_t most) noexcept
      requires(Record::kTracked);
  // The same for one of several takers (from 1 on), each of which gets the lowest of its own: 64 neighbouring
  // slots are one taker's until all of them are free again, so that no two takers write records of one cache
  // line. Where only others' are free it gets none, or with `steal` 64 of theirs. Looks at no more than
  // kMostForeign words that are others'.
  [[nodiscard]] std::uint32_t take(std::uint32_t* slots, std::uint32_t most, std::uint8_t taker,
                                   bool steal) noexcept requires(Record::kTracked);
  // Calls emptied(offset) for each span that is empty now, at an offset in it.
  template <class Emptied>
  void give(const std::uint32_t* slots, std::uint32_t count, Emptied&& emptied) noexcept
      requires(Record::kTracked) {
    Span* spans = spans_.data();
    std::uint32_t least = floor_;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t slot = slots[i];
      free_.set(slot);
      if (free_.is_full(slot >> 6U)) takers_.data()[slot >> 6U] = 0;
      least = slot < least ? slot : least;
      if (--spans[slot >> window_bits_].taken == 0) [[unlikely]]
        emptied(offset_of(slot));
    }
    floor_ = least;
    taken_ -= count;
    // The lowest one is below all bits, or among them.
    if (lowest_ != kNone && lowest_ > least) free_.set(std::exchange(lowest_, kNone));
  }

  // Thread-safe, for the one who holds the parked slot: it is live from now on. Where tracked.
  [[nodiscard]] RangeId activate(std::uint32_t slot, Bytes requested) noexcept {
    if constexpr (kTracked) {
      return make_id(slot, slot_records().activate(slot, requested));
    } else {
      return id_of(slot);
    }
  }
  // What activate and park need, for who keeps it at hand. Valid until the allocator is moved or destroyed.
  // Of a slab that is not tracked it is empty.
  [[nodiscard]] SlotRecords slot_records() const noexcept {
    if constexpr (kTracked) {
      return {&records_, slot_size_, tag_};
    } else {
      return {};
    }
  }
  [[nodiscard]] unsigned window_bits() const noexcept { return window_bits_; }
  // Why a handle is not live, found out after it was not. Thread-safe where tracked.
  [[nodiscard]] tl::unexpected<Error> why_not(RangeId id) const noexcept;
  // The begin of a slot, as an offset.
  [[nodiscard]] Offset offset_of(std::uint32_t slot) const noexcept {
    return Offset{slot * slot_size_ + (slot >> window_bits_) * window_rest_};
  }

  // Calls visit(Range, Bytes requested) for every live slot, in order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::uint32_t span = 0; span < spans_.size(); ++span) {
      for (std::uint32_t i = 0; i < spans_[span].slots; ++i) {
        const std::uint32_t slot = (span << window_bits_) | i;
        if (is_live(slot)) visit(range_of(slot), requested(id_of(slot)));
      }
    }
  }

 private:
  static constexpr unsigned kChunkBits = SlotRecords::kChunkBits;
  static constexpr std::uint32_t kChunkMask = SlotRecords::kChunkMask;

  static constexpr std::uint32_t kMostForeign = 64;

  struct Span {
    std::uint32_t slots = 0;  // 0: not in use
    std::uint32_t taken = 0;  // kept where tracked
  };

  explicit BasicSlabAllocator(const SlabConfig& config) noexcept;

  // Of a slot of a span that is, or was.
  [[nodiscard]] Word* record_of(std::uint32_t slot) const noexcept {
    return records_.view()[slot >> kChunkBits] + (slot & kChunkMask);
  }
  [[nodiscard]] Word record(std::uint32_t slot) const noexcept {
    return std::atomic_ref<Word>(*record_of(slot)).load(std::memory_order_relaxed);
  }
  [[nodiscard]] static std::uint16_t generation_of(Word record) noexcept {
    return static_cast<std::uint16_t>(kTracked ? record >> 16U : record);
  }
  [[nodiscard]] RangeId id_of(std::uint32_t slot) const noexcept {
    return make_id(slot, tag_ | generation_of(record(slot)));
  }
  [[nodiscard]] Range range_of(std::uint32_t slot) const noexcept {
    return {offset_of(slot), Bytes{slot_size_}, id_of(slot)};
  }
  // `slot` is a span's.
  [[nodiscard]] bool is_live(std::uint32_t slot) const noexcept { return is_live(slot, record(slot)); }
  // `now` is its record.
  [[nodiscard]] bool is_live(std::uint32_t slot, Word now) const noexcept {
    if constexpr (kTracked) {
      return (now & Record::kNobody) != Record::kNobody;
    } else {
      return slot != lowest_ && !free_.test(slot);
    }
  }
  [[nodiscard]] bool knows(std::uint32_t slot) const noexcept {
    const std::uint32_t span = slot >> window_bits_;
    return span < spans_.size() && (slot & span_mask_) < spans_.data()[span].slots;
  }
  // The live slot is nobody's now; what was asked for, or 0: it is not live.
  [[nodiscard]] Bytes retire(RangeId id) noexcept {
    if constexpr (kTracked) {
      return Bytes{slot_records().template park<true>(id.index, id.generation)};
    } else {
      if (!knows(id.index)) [[unlikely]]
        return {};
      Word* record = record_of(id.index);
      if ((tag_ | *record) != id.generation || !is_live(id.index)) [[unlikely]]
        return {};
      ++*record;
      return Bytes{slot_size_};
    }
  }

  [[nodiscard]] Range made_live(std::uint32_t slot, Bytes requested) noexcept {
    if constexpr (kTracked) {
      return {offset_of(slot), Bytes{slot_size_}, activate(slot, requested)};
    } else {
      return range_of(slot);
    }
  }

  void count_taken_slot(std::uint32_t slot) noexcept {
    ++taken_;
    if constexpr (kTracked) ++spans_.data()[slot >> window_bits_].taken;
  }
  void update_dense(std::uint32_t at) noexcept;

  // False: not this way.
  [[nodiscard]] bool free_lowest(RangeId id) noexcept {
    if constexpr (kTracked) {
      return false;
    } else {
      // Below all that is free, and all that is no span's, nothing is: the bits need no look.
      if (id.index >= floor_ || lowest_ != kNone) [[unlikely]]
        return false;
      Word& word = *record_of(id.index);
      if ((tag_ | word) != id.generation) [[unlikely]]
        return false;
      ++word;
      lowest_ = id.index;
      --taken_;
      return true;
    }
  }
  // What is not on the way of most calls.
  [[nodiscard]] std::uint32_t take_next() noexcept;
  void give_next(std::uint32_t slot) noexcept;
  [[nodiscard]] Result<Range> allocate_rare(RangeRequest request) noexcept;
  [[nodiscard]] Result<void> free_rare(RangeId id) noexcept;
  [[nodiscard]] Result<std::uint32_t> find_slot(RangeRequest request) const noexcept;
  [[nodiscard]] std::uint32_t count_taken(std::uint32_t span) const noexcept;
  [[nodiscard]] bool make_records(std::uint64_t first, std::uint64_t end) noexcept;
  void release_records() noexcept;

  std::uint64_t slot_size_ = 0;
  std::uint64_t natural_alignment_ = 0;  // what every slot has
  std::uint64_t window_rest_ = 0;        // bytes between the last slot of a window and the next window
  std::uint32_t tag_ = 0;                // upper half of every handle's generation
  std::uint32_t span_mask_ = 0;          // slots between the begins of two spans, less 1
  unsigned window_bits_ = 0;             // log2 of those
  unsigned window_shift_ = 0;            // log2 of the bytes
  std::uint32_t lowest_ = kNone;         // a free slot below all of free_, or none
  std::uint32_t floor_ = 0;              // nothing in free_ is below it, and it is not above dense_
  std::uint32_t dense_ = 0;              // all slots below it are spans'
  std::uint32_t taken_ = 0;
  PublishedArray<Word*> records_;  // by chunk; null: never needed. They outlive their spans, so that a handle
                                   // to one of its slots stays stale in the window's next life (R6).
  HostArray<Span> spans_;
  HierarchicalBitmap free_;
  HostArray<std::uint8_t> takers_;  // by word of free_, where tracked; 0: anybody's
  std::uint64_t slots_ = 0;         // of all spans
  std::uint32_t first_gap_ = 0;     // no window below it is out of use
  Bytes span_limit_{};              // no span, so no alignment, is larger
};

using SlabAllocator = BasicSlabAllocator<GenerationRecord>;
using TrackedSlabAllocator = BasicSlabAllocator<TrackedRecord>;
extern template class BasicSlabAllocator<GenerationRecord>;
extern template class BasicSlabAllocator<TrackedRecord>;

}  // namespace vaspace
