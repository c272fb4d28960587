#include "arena/reservation_source.hpp"

#include <algorithm>

namespace vaspace {

ReservationSource::ReservationSource(Backend& backend, const SourceConfig& config) noexcept
    : backend_(backend), config_(config), block_list_(config.host), refused_(config.host) {}

ReservationSource::~ReservationSource() {
  trim(Bytes{});
}

Result<void> ReservationSource::create() noexcept {
  if (!backend_.profile().capabilities.reserve_commits) return {};
  const Bytes eighth = std::clamp(Bytes{config_.device_size.value / 8}, kCut, 256_MiB);
  const Bytes most = std::min(eighth, backend_.profile().capabilities.max_reservation_size);
  largest_block_ = Bytes{std::bit_floor(most.value)};
  const Bytes first = grows_slowly() ? config_.first_block : kFirstBlock;
  if (largest_block_ < kCut || first < kCut || !std::has_single_bit(first.value))
    return fail(ErrorCode::invalid_configuration);
  next_block_ = std::min(first, largest_block_);
  auto blocks = Spans::create(
      {.granule = Alignment{kCut}, .largest_span = largest_block_, .records = false, .host = config_.host});
  if (!blocks) return fail(blocks.error());
  blocks_.emplace(std::move(*blocks));
  return {};
}

Result<Lease> ReservationSource::get(Bytes size, Alignment alignment) noexcept {
  const auto whole = checked_align_up(size, Alignment{config_.unit});
  if (!whole || *whole > backend_.profile().capabilities.max_reservation_size) {
    return fail(ErrorCode::too_large);
  }
  if (cuts() && *whole <= Bytes{largest_block_.value / 2} && Bytes{alignment.value} <= largest_block_) {
    return cut(*whole, alignment);
  }
  return reserve(*whole, alignment);
}

Result<Lease> ReservationSource::reserve(Bytes size, Alignment alignment) noexcept {
  {
    // Room to remember it by, should the driver not take it back.
    const std::scoped_lock lock(mutex_);
    if (!refused_.reserve_more(live_ + 1)) return fail(ErrorCode::out_of_host_memory);
    ++live_;
  }
  const Result<Reservation> reservation = backend_.reserve(
      {.size = size, .alignment = alignment, .memory_type = config_.memory_type, .traits = config_.traits});
  const std::scoped_lock lock(mutex_);
  if (!reservation) {
    --live_;
    return fail(reservation.error());
  }
  held_ += reservation->size;
  return Lease{.reservation = *reservation};
}

Result<Lease> ReservationSource::cut(Bytes size, Alignment alignment) noexcept {
  for (;;) {
    {
      const std::scoped_lock lock(mutex_);
      const Result<Range> range = blocks_->take({size, alignment});
      if (range) {
        Block& block = block_list_[blocks_->window_of(range->offset)];
        if (block.used == Bytes{}) empty_blocks_ -= block.reservation.size;
        block.used += range->size;
        return Lease{.reservation = {.address = blocks_->address_of(range->offset), .size = range->size},
                     .cut = range->id,
                     .is_cut = true};
      }
      if (range.error().code != ErrorCode::out_of_space) return fail(range.error());
    }
    const std::scoped_lock one_at_a_time(growing_);
    {
      const std::scoped_lock lock(mutex_);
      if (blocks_->can_allocate({size, alignment})) continue;
    }
    const Bytes need = std::max(size, Bytes{alignment.value});
    if (Result<void> added = add_block(need); !added) return fail(added.error());
  }
}

bool ReservationSource::can_cut(Bytes size, Alignment alignment) const noexcept {
  const std::scoped_lock lock(mutex_);
  return size <= Bytes{largest_block_.value / 2} && blocks_->can_allocate({size, alignment});
}

Bytes ReservationSource::next_block(Bytes need) const noexcept {
  if (!grows_slowly()) return std::max(next_block_, Bytes{std::bit_ceil(need.value)});
  const Bytes half{std::bit_floor(held().value / 2)};
  return std::max(align_up(need, Alignment{kCut}), std::min(std::max(next_block_, half), largest_block_));
}

// A block that holds `size`; smaller than the next one would be where the device has no more.
Result<void> ReservationSource::add_block(Bytes size) noexcept {
  Bytes want = next_block(size);
  Result<Lease> block = reserve(want, Alignment{largest_block_});
  while (!block && want > size) {
    want = std::max(size, align_up(Bytes{want.value / 2}, Alignment{kCut}));
    block = reserve(want, Alignment{largest_block_});
  }
  if (!block) return fail(block.error());
  const Result<void> added = enter_block(block->reservation);
  if (!added) release(block->reservation);
  return added;
}

Result<void> ReservationSource::enter_block(const Reservation& block) noexcept {
  const std::scoped_lock lock(mutex_);
  if (!block_list_.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  const Result<std::uint32_t> window = blocks_->add(block.address, block.size);
  if (!window) return fail(window.error());
  if (*window == block_list_.size()) block_list_.push_back_reserved(Block{});
  block_list_[*window] = {block, Bytes{}};
  empty_blocks_ += block.size;
  if (!grows_slowly()) next_block_ = std::min(largest_block_, next_block_ * 2);
  return {};
}

void ReservationSource::put(const Lease& lease) noexcept {
  if (!lease.is_cut) {
    release(lease.reservation);
    return;
  }
  const std::scoped_lock lock(mutex_);
  const Result<Freed> freed = blocks_->release(lease.cut);
  Block& block = block_list_[blocks_->window_of(freed->offset)];
  block.used -= freed->size;
  if (block.used == Bytes{}) empty_blocks_ += block.reservation.size;
}

void ReservationSource::release(const Reservation& reservation) noexcept {
  const bool released = backend_.release(reservation).has_value();
  const std::scoped_lock lock(mutex_);
  if (released) {
    held_ -= reservation.size;
    --live_;
  } else {
    ++times_refused_;
    refused_.push_back_reserved(reservation);
  }
}

std::optional<Reservation> ReservationSource::take_empty_block(Bytes keep) noexcept {
  const std::scoped_lock lock(mutex_);
  if (empty_blocks_ <= keep) return std::nullopt;
  for (std::uint32_t window = 0; window < block_list_.size(); ++window) {
    Block& block = block_list_[window];
    if (block.reservation.size == Bytes{} || block.used != Bytes{}) continue;
    if (!blocks_->remove(window)) continue;
    const Reservation gone = block.reservation;
    empty_blocks_ -= gone.size;
    block = {};
    return gone;
  }
  return std::nullopt;
}

void ReservationSource::trim(Bytes keep) noexcept {
  std::size_t again = 0;
  {
    const std::scoped_lock lock(mutex_);
    again = refused_.size();
  }
  for (; again != 0; --again) {
    Reservation reservation;
    {
      // From the back on: what is refused again joins behind, where it was offered already.
      const std::scoped_lock lock(mutex_);
      if (again > refused_.size()) continue;
      reservation = refused_[again - 1];
      refused_[again - 1] = refused_.back();
      refused_.pop_back();
    }
    release(reservation);
  }
  while (const std::optional<Reservation> block = take_empty_block(keep))
    release(*block);
}

Bytes ReservationSource::held() const noexcept {
  const std::scoped_lock lock(mutex_);
  return held_;
}

std::uint64_t ReservationSource::refused() const noexcept {
  const std::scoped_lock lock(mutex_);
  return times_refused_;
}

}  // namespace vaspace
