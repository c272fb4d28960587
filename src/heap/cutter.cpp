#include "heap/cutter.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace vaspace {

Result<Cutter> Cutter::create(const CutterConfig& config) noexcept {
  Cutter cutter(config.host);
  cutter.granule_ = config.granule;
  cutter.window_ = Bytes{std::bit_ceil(config.window.value)};
  switch (config.strategy) {
    case PoolStrategy::object: {
      auto object =
          ObjectAllocator::create({.window = cutter.window_, .granule = config.granule, .host = config.host});
      if (!object) return fail(object.error());
      cutter.object_.emplace(std::move(*object));
      return cutter;
    }
    case PoolStrategy::slab: {
      auto slab = SlabAllocator::create(
          {.slot_size = config.slot_size, .window = cutter.window_, .host = config.host});
      if (!slab) return fail(slab.error());
      cutter.slab_.emplace(std::move(*slab));
      return cutter;
    }
    case PoolStrategy::linear: {
      auto linear = LinearAllocator::create({.capacity = config.window, .host = config.host});
      if (!linear) return fail(linear.error());
      cutter.linear_.emplace(std::move(*linear));
      return cutter;
    }
    case PoolStrategy::ring: {
      auto ring = RingAllocator::create({.capacity = config.window, .host = config.host});
      if (!ring) return fail(ring.error());
      cutter.ring_.emplace(std::move(*ring));
      return cutter;
    }
  }
  return fail(ErrorCode::invalid_configuration);
}

Result<Range> Cutter::allocate(RangeRequest request) noexcept {
  if (object_) return object_->allocate(request);
  if (slab_) return slab_->allocate(request);
  if (!has_span_) return fail(ErrorCode::out_of_space);
  const auto whole = checked_align_up(request.size, granule_);
  if (!whole) return fail(ErrorCode::too_large);
  const RangeRequest rounded{*whole, std::max(request.alignment, granule_)};
  if (ring_) return allocate_in_ring(rounded);
  const Result<Placement> placed = linear_->allocate(rounded);
  if (!placed) return fail(placed.error());
  ++live_;
  return Range{placed->offset, placed->size, {}};
}

// Every range is closed with a serial number of its own, so that they come back one by one.
Result<Range> Cutter::allocate_in_ring(RangeRequest request) noexcept {
  if (first_ > freed_.size() / 2) {
    std::copy(freed_.begin() + first_, freed_.end(), freed_.begin());
    while (first_ != 0) {
      freed_.pop_back();
      --first_;
    }
  }
  if (!freed_.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  const Result<Placement> placed = ring_->allocate(request);
  if (!placed) return fail(placed.error());
  const std::uint64_t serial = next_++;
  (void)ring_->close(serial);
  freed_.push_back_reserved(false);
  return Range{placed->offset,
               placed->size,
               {static_cast<std::uint32_t>(serial), static_cast<std::uint32_t>(serial >> 32U)}};
}

bool Cutter::can_allocate(RangeRequest request) const noexcept {
  if (object_) return object_->can_allocate(request);
  if (slab_) return slab_->can_allocate(request);
  const auto whole = checked_align_up(request.size, granule_);
  if (!has_span_ || !whole) return false;
  const RangeRequest rounded{*whole, std::max(request.alignment, granule_)};
  return ring_ ? ring_->can_allocate(rounded) : linear_->can_allocate(rounded);
}

void Cutter::release(const Range& range) noexcept {
  if (object_) {
    (void)object_->release(range.id);
  } else if (slab_) {
    (void)slab_->release(range.id);
  } else if (ring_) {
    release_in_ring((std::uint64_t{range.id.generation} << 32U) | range.id.index);
  } else if (--live_ == 0) {
    linear_->reset();
  }
}

void Cutter::release_in_ring(std::uint64_t serial) noexcept {
  freed_[first_ + static_cast<std::size_t>(serial - oldest_)] = true;
  while (oldest_ != next_ && freed_[first_]) {
    (void)ring_->retire(oldest_);
    ++first_;
    ++oldest_;
  }
}

Result<Offset> Cutter::add_span(Bytes size) noexcept {
  if (object_) return object_->add_span(size);
  if (slab_) return slab_->add_span(size);
  if (has_span_) return fail(ErrorCode::out_of_space);
  has_span_ = true;
  return Offset{};
}

Result<void> Cutter::remove_span(Offset begin) noexcept {
  if (object_) return object_->remove_span(begin);
  if (slab_) return slab_->remove_span(begin);
  const bool empty = ring_ ? oldest_ == next_ : live_ == 0;
  if (!has_span_ || !empty) return fail(ErrorCode::wrong_state);
  has_span_ = false;
  return {};
}

const char* Cutter::validate() const noexcept {
  if (object_) return object_->validate();
  if (slab_) return slab_->validate();
  return ring_ ? ring_->validate() : linear_->validate();
}

}  // namespace vaspace
