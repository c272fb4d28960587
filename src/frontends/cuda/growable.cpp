#include <algorithm>
#include <utility>

#include "vaspace/frontends/cuda_growable.hpp"

#include "backends/cuda/steps.hpp"

namespace vaspace::cuda {

Result<GrowableBuffer> GrowableBuffer::create(Backend& backend, const GrowableConfig& config) noexcept {
  GrowableBuffer buffer(backend, config.host);
  const Alignment unit{backend.profile().reservation_granularity};
  const auto size = checked_align_up(std::max(config.reservation, Bytes{1}), unit);
  if (!size) return fail(ErrorCode::invalid_size);
  if (!buffer.ranges_.reserve(1) || !buffer.unbinds_.reserve(1)) return fail(ErrorCode::out_of_host_memory);
  const Result<Reservation> range = backend.reserve({.size = *size, .hint = config.hint});
  if (!range) return fail(range.error());
  buffer.ranges_.push_back_reserved(*range);
  buffer.address_ = range->address;
  return buffer;
}

GrowableBuffer& GrowableBuffer::operator=(GrowableBuffer&& other) noexcept {
  if (this == &other) return *this;
  destroy();
  backend_ = other.backend_;
  page_ = other.page_;
  address_ = std::exchange(other.address_, Address{});
  ranges_ = std::move(other.ranges_);
  pages_ = std::move(other.pages_);
  unbinds_ = std::move(other.unbinds_);
  return *this;
}

GrowableBuffer::~GrowableBuffer() {
  destroy();
}

// What the driver refuses here its backend gives back at its own end.
void GrowableBuffer::destroy() noexcept {
  (void)insist([&] { return shrink(Bytes{}); });
  for (const Reservation& range : ranges_)
    (void)insist([&] { return backend_->release(range); });
  ranges_.clear();
}

Bytes GrowableBuffer::reserved() const noexcept {
  Bytes sum{};
  for (const Reservation& range : ranges_)
    sum += range.size;
  return sum;
}

Result<void> GrowableBuffer::bind_pages(std::span<const PhysicalId> pages, Address at) noexcept {
  HostArray<BindOp> ops(pages_.host());
  if (!ops.reserve(pages.size())) return fail(ErrorCode::out_of_host_memory);
  for (std::size_t i = 0; i < pages.size(); ++i)
    ops.push_back_reserved({.address = at + page_ * i, .size = page_, .physical = pages[i]});
  const Result<TimelinePoint> point = backend_->bind(ops.span(), {});
  return point ? Result<void>{} : Result<void>(fail(point.error()));
}

// Behind the last range, if that is free and the driver takes the hint (C18).
Result<void> GrowableBuffer::extend(Bytes size) noexcept {
  if (!ranges_.reserve_more(1) || !unbinds_.reserve(ranges_.size() + 1))
    return fail(ErrorCode::out_of_host_memory);
  const Bytes more = align_up(std::max(size - reserved(), reserved()),
                              Alignment{backend_->profile().reservation_granularity});
  const Result<Reservation> range = backend_->reserve({.size = more, .hint = ranges_.back().end()});
  if (!range) return fail(range.error());
  if (range->address == ranges_.back().end()) {
    ranges_.push_back_reserved(*range);
    return {};
  }
  (void)insist([&] { return backend_->release(*range); });
  return fail(ErrorCode::out_of_address_space);
}

// All pages to the new range in one batch: either all of them are there or none.
Result<void> GrowableBuffer::move_to(const Reservation& target, std::span<const PhysicalId> more,
                                     std::span<const TimelinePoint> waits) noexcept {
  HostArray<BindOp> ops(pages_.host());
  if (!ops.reserve(pages_.size() * 2 + more.size())) return fail(ErrorCode::out_of_host_memory);
  for (std::size_t i = 0; i < pages_.size(); ++i)
    ops.push_back_reserved({.address = address_ + page_ * i, .size = page_});
  for (std::size_t i = 0; i < pages_.size() + more.size(); ++i) {
    const PhysicalId page = i < pages_.size() ? pages_[i] : more[i - pages_.size()];
    ops.push_back_reserved({.address = target.address + page_ * i, .size = page_, .physical = page});
  }
  const Result<TimelinePoint> point = backend_->bind(ops.span(), waits);
  if (!point) return fail(point.error());
  for (const Reservation& range : ranges_)
    (void)insist([&] { return backend_->release(range); });
  ranges_.clear();
  ranges_.push_back_reserved(target);
  address_ = target.address;
  return {};
}

Result<GrowableBuffer::Grown> GrowableBuffer::grow(Bytes size,
                                                   std::span<const TimelinePoint> waits) noexcept {
  const auto whole = checked_align_up(size, Alignment{page_});
  if (!whole || ranges_.empty()) return fail(ErrorCode::invalid_size);
  if (*whole <= this->size()) return Grown::in_place;
  const std::size_t count = (*whole - this->size()) / page_;
  HostArray<PhysicalId> more(pages_.host());
  if (*whole > backend_->profile().heaps[0].size) return fail(ErrorCode::out_of_device_memory);
  if (!pages_.reserve_more(count) || !more.resize(count)) return fail(ErrorCode::out_of_host_memory);
  if (Result<void> created = backend_->create_physical({.size = page_}, more.span()); !created)
    return fail(created.error());
  Grown grown = Grown::in_place;
  Result<void> done;
  const std::size_t ranges = ranges_.size();
  if (*whole > reserved() && !extend(*whole)) {
    grown = Grown::moved;
    const Bytes wanted =
        align_up(std::max(*whole, reserved() * 2), Alignment{backend_->profile().reservation_granularity});
    Result<Reservation> target = backend_->reserve({.size = wanted});
    if (!target)
      target = backend_->reserve(
          {.size = align_up(*whole, Alignment{backend_->profile().reservation_granularity})});
    done = target ? move_to(*target, more.span(), waits) : fail(target.error());
    if (target && !done) (void)insist([&] { return backend_->release(*target); });
  } else {
    done = bind_pages(more.span(), address_ + this->size());
  }
  if (!done) {
    if (ranges_.size() > ranges && insist([&] { return backend_->release(ranges_.back()); }))
      ranges_.pop_back();
    (void)insist([&] { return backend_->destroy_physical(more.span()); });
    return fail(done.error());
  }
  for (const PhysicalId page : more)
    pages_.push_back_reserved(page);
  return grown;
}

Result<void> GrowableBuffer::shrink(Bytes size, std::span<const TimelinePoint> waits) noexcept {
  const auto whole = checked_align_up(size, Alignment{page_});
  if (!whole || *whole >= this->size()) return {};
  const std::size_t keep = *whole / page_;
  unbinds_.clear();
  const Address end = address_ + this->size();
  for (const Reservation& range : ranges_) {
    const Address from = std::max(range.address, address_ + *whole);
    const Address to = std::min(range.end(), end);
    if (from < to) unbinds_.push_back_reserved({.address = from, .size = to - from});
  }
  const Result<TimelinePoint> point = backend_->bind(unbinds_.span(), waits);
  if (!point) return fail(point.error());
  (void)insist([&] { return backend_->destroy_physical(pages_.span().subspan(keep)); });
  while (pages_.size() > keep)
    pages_.pop_back();
  return {};
}

}  // namespace vaspace::cuda
