#include "vaspace/range/slab_allocator.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "vaspace/base/identity.hpp"

namespace vaspace {

namespace {

constexpr std::uint32_t kNone = HierarchicalBitmap::kNone;

}  // namespace

SlabAllocator::SlabAllocator(const SlabConfig& config) noexcept
    : span_limit_(config.window),
      slot_size_(config.slot_size.value),
      natural_alignment_(std::uint64_t{1} << std::countr_zero(config.slot_size.value)),
      window_bits_(static_cast<unsigned>(std::bit_width(config.window / config.slot_size - 1))),
      window_shift_(static_cast<unsigned>(std::bit_width(config.window.value - 1))),
      stride_(config.track_requested ? 2 : 1),
      free_(config.host),
      spans_(config.host) {}

Result<SlabAllocator> SlabAllocator::create(const SlabConfig& config) noexcept {
  SlabConfig checked = config;
  if (checked.window == Bytes{}) checked.window = checked.capacity;
  if (checked.slot_size == Bytes{} || checked.window < checked.slot_size ||
      checked.capacity > checked.window || checked.window > Bytes{std::uint64_t{1} << 62U} ||
      checked.window / checked.slot_size > kMaxSlots ||
      (checked.track_requested && checked.slot_size > 64_KiB)) {
    return fail(ErrorCode::invalid_configuration);
  }
  SlabAllocator slab(checked);
  if (!slab.spans_.reserve(1)) return fail(ErrorCode::out_of_host_memory);
  const std::uint32_t identity = checked.identity != 0 ? checked.identity : identity_of(slab.spans_.data());
  slab.tag_ = identity << 16U;
  if (checked.capacity != Bytes{}) {
    if (auto span = slab.add_span(checked.capacity); !span) return fail(span.error());
  }
  return slab;
}

SlabAllocator& SlabAllocator::operator=(SlabAllocator&& other) noexcept {
  if (this != &other) {
    release_spans();
    span_limit_ = other.span_limit_;
    slot_size_ = other.slot_size_;
    natural_alignment_ = other.natural_alignment_;
    slots_ = other.slots_;
    live_ = other.live_;
    first_gap_ = other.first_gap_;
    tag_ = other.tag_;
    window_bits_ = other.window_bits_;
    window_shift_ = other.window_shift_;
    stride_ = other.stride_;
    free_ = std::move(other.free_);
    spans_ = std::move(other.spans_);
  }
  return *this;
}

void SlabAllocator::release_spans() noexcept {
  const HostAllocator& host = spans_.host();
  for (const Span& span : spans_) {
    if (span.recorded == 0) continue;
    host.deallocate(host.user, span.records, sizeof(std::uint16_t) * stride_ * span.recorded, 64);
  }
  spans_.clear();
}

// An alignment above the slot's own, or a request that no state can serve.
Result<Range> SlabAllocator::allocate_rare(RangeRequest request) noexcept {
  const Result<std::uint32_t> slot = find_slot(request);
  if (!slot) return fail(slot.error());
  free_.clear(*slot);
  return take(*slot, request.size);
}

Result<std::uint32_t> SlabAllocator::find_slot(RangeRequest request) const noexcept {
  if (request.size == Bytes{}) return fail(ErrorCode::invalid_size);
  if (!request.alignment.valid()) return fail(ErrorCode::invalid_alignment);
  if (request.size.value > slot_size_) return fail(ErrorCode::too_large);
  if (Bytes{request.alignment.value} > span_limit_) return fail(ErrorCode::too_large);
  // Slots lie right when their number in the span is a multiple of this.
  const std::uint64_t period = std::max<std::uint64_t>(request.alignment.value / natural_alignment_, 1);
  const std::uint64_t in_span = (std::uint64_t{1} << window_bits_) - 1;
  std::uint32_t slot = free_.find_from(0);
  while (slot != kNone && (slot & in_span & (period - 1)) != 0) {
    // The next multiple in this span, or else the next span's first slot: whichever comes first.
    const std::uint64_t local = align_up((slot & in_span) + 1, Alignment{period});
    const std::uint64_t next = std::min(local, in_span + 1) + (slot & ~in_span);
    if (next >= free_.size()) return fail(ErrorCode::out_of_space);
    slot = free_.find_from(static_cast<std::uint32_t>(next));
  }
  if (slot == kNone) return fail(ErrorCode::out_of_space);
  return slot;
}

bool SlabAllocator::can_allocate(RangeRequest request) const noexcept {
  return find_slot(request).has_value();
}

// Called once a handle was found not to be live.
tl::unexpected<Error> SlabAllocator::why_not(RangeId id) const noexcept {
  const std::uint32_t span = id.index >> window_bits_;
  if ((id.generation & 0xffff0000U) != tag_ || span >= spans_.size()) return fail(ErrorCode::unknown_handle);
  const Span& home = spans_[span];
  if ((id.index & ((1U << window_bits_) - 1)) >= home.recorded) return fail(ErrorCode::unknown_handle);
  const auto now = *record_of(home, id.index);
  const auto age = static_cast<std::uint16_t>(now - static_cast<std::uint16_t>(id.generation));
  return fail(age != 0 && age <= now ? ErrorCode::stale_handle : ErrorCode::unknown_handle);
}

Result<Range> SlabAllocator::find(RangeId id) const noexcept {
  const std::uint32_t span = id.index >> window_bits_;
  if (span >= spans_.size() || !is_live(id, spans_[span])) return why_not(id);
  return range_of(id.index);
}

Result<Range> SlabAllocator::find_at(Offset offset) const noexcept {
  const std::uint64_t span = offset.value >> window_shift_;
  if (span >= spans_.size()) return fail(ErrorCode::unknown_address);
  const std::uint64_t in_span = offset.value & (window().value - 1);
  const std::uint64_t local = in_span / slot_size_;
  if (local >= spans_[span].slots) return fail(ErrorCode::unknown_address);
  const auto slot = static_cast<std::uint32_t>((span << window_bits_) | local);
  if (free_.test(slot)) return fail(ErrorCode::unknown_address);
  if (in_span != local * slot_size_) return fail(ErrorCode::interior_address);
  return range_of(slot);
}

Bytes SlabAllocator::requested(RangeId id) const noexcept {
  if (stride_ == 1) return Bytes{slot_size_};
  return Bytes{slot_size_ - record_of(spans_[id.index >> window_bits_], id.index)[1]};
}

RangeReport SlabAllocator::report() const noexcept {
  return {.capacity = Bytes{slots_ * slot_size_},
          .used = Bytes{live_ * slot_size_},
          .largest_free = largest_free(),
          .live = live_,
          .free_ranges = slots_ - live_};
}

Result<Offset> SlabAllocator::add_span(Bytes capacity) noexcept {
  if (capacity > span_limit_) return fail(ErrorCode::too_large);
  const std::uint64_t slots = std::min(capacity.value / slot_size_, std::uint64_t{1} << window_bits_);
  if (slots == 0) return fail(ErrorCode::invalid_size);
  std::uint32_t at = first_gap_;
  while (at < spans_.size() && spans_[at].slots != 0)
    ++at;
  const std::uint64_t end = (std::uint64_t{at} << window_bits_) + slots;
  if (end > kMaxSlots) return fail(ErrorCode::too_large);
  if (at == spans_.size() && !spans_.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  if (!free_.grow(static_cast<std::uint32_t>(end))) return fail(ErrorCode::out_of_host_memory);
  Span fresh;
  Span& home = at < spans_.size() ? spans_[at] : fresh;
  if (!make_records(home, static_cast<std::uint32_t>(slots))) return fail(ErrorCode::out_of_host_memory);
  home.slots = static_cast<std::uint32_t>(slots);
  if (at == spans_.size()) spans_.push_back_reserved(fresh);
  first_gap_ = at + 1;
  for (std::uint32_t i = 0; i < slots; ++i)
    free_.set((at << window_bits_) | i);
  slots_ += slots;
  return Offset{std::uint64_t{at} << window_shift_};
}

// Room for the records of `slots`; those that there are stay.
bool SlabAllocator::make_records(Span& span, std::uint32_t slots) noexcept {
  if (slots <= span.recorded) return true;
  const HostAllocator& host = spans_.host();
  const std::size_t bytes = sizeof(std::uint16_t) * stride_;
  auto* records = static_cast<std::uint16_t*>(host.allocate(host.user, bytes * slots, 64));
  if (records == nullptr) return false;
  const std::size_t kept = std::size_t{span.recorded} * stride_;
  std::copy_n(span.records, kept, records);
  std::fill_n(records + kept, std::size_t{slots} * stride_ - kept, std::uint16_t{0});
  if (span.recorded != 0) host.deallocate(host.user, span.records, bytes * span.recorded, 64);
  span.records = records;
  span.recorded = slots;
  return true;
}

Result<void> SlabAllocator::remove_span(Offset begin) noexcept {
  const std::uint64_t at = begin.value >> window_shift_;
  if (at >= spans_.size() || begin.value != at << window_shift_ || spans_[at].slots == 0) {
    return fail(ErrorCode::unknown_address);
  }
  Span& span = spans_[at];
  if (span.live != 0) return fail(ErrorCode::wrong_state);
  for (std::uint32_t i = 0; i < span.slots; ++i)
    free_.clear((static_cast<std::uint32_t>(at) << window_bits_) | i);
  slots_ -= span.slots;
  span.slots = 0;
  first_gap_ = std::min(first_gap_, static_cast<std::uint32_t>(at));
  return {};
}

const char* SlabAllocator::validate() const noexcept {
  std::uint64_t slots = 0;
  std::uint64_t live = 0;
  for (std::uint32_t at = 0; at < spans_.size(); ++at) {
    const Span& span = spans_[at];
    std::uint32_t used = 0;
    for (std::uint32_t i = 0; i < span.slots; ++i)
      used += free_.test((at << window_bits_) | i) ? 0U : 1U;
    if (used != span.live) return "a span's live slots are not those whose bits are clear";
    if (Bytes{span.slots * slot_size_} > window()) return "a slot leaves its span";
    slots += span.slots;
    live += span.live;
  }
  if (slots != slots_ || live != live_) return "live + free is not the slots of all spans";
  if (free_.count() != slots_ - live_) return "a bit is set that is no free slot's";
  return free_.validate();
}

}  // namespace vaspace
