// Equal slots, and a hierarchical bitmap of the free ones. Lowest free slot first.
//
//   span 0                       span 1                          spans of equal windows, so that a slot's
//   |##|##|  |##|  |  |##|##|    |##|  |  |  |  |  |  |  |       number says its span and its offset
//    0  1  2  3  4  5  6  7       8  9 ...
//   bitmap (1 = free): 00101100  01111111        lowest free: 2
//
// Always true: live slots never overlap, never leave their span and lie where their alignment asks (R1); live
// + free = slots of all spans (R2); a slot is free exactly when its bit is set; a slot's generation changes
// when it is freed, so a stale handle is told until 2^16 reuses have passed (R6).
//
// allocate and free are O(1): at most HierarchicalBitmap::kMaxLevels words each. An alignment above the
// slot's own looks at up to (free slots / (alignment / slot)) candidates. Externally synchronised.
#pragma once

#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/range/hierarchical_bitmap.hpp"
#include "vaspace/range/range.hpp"

namespace vaspace {

struct SlabConfig {
  Bytes slot_size{};  // every range's size
  // The largest span. Offsets of span n begin at n * (this, rounded up to a power of two).
  Bytes window{};
  // How much of it the allocator begins with; 0: nothing, until add_span.
  Bytes capacity{};
  // Keep what was asked for beside what was handed out: 2 bytes a slot more, and slots of at most 64 KiB.
  bool track_requested = false;
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

class SlabAllocator {
 public:
  static constexpr std::uint32_t kMaxSlots = 1U << 28U;

  // Errors: invalid_configuration (no slot fits the window, more than kMaxSlots, slots too large to track),
  // out_of_host_memory.
  [[nodiscard]] static Result<SlabAllocator> create(const SlabConfig& config) noexcept;

  SlabAllocator(SlabAllocator&&) noexcept = default;
  SlabAllocator& operator=(SlabAllocator&& other) noexcept;
  SlabAllocator(const SlabAllocator&) = delete;
  SlabAllocator& operator=(const SlabAllocator&) = delete;
  ~SlabAllocator() { release_spans(); }

  // Errors: invalid_size, invalid_alignment, too_large (size above the slot, alignment above the largest
  // span), out_of_space.
  [[nodiscard]] Result<Range> allocate(RangeRequest request) noexcept {
    if (request.size.value - 1 >= slot_size_ || request.alignment.value - 1 >= natural_alignment_ ||
        !request.alignment.valid()) [[unlikely]] {
      return allocate_rare(request);
    }
    const std::uint32_t slot = free_.take_first();
    if (slot == HierarchicalBitmap::kNone) [[unlikely]]
      return fail(ErrorCode::out_of_space);
    return take(slot, request.size);
  }

  // Errors: unknown_handle, stale_handle; nothing has changed then (R6).
  [[nodiscard]] Result<Freed> release(RangeId id) noexcept {
    const std::uint32_t span = id.index >> window_bits_;
    if (span >= spans_.size() || !is_live(id, spans_.data()[span])) [[unlikely]]
      return why_not(id);
    Span& home = spans_.data()[span];
    std::uint16_t* record = record_of(home, id.index);
    ++*record;
    free_.set(id.index);
    --home.live;
    --live_;
    const std::uint64_t requested = slot_size_ - (stride_ == 2 ? record[1] : 0);
    return Freed{offset_of(id.index), Bytes{slot_size_}, Bytes{requested}, home.live == 0};
  }
  [[nodiscard]] Result<void> try_free(RangeId id) noexcept {
    const Result<Freed> freed = release(id);
    if (!freed) return fail(freed.error());
    return {};
  }

  // Errors as release.
  [[nodiscard]] Result<Range> find(RangeId id) const noexcept;
  // The live slot that begins at `offset`. Errors: interior_address, unknown_address. O(1).
  [[nodiscard]] Result<Range> find_at(Offset offset) const noexcept;
  // What was asked for, of a live slot.
  [[nodiscard]] Bytes requested(RangeId id) const noexcept;

  [[nodiscard]] bool can_allocate(RangeRequest request) const noexcept;
  [[nodiscard]] Bytes largest_free() const noexcept { return free_.empty() ? Bytes{} : Bytes{slot_size_}; }
  [[nodiscard]] RangeReport report() const noexcept;
  [[nodiscard]] const char* validate() const noexcept;

  // More slots, as many as fit `capacity`, at the lowest window that is not in use; its begin. Errors:
  // invalid_size (no slot fits), too_large (above the largest span; more than kMaxSlots), out_of_host_memory.
  [[nodiscard]] Result<Offset> add_span(Bytes capacity) noexcept;
  // Errors: unknown_address (no span begins there), wrong_state (it has live slots).
  [[nodiscard]] Result<void> remove_span(Offset begin) noexcept;

  // `begin` is a span's.
  [[nodiscard]] bool span_empty(Offset begin) const noexcept {
    return spans_[begin.value >> window_shift_].live == 0;
  }

  [[nodiscard]] Bytes slot_size() const noexcept { return Bytes{slot_size_}; }
  // Distance of the begins of two neighbouring spans.
  [[nodiscard]] Bytes window() const noexcept { return Bytes{std::uint64_t{1} << window_shift_}; }
  [[nodiscard]] std::uint32_t live() const noexcept { return live_; }

  // Calls visit(Range, Bytes requested) for every live slot, in order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::uint32_t span = 0; span < spans_.size(); ++span) {
      for (std::uint32_t i = 0; i < spans_[span].slots; ++i) {
        const std::uint32_t slot = (span << window_bits_) | i;
        if (!free_.test(slot)) visit(range_of(slot), requested(id_of(slot)));
      }
    }
  }

 private:
  struct Span {
    // Per slot: generation, and what was not asked for where that is tracked. They outlive the span, so that
    // a handle to one of its slots stays stale in the window's next life (R6).
    std::uint16_t* records = nullptr;
    std::uint32_t recorded = 0;  // slots that `records` has room for
    std::uint32_t slots = 0;     // 0: not in use
    std::uint32_t live = 0;
  };

  explicit SlabAllocator(const SlabConfig& config) noexcept;

  [[nodiscard]] std::uint16_t* record_of(const Span& span, std::uint32_t slot) const noexcept {
    return span.records + std::size_t{slot & ((1U << window_bits_) - 1)} * stride_;
  }
  [[nodiscard]] Offset offset_of(std::uint32_t slot) const noexcept {
    const std::uint64_t in_span = slot & ((1U << window_bits_) - 1);
    return Offset{(std::uint64_t{slot >> window_bits_} << window_shift_) + in_span * slot_size_};
  }
  [[nodiscard]] RangeId id_of(std::uint32_t slot) const noexcept {
    return {slot, tag_ | *record_of(spans_.data()[slot >> window_bits_], slot)};
  }
  [[nodiscard]] Range range_of(std::uint32_t slot) const noexcept {
    return {offset_of(slot), Bytes{slot_size_}, id_of(slot)};
  }
  [[nodiscard]] bool is_live(RangeId id, const Span& span) const noexcept {
    return (id.index & ((1U << window_bits_) - 1)) < span.slots &&
           (tag_ | *record_of(span, id.index)) == id.generation && !free_.test(id.index);
  }
  [[nodiscard]] Range take(std::uint32_t slot, Bytes requested) noexcept {
    Span& span = spans_.data()[slot >> window_bits_];
    std::uint16_t* record = record_of(span, slot);
    if (stride_ == 2) record[1] = static_cast<std::uint16_t>(slot_size_ - requested.value);
    ++span.live;
    ++live_;
    return {offset_of(slot), Bytes{slot_size_}, {slot, tag_ | *record}};
  }

  [[nodiscard]] Result<Range> allocate_rare(RangeRequest request) noexcept;
  [[nodiscard]] Result<std::uint32_t> find_slot(RangeRequest request) const noexcept;
  [[nodiscard]] tl::unexpected<Error> why_not(RangeId id) const noexcept;
  [[nodiscard]] bool make_records(Span& span, std::uint32_t slots) noexcept;
  void release_spans() noexcept;

  Bytes span_limit_{};  // no span, so no alignment, is larger
  std::uint64_t slot_size_ = 0;
  std::uint64_t natural_alignment_ = 0;  // what every slot has
  std::uint64_t slots_ = 0;              // of all spans
  std::uint32_t live_ = 0;
  std::uint32_t first_gap_ = 0;  // no window below it is out of use
  std::uint32_t tag_ = 0;        // upper half of every handle's generation
  unsigned window_bits_ = 0;     // log2 of slots between the begins of two spans
  unsigned window_shift_ = 0;    // log2 of the bytes
  unsigned stride_ = 1;          // uint16 per slot
  HierarchicalBitmap free_;
  HostArray<Span> spans_;
};

}  // namespace vaspace
