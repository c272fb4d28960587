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

namespace vaspace {

struct SpansConfig {
  Strategy strategy = Strategy::object;
  Bytes slot_size{};  // slab
  Alignment granule{256};
  Bytes largest_span{};
  bool index_addresses = false;
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
    }
    spans.window_mask_ = spans.window().value - 1;
    spans.window_bits_ = static_cast<unsigned>(std::bit_width(spans.window_mask_));
    return spans;
  }

  [[nodiscard]] bool is_slab() const noexcept { return slab_.has_value(); }
  [[nodiscard]] Bytes window() const noexcept { return slab_ ? slab_->window() : object_->window(); }

  // Placed for a request: live at once in an object strategy, parked in a slab, whose id comes with
  // activate().
  // `taker`: for whom, where slots are handed out to several; else 0.
  [[nodiscard]] Result<Range> take(RangeRequest request, std::uint8_t taker = 0) noexcept {
    if (!slab_) return object_->allocate(request);
    if (std::uint32_t slot = 0; taker != 0 && slab_->is_plain(request)) {
      if (slab_->take(&slot, 1, taker, true) == 0) return fail(ErrorCode::out_of_space);
      return range_of_slot(slot);
    }
    const Result<std::uint32_t> slot = slab_->take(request);
    if (!slot) return fail(slot.error());
    return range_of_slot(*slot);
  }
  // As it was before take().
  void untake(const Range& range) noexcept {
    if (slab_) {
      slab_->give(range.id.index);
    } else {
      (void)object_->release(range.id);
    }
  }
  [[nodiscard]] RangeId activate(const Range& range, Bytes requested) noexcept {
    return slab_ ? slab_->activate(range.id.index, requested) : range.id;
  }
  // Of a slot, parked or live.
  [[nodiscard]] Range range_of_slot(std::uint32_t slot) const noexcept {
    return {slab_->offset_of(slot), slab_->slot_size(), {slot, 0}};
  }
  [[nodiscard]] TrackedSlabAllocator* slab() noexcept { return slab_ ? &*slab_ : nullptr; }
  [[nodiscard]] const PublishedArray<Address>& addresses() const noexcept { return addresses_; }
  // All of an empty window; of object strategy only.
  [[nodiscard]] Result<Range> take_window(std::uint32_t window, Bytes requested) noexcept {
    return object_->take_span(begin_of(window), requested);
  }
  // The live range is nobody's from now on, until untake(): what was asked for of it, or 0, as it is not
  // live.
  [[nodiscard]] Bytes retire(RangeId id) noexcept {
    if (!slab_) return object_->requested(id);
    return Bytes{slab_->slot_records().park<true>(id.index, id.generation)};
  }
  // Of object strategy, as ObjectAllocator::reissue; the id is live.
  [[nodiscard]] RangeId reissue(RangeId id, Bytes requested) noexcept {
    return object_->reissue(id, requested).value_or(RangeId{});
  }
  [[nodiscard]] Bytes granule() const noexcept { return object_->granule(); }
  [[nodiscard]] std::uint64_t granules(Bytes size) const noexcept {
    return (size.value - 1) / object_->granule().value + 1;
  }
  [[nodiscard]] Result<Freed> release(RangeId id) noexcept {
    return slab_ ? slab_->release(id) : object_->release(id);
  }
  [[nodiscard]] Result<Range> find(RangeId id) const noexcept {
    return slab_ ? slab_->find(id) : object_->find(id);
  }
  [[nodiscard]] Result<Range> find_at(Offset offset) noexcept {
    return slab_ ? slab_->find_at(offset) : object_->find_at(offset);
  }
  [[nodiscard]] std::uint64_t count_live() const noexcept {
    std::uint64_t live = 0;
    for_each([&](const Range&, Bytes) { ++live; });
    return live;
  }
  [[nodiscard]] Bytes requested(RangeId id) const noexcept {
    return slab_ ? slab_->requested(id) : object_->requested(id);
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
      object_->for_each(visit);
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

  std::optional<TrackedSlabAllocator> slab_;
  std::optional<ObjectAllocator> object_;
  std::uint64_t window_mask_ = 0;
  unsigned window_bits_ = 0;
  PublishedArray<Address> addresses_;  // by window
};

}  // namespace vaspace
