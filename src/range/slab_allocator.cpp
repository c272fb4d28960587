#include "vaspace/range/slab_allocator.hpp"

#include <algorithm>
#include <bit>

#include "vaspace/base/identity.hpp"

namespace vaspace {

template <class Record>
BasicSlabAllocator<Record>::BasicSlabAllocator(const SlabConfig& config) noexcept
    : slot_size_(config.slot_size.value),
      natural_alignment_(std::uint64_t{1} << std::countr_zero(config.slot_size.value)),
      window_rest_(std::bit_ceil(config.window.value) -
                   std::bit_ceil(config.window / config.slot_size) * config.slot_size.value),
      span_mask_(static_cast<std::uint32_t>(std::bit_ceil(config.window / config.slot_size) - 1)),
      window_bits_(static_cast<unsigned>(std::bit_width(config.window / config.slot_size - 1))),
      window_shift_(static_cast<unsigned>(std::bit_width(config.window.value - 1))),
      records_(config.host),
      spans_(config.host),
      free_(config.host),
      takers_(config.host),
      span_limit_(config.window) {}

template <class Record>
auto BasicSlabAllocator<Record>::create(const SlabConfig& config) noexcept -> Result<BasicSlabAllocator> {
  SlabConfig checked = config;
  if (checked.window == Bytes{}) checked.window = checked.capacity;
  if (checked.slot_size == Bytes{} || checked.window < checked.slot_size ||
      checked.capacity > checked.window || checked.window > Bytes{std::uint64_t{1} << 62U} ||
      checked.window / checked.slot_size > kMaxSlots || (kTracked && checked.slot_size > 64_KiB)) {
    return fail(ErrorCode::invalid_configuration);
  }
  BasicSlabAllocator slab(checked);
  if (!slab.spans_.reserve(1)) return fail(ErrorCode::out_of_host_memory);
  const std::uint32_t identity = checked.identity != 0 ? checked.identity : identity_of(slab.spans_.data());
  slab.tag_ = identity << 16U;
  if (checked.capacity != Bytes{}) {
    if (auto span = slab.add_span(checked.capacity); !span) return fail(span.error());
  }
  return slab;
}

template <class Record>
auto BasicSlabAllocator<Record>::operator=(BasicSlabAllocator&& other) noexcept -> BasicSlabAllocator& {
  if (this != &other) {
    this->~BasicSlabAllocator();
    ::new (static_cast<void*>(this)) BasicSlabAllocator(std::move(other));
  }
  return *this;
}

template <class Record>
void BasicSlabAllocator<Record>::release_records() noexcept {
  const HostAllocator& host = records_.host();
  for (std::uint32_t chunk = 0; chunk < records_.size(); ++chunk) {
    if (records_[chunk] == nullptr) continue;
    host.deallocate(host.user, records_[chunk], sizeof(Word) << kChunkBits, 64);
  }
}

template <class Record>
std::uint32_t BasicSlabAllocator<Record>::take_next() noexcept {
  const std::uint32_t slot = free_.take_first();
  if (slot != kNone) floor_ = std::min(slot + 1, dense_);
  return slot;
}

// The lowest one stays outside the bitmap, and below all that is in it.
template <class Record>
void BasicSlabAllocator<Record>::give_next(std::uint32_t slot) noexcept {
  if (slot < lowest_ && lowest_ != kNone) std::swap(slot, lowest_);
  free_.set(slot);
  floor_ = std::min(floor_, slot);
}

template <class Record>
Result<void> BasicSlabAllocator<Record>::free_rare(RangeId id) noexcept {
  if (retire(id) == Bytes{}) return why_not(id);
  give(id.index);
  return {};
}

template <class Record>
void BasicSlabAllocator<Record>::take_at(std::uint32_t slot) noexcept {
  if (slot == lowest_) {
    lowest_ = kNone;
  } else {
    free_.clear(slot);
  }
  count_taken_slot(slot);
}

// The lowest slot is not at hand, or the alignment is above the slots' own, or no state can serve it.
template <class Record>
Result<Range> BasicSlabAllocator<Record>::allocate_rare(RangeRequest request) noexcept {
  if (is_plain(request)) {
    const std::uint32_t next = take();
    if (next == kNone) return fail(ErrorCode::out_of_space);
    return made_live(next, request.size);
  }
  const Result<std::uint32_t> slot = find_slot(request);
  if (!slot) return fail(slot.error());
  take_at(*slot);
  return made_live(*slot, request.size);
}

template <class Record>
Result<std::uint32_t> BasicSlabAllocator<Record>::take(RangeRequest request) noexcept
    requires(Record::kTracked) {
  if (is_plain(request)) {
    const std::uint32_t next = take();
    if (next == kNone) return fail(ErrorCode::out_of_space);
    return next;
  }
  const Result<std::uint32_t> slot = find_slot(request);
  if (slot) take_at(*slot);
  return slot;
}

template <class Record>
std::uint32_t BasicSlabAllocator<Record>::next_free(std::uint64_t slot) const noexcept {
  if (slot <= lowest_ && lowest_ != kNone) return lowest_;
  return slot < free_.size() ? free_.find_from(static_cast<std::uint32_t>(slot)) : kNone;
}

template <class Record>
std::uint32_t BasicSlabAllocator<Record>::take(std::uint32_t* slots, std::uint32_t most) noexcept
    requires(Record::kTracked) {
  std::uint32_t count = 0;
  if (most != 0 && lowest_ != kNone) slots[count++] = std::exchange(lowest_, kNone);
  count += free_.take_first(slots + count, most - count);
  if (count == 0) return 0;
  floor_ = std::min(slots[count - 1] + 1, dense_);
  taken_ += count;
  for (std::uint32_t i = 0; i < count; ++i)
    ++spans_.data()[slots[i] >> window_bits_].taken;
  return count;
}

template <class Record>
std::uint32_t BasicSlabAllocator<Record>::take(std::uint32_t* slots, std::uint32_t most, std::uint8_t taker,
                                               bool steal) noexcept requires(Record::kTracked) {
  if (lowest_ != kNone) give_next(std::exchange(lowest_, kNone));
  std::uint32_t count = 0;
  std::uint32_t others = kNone;  // the first word that is another's
  std::uint32_t foreign = 0;
  for (std::uint32_t from = 0; count < most && from < free_.size();) {
    const std::uint32_t next = free_.find_from(from);
    if (next == kNone || foreign == kMostForeign) break;
    const std::uint32_t word = next >> 6U;
    std::uint8_t& owner = takers_.data()[word];
    from = (word + 1) << 6U;
    if (owner != 0 && owner != taker) {
      others = std::min(others, word);
      ++foreign;
      continue;
    }
    owner = taker;
    count += free_.take_from_word(word, slots + count, most - count);
  }
  if (count == 0 && others != kNone && steal) {
    takers_[others] = taker;
    count = free_.take_from_word(others, slots, most);
  }
  taken_ += count;
  for (std::uint32_t i = 0; i < count; ++i)
    ++spans_.data()[slots[i] >> window_bits_].taken;
  return count;
}

template <class Record>
Result<std::uint32_t> BasicSlabAllocator<Record>::find_slot(RangeRequest request) const noexcept {
  if (request.size == Bytes{}) return fail(ErrorCode::invalid_size);
  if (!request.alignment.valid()) return fail(ErrorCode::invalid_alignment);
  if (request.size.value > slot_size_) return fail(ErrorCode::too_large);
  if (Bytes{request.alignment.value} > span_limit_) return fail(ErrorCode::too_large);
  if constexpr (kTracked) {
    if (slot_size_ - request.size.value >= Record::kNobody) return fail(ErrorCode::invalid_size);
  }
  // Slots lie right when their number in the span is a multiple of this.
  const std::uint64_t period = std::max<std::uint64_t>(request.alignment.value / natural_alignment_, 1);
  const std::uint64_t in_span = span_mask_;
  std::uint32_t slot = next_free(0);
  while (slot != kNone && (slot & in_span & (period - 1)) != 0) {
    // The next multiple in this span, or else the next span's first slot: whichever comes first.
    const std::uint64_t local = align_up((slot & in_span) + 1, Alignment{period});
    slot = next_free(std::min(local, in_span + 1) + (slot & ~in_span));
  }
  if (slot == kNone) return fail(ErrorCode::out_of_space);
  return slot;
}

template <class Record>
bool BasicSlabAllocator<Record>::can_allocate(RangeRequest request) const noexcept {
  return find_slot(request).has_value();
}

template <class Record>
tl::unexpected<Error> BasicSlabAllocator<Record>::why_not(RangeId id) const noexcept {
  const auto chunks = records_.view();
  if ((id.generation & 0xffff0000U) != tag_ || id.index >> kChunkBits >= chunks.size() ||
      chunks[id.index >> kChunkBits] == nullptr) {
    return fail(ErrorCode::unknown_handle);
  }
  const std::uint16_t now = generation_of(record(id.index));
  const auto age = static_cast<std::uint16_t>(now - static_cast<std::uint16_t>(id.generation));
  return fail(age != 0 && age <= now ? ErrorCode::stale_handle : ErrorCode::unknown_handle);
}

template <class Record>
Result<Range> BasicSlabAllocator<Record>::find(RangeId id) const noexcept {
  if (!knows(id.index)) return why_not(id);
  const Word now = record(id.index);
  if (make_id(id.index, tag_ | generation_of(now)) != id || !is_live(id.index, now)) return why_not(id);
  return Range{offset_of(id.index), Bytes{slot_size_}, id};
}

template <class Record>
Result<Range> BasicSlabAllocator<Record>::find_at(Offset offset) const noexcept {
  const std::uint64_t span = offset.value >> window_shift_;
  if (span >= spans_.size()) return fail(ErrorCode::unknown_address);
  const std::uint64_t in_span = offset.value & (window().value - 1);
  const std::uint64_t local = in_span / slot_size_;
  if (local >= spans_[span].slots) return fail(ErrorCode::unknown_address);
  const auto slot = static_cast<std::uint32_t>((span << window_bits_) | local);
  // Read once: another thread may be about to park it.
  const Word now = record(slot);
  if (!is_live(slot, now)) return fail(ErrorCode::unknown_address);
  if (in_span != local * slot_size_) return fail(ErrorCode::interior_address);
  return Range{offset_of(slot), Bytes{slot_size_}, make_id(slot, tag_ | generation_of(now))};
}

template <class Record>
Bytes BasicSlabAllocator<Record>::requested(RangeId id) const noexcept {
  if constexpr (kTracked) {
    const Word now = record(id.index);
    if (!is_live(id.index, now) || (tag_ | generation_of(now)) != id.generation) return {};
    return Bytes{slot_size_ - (now & Record::kNobody)};
  } else {
    return Bytes{slot_size_};
  }
}

template <class Record>
RangeReport BasicSlabAllocator<Record>::report() const noexcept {
  return {.capacity = Bytes{slots_ * slot_size_},
          .used = Bytes{taken_ * slot_size_},
          .largest_free = largest_free(),
          .live = taken_,
          .free_ranges = slots_ - taken_};
}

template <class Record>
Result<Offset> BasicSlabAllocator<Record>::add_span(Bytes capacity) noexcept {
  if (capacity > span_limit_) return fail(ErrorCode::too_large);
  const std::uint64_t slots = std::min(capacity.value / slot_size_, std::uint64_t{1} << window_bits_);
  if (slots == 0) return fail(ErrorCode::invalid_size);
  std::uint32_t at = first_gap_;
  while (at < spans_.size() && spans_[at].slots != 0)
    ++at;
  const std::uint64_t first = std::uint64_t{at} << window_bits_;
  const std::uint64_t end = first + slots;
  if (end > kMaxSlots) return fail(ErrorCode::too_large);
  if (at == spans_.size() && !spans_.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  const std::size_t words = kTracked ? (end + 63) / 64 : 0;
  if (!free_.grow(static_cast<std::uint32_t>(end)) || !make_records(first, end) ||
      (words > takers_.size() && !takers_.reserve_more(words - takers_.size()))) {
    return fail(ErrorCode::out_of_host_memory);
  }
  while (takers_.size() < words)
    takers_.push_back_reserved(0);
  if (at == spans_.size()) spans_.push_back_reserved({});
  spans_[at].slots = static_cast<std::uint32_t>(slots);
  first_gap_ = at + 1;
  free_.set_range(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(end));
  floor_ = std::min(floor_, static_cast<std::uint32_t>(first));
  if (lowest_ != kNone && lowest_ > first) {
    free_.set(lowest_);
    lowest_ = kNone;
  }
  slots_ += slots;
  update_dense(at);
  return Offset{std::uint64_t{at} << window_shift_};
}

// Span `at` has come or gone.
template <class Record>
void BasicSlabAllocator<Record>::update_dense(std::uint32_t at) noexcept {
  std::uint32_t full = std::min(dense_ >> window_bits_, at);
  while (full < spans_.size() && spans_[full].slots == span_mask_ + 1)
    ++full;
  dense_ = (full << window_bits_) + (full < spans_.size() ? spans_[full].slots : 0);
  floor_ = std::min(floor_, dense_);
}

// Records for the slots of [first, end); those that there are stay.
template <class Record>
bool BasicSlabAllocator<Record>::make_records(std::uint64_t first, std::uint64_t end) noexcept {
  const HostAllocator& host = records_.host();
  const auto last = static_cast<std::uint32_t>((end - 1) >> kChunkBits);
  if (last >= records_.size()) {
    if (!records_.reserve_more(last + 1 - records_.size())) return false;
    while (records_.size() <= last)
      records_.push_back_reserved(nullptr);
  }
  for (auto chunk = static_cast<std::uint32_t>(first >> kChunkBits); chunk <= last; ++chunk) {
    if (records_[chunk] != nullptr) continue;
    auto* words = static_cast<Word*>(host.allocate(host.user, sizeof(Word) << kChunkBits, 64));
    if (words == nullptr) return false;
    std::fill_n(words, std::size_t{1} << kChunkBits, kTracked ? Word{0xffff} : Word{0});
    records_.set(chunk, words);
  }
  return true;
}

template <class Record>
Result<void> BasicSlabAllocator<Record>::remove_span(Offset begin) noexcept {
  const std::uint64_t at = begin.value >> window_shift_;
  if (at >= spans_.size() || begin.value != at << window_shift_ || spans_[at].slots == 0) {
    return fail(ErrorCode::unknown_address);
  }
  Span& span = spans_[at];
  if (!span_empty(begin)) return fail(ErrorCode::wrong_state);
  const auto first = static_cast<std::uint32_t>(at << window_bits_);
  free_.clear_range(first, first + span.slots);
  if (lowest_ >= first && lowest_ < first + span.slots) lowest_ = kNone;
  for (std::uint32_t word = (first + 63) >> 6U; kTracked && word < (first + span.slots) >> 6U; ++word)
    takers_[word] = 0;
  slots_ -= span.slots;
  span.slots = 0;
  update_dense(static_cast<std::uint32_t>(at));
  first_gap_ = std::min(first_gap_, static_cast<std::uint32_t>(at));
  return {};
}

template <class Record>
std::uint32_t BasicSlabAllocator<Record>::count_taken(std::uint32_t span) const noexcept {
  std::uint32_t taken = 0;
  for (std::uint32_t i = 0; i < spans_[span].slots; ++i) {
    const std::uint32_t slot = (span << window_bits_) | i;
    taken += free_.test(slot) || slot == lowest_ ? 0U : 1U;
  }
  return taken;
}

template <class Record>
const char* BasicSlabAllocator<Record>::validate() const noexcept {
  std::uint64_t slots = 0;
  std::uint64_t taken = 0;
  for (std::uint32_t at = 0; at < spans_.size(); ++at) {
    const Span& span = spans_[at];
    const std::uint32_t here = count_taken(at);
    if (kTracked && here != span.taken) return "a span's taken slots are not those whose bits are clear";
    if (Bytes{span.slots * slot_size_} > window()) return "a slot leaves its span";
    for (std::uint32_t i = 0; kTracked && i < span.slots; ++i) {
      const std::uint32_t slot = (at << window_bits_) | i;
      if (is_live(slot) && (free_.test(slot) || slot == lowest_)) return "a free slot is somebody's";
    }
    slots += span.slots;
    taken += here;
  }
  if (slots != slots_ || taken != taken_) return "live + free is not the slots of all spans";
  const std::uint32_t first = free_.find_first();
  if (first < floor_) return "a free slot is below the floor";
  if (floor_ > dense_) return "the floor is above a slot that is no span's";
  if (lowest_ != kNone && lowest_ >= first) return "the lowest free slot is not below the others";
  if (free_.count() + (lowest_ != kNone ? 1U : 0U) != slots_ - taken_) {
    return "a bit is set that is no free slot's";
  }
  return free_.validate();
}

template class BasicSlabAllocator<GenerationRecord>;
template class BasicSlabAllocator<TrackedRecord>;

}  // namespace vaspace
