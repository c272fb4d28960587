// A strategy over several reservations: offsets from the range layer on one side, addresses on the other.
//
// Always true: span w of the strategy lies at offsets from w * window() on, and at its own reservation's
// address; an offset aligned to what the reservations are aligned to is an address aligned to it.
#pragma once

#include <optional>

#include "vaspace/arena/size_class.hpp"
#include "vaspace/base/host_array.hpp"
#include "vaspace/device/backend.hpp"
#include "vaspace/range/object_allocator.hpp"
#include "vaspace/range/slab_allocator.hpp"

#include "arena/object_records.hpp"

namespace vaspace {

struct SpansConfig {
  Strategy strategy = Strategy::object;
  Bytes slot_size{};  // slab
  Alignment granule{256};
  Bytes largest_span{};
  bool index_addresses = false;
  bool records = true;  // of object strategy: keep what makes ranges somebody's without the lock
  std::uint32_t identity = 0;
  HostAllocator host{};
};

class Spans {
 public:
  [[nodiscard]] static Result<Spans> create(const SpansConfig& config) noexcept {
    Spans spans(config.host);
    if (config.strategy == Strategy::slab) {
      auto slab = TrackedSlabAllocator::create({.slot_size = config.slot_size,
                                                .window = config.largest_span,
                                                .identity = config.identity,
                                                .host = config.host});
      if (!slab) return fail(slab.error());
      spans.slab_.emplace(std::move(*slab));
    } else {
      auto object = ObjectAllocator::create({.window = config.largest_span,
                                             .granule = config.granule,
                                             .index_addresses = config.index_addresses,
                                             .identity = config.identity,
                                             .host = config.host});
      if (!object) return fail(object.error());
      spans.object_.emplace(std::move(*object));
      if (config.records) spans.records_.emplace(config.host, config.identity, config.granule.log2());
    }
    spans.window_mask_ = spans.window().value - 1;
    spans.window_bits_ = static_cast<unsigned>(std::bit_width(spans.window_mask_));
    return spans;
  }

  [[nodiscard]] bool is_slab() const noexcept { return slab_.has_value(); }
  [[nodiscard]] Bytes window() const noexcept { return slab_ ? slab_->window() : object_->window(); }

  // Placed for a request, and nobody's: activate() makes it live, untake() takes it back. Its id has no
  // generation yet. `taker`: for whom, where slots are handed out to several; else 0.
  [[nodiscard]] Result<Range> take(RangeRequest request, std::uint8_t taker = 0) noexcept {
    if (!slab_) return placed(object_->allocate(request));
    if (std::uint32_t slot = 0; taker != 0 && slab_->is_plain(request)) {
      if (slab_->take(&slot, 1, taker, true) == 0) return fail(ErrorCode::out_of_space);
      return range_at(slot);
    }
    const Result<std::uint32_t> slot = slab_->take(request);
    if (!slot) return fail(slot.error());
    return range_at(*slot);
  }
  // All of an empty window; of object strategy only.
  [[nodiscard]] Result<Range> take_window(std::uint32_t window, Bytes requested) noexcept {
    return placed(object_->take_span(begin_of(window), requested));
  }
  // Whether its window is empty now.
  bool untake(const Range& range) noexcept {
    if (!slab_) return object_->give(range.id.index);
    slab_->give(range.id.index);
    return empty(window_of(range.offset));
  }

  // Thread-safe, as what they call is (SlotRecords, ObjectRecords).
  [[nodiscard]] RangeId activate(std::uint32_t index, Bytes requested) noexcept {
    return slab_ ? slab_->activate(index, requested) : make_id(index, records_->activate(index, requested));
  }
  template <bool kShared>
  [[nodiscard]] Bytes park(RangeId id) noexcept {
    if (!slab_) return records_->template park<kShared>(id.index, id.generation);
    return Bytes{slab_->slot_records().template park<kShared>(id.index, id.generation)};
  }
  [[nodiscard]] ErrorCode why_not(RangeId id) const noexcept {
    return slab_ ? slab_->why_not(id).value().code : records_->why_not(id.index, id.generation);
  }
  // Of a range that is placed.
  [[nodiscard]] Range range_at(std::uint32_t index) const noexcept {
    if (slab_) return {slab_->offset_of(index), slab_->slot_size(), {index, 0}};
    return {records_->offset_of(index), records_->size_of(index), {index, 0}};
  }
  // Whether there ever was such a slot or node. Any number may be asked for.
  [[nodiscard]] bool knows(RangeId id) const noexcept {
    return slab_ ? slab_->slot_records().knows(id.index) : records_->is_placed(id.index);
  }
  // Any number may be asked for.
  [[nodiscard]] bool is_at(std::uint32_t index, Address address) const noexcept {
    if (!slab_ && !records_->is_placed(index)) return false;
    return is_at(slab_ ? slab_->offset_of(index) : records_->offset_of(index), address);
  }
  [[nodiscard]] bool is_at(Offset offset, Address address) const noexcept {
    return window_of(offset) < addresses_.view().size() && address_of(offset) == address;
  }

  [[nodiscard]] TrackedSlabAllocator* slab() noexcept { return slab_ ? &*slab_ : nullptr; }
  // Of object strategy.
  [[nodiscard]] ObjectAllocator& object() noexcept { return *object_; }
  [[nodiscard]] ObjectRecords& records() noexcept { return *records_; }
  [[nodiscard]] const PublishedArray<Address>& addresses() const noexcept { return addresses_; }
  // Of object strategy.
  [[nodiscard]] Result<Freed> release(RangeId id) noexcept { return object_->release(id); }
  [[nodiscard]] Result<Range> find_at(Offset offset) noexcept {
    if (slab_) return slab_->find_at(offset);
    Result<Range> range = object_->find_around(offset);
    if (!range) return range;
    const ObjectRecords::Seen seen = records_->see(range->id.index);
    if (seen.requested == Bytes{}) return fail(ErrorCode::unknown_address);
    if (range->offset != offset) return fail(ErrorCode::interior_address);
    range->id.generation = seen.generation;
    return range;
  }
  [[nodiscard]] std::uint64_t count_live() const noexcept {
    std::uint64_t live = 0;
    for_each([&](const Range&, Bytes) { ++live; });
    return live;
  }
  [[nodiscard]] Bytes requested(RangeId id) const noexcept {
    if (slab_) return slab_->requested(id);
    const ObjectRecords::Seen seen = records_->see(id.index);
    return seen.generation == id.generation ? seen.requested : Bytes{};
  }
  [[nodiscard]] bool can_allocate(RangeRequest request) const noexcept {
    return slab_ ? slab_->can_allocate(request) : object_->can_allocate(request);
  }
  [[nodiscard]] RangeReport report() const noexcept { return slab_ ? slab_->report() : object_->report(); }
  [[nodiscard]] const char* validate() const noexcept {
    return slab_ ? slab_->validate() : object_->validate();
  }
  template <class Visit>
  void for_each(Visit&& visit) const {
    if (slab_) {
      slab_->for_each(visit);
    } else {
      object_->for_each([&](Range range, Bytes) {
        const ObjectRecords::Seen seen = records_->see(range.id.index);
        range.id.generation = seen.generation;
        if (seen.requested != Bytes{}) visit(range, seen.requested);
      });
    }
  }

  // The window that the reservation has become. Errors: as add_span.
  [[nodiscard]] Result<std::uint32_t> add(Address address, Bytes size) noexcept {
    if (!addresses_.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
    const Result<Offset> begin = slab_ ? slab_->add_span(size) : object_->add_span(size);
    if (!begin) return fail(begin.error());
    const std::uint32_t window = window_of(*begin);
    if (window == addresses_.size()) {
      addresses_.push_back_reserved(address);
    } else {
      addresses_.set(window, address);
    }
    return window;
  }
  // Errors: wrong_state when something lives in it.
  [[nodiscard]] Result<void> remove(std::uint32_t window) noexcept {
    return slab_ ? slab_->remove_span(begin_of(window)) : object_->remove_span(begin_of(window));
  }

  [[nodiscard]] bool empty(std::uint32_t window) const noexcept {
    return slab_ ? slab_->span_empty(begin_of(window)) : object_->span_empty(begin_of(window));
  }

  [[nodiscard]] std::uint32_t window_of(Offset offset) const noexcept {
    return static_cast<std::uint32_t>(offset.value >> window_bits_);
  }
  [[nodiscard]] Offset begin_of(std::uint32_t window) const noexcept {
    return Offset{std::uint64_t{window} << window_bits_};
  }
  [[nodiscard]] Address address_of(Offset offset) const noexcept {
    return addresses_.view()[window_of(offset)] + Bytes{offset.value & window_mask_};
  }
  [[nodiscard]] Offset offset_of(std::uint32_t window, Address address) const noexcept {
    return begin_of(window) + (address - addresses_[window]);
  }

 private:
  explicit Spans(const HostAllocator& host) noexcept : addresses_(host) {}

  [[nodiscard]] Result<Range> placed(Result<Range> range) noexcept {
    if (!range || !records_) return range;
    if (records_->place(range->id.index, range->offset, range->size) != nullptr) return range;
    (void)object_->give(range->id.index);
    return fail(ErrorCode::out_of_host_memory);
  }

  std::optional<TrackedSlabAllocator> slab_;
  std::optional<ObjectAllocator> object_;
  // What the ways without the lock read lies on lines that nobody writes under it.
  alignas(64) std::optional<ObjectRecords> records_;
  std::uint64_t window_mask_ = 0;
  unsigned window_bits_ = 0;
  PublishedArray<Address> addresses_;  // by window
};

}  // namespace vaspace
