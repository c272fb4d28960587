#include "stream_pages.hpp"

#include <cuda.h>

namespace vaspace::cuda {
namespace {

[[nodiscard]] Error not_yet() noexcept {
  return {ErrorCode::timed_out, CUDA_ERROR_NOT_READY};
}

}  // namespace

StreamPages::~StreamPages() {
  for (Page& page : pages_)
    drop_saved(page);
}

void StreamPages::drop_saved(Page& page) noexcept {
  if (page.saved != nullptr)
    host_.deallocate(host_.user, page.saved, store_.page().value, alignof(std::max_align_t));
  page.saved = nullptr;
}

// A stream that has nothing to do needs no event.
Result<TimelinePoint> StreamPages::reached() noexcept {
  const Result<bool> idle = device_.idle(stream_);
  if (!idle) return fail(idle.error());
  return *idle ? Result<TimelinePoint>(TimelinePoint{}) : device_.mark(stream_);
}

// The event is recorded after `dirty_` is taken back: whatever was freed before is in front of it, and
// whoever frees later marks it anew. A page that is just being unbound was emptied before this is asked.
Result<TimelinePoint> StreamPages::freed_until() noexcept {
  const std::lock_guard lock(gate_);
  if (!closed_ && dirty_.exchange(false, std::memory_order_acq_rel)) {
    const Result<TimelinePoint> point = reached();
    if (!point) {
      dirty_.store(true, std::memory_order_release);
      return point;
    }
    point_ = *point;
  }
  return point_;
}

Result<void> StreamPages::passed(bool wait) noexcept {
  const Result<TimelinePoint> point = freed_until();
  if (!point) return fail(point.error());
  if (wait) return device_.wait(*point, kForever);
  const Result<bool> over = device_.completed(*point);
  if (!over) return fail(over.error());
  return *over ? Result<void>{} : fail(not_yet());
}

Result<TimelinePoint> StreamPages::now() noexcept {
  const std::lock_guard lock(gate_);
  return closed_ ? Result<TimelinePoint>(point_) : reached();
}

Result<void> StreamPages::close() noexcept {
  const std::lock_guard lock(gate_);
  const Result<TimelinePoint> last = reached();
  if (!last) return fail(last.error());
  point_ = *last;
  closed_ = true;
  return {};
}

TimelinePoint StreamPages::last_point() const noexcept {
  const std::lock_guard lock(gate_);
  return point_;
}

// What was freed while it was closed was freed on other streams, which were waited for.
void StreamPages::reopen(Stream stream) noexcept {
  const std::lock_guard lock(gate_);
  stream_ = stream;
  closed_ = false;
}

void StreamPages::end() noexcept {
  const std::lock_guard lock(gate_);
  closed_ = true;
  ended_ = true;
  point_ = {};
}

void StreamPages::abandon() noexcept {
  end();
  abandoned_ = true;
}

Result<Reservation> StreamPages::reserve(const ReservationRequest& request) noexcept {
  const Result<Reservation> reserved = next().reserve(request);
  if (!reserved || store_.add_owner(*reserved, owner_)) return reserved;
  (void)next().release(*reserved);
  return fail(ErrorCode::out_of_host_memory);
}

Result<void> StreamPages::release(const Reservation& reservation) noexcept {
  if (abandoned_) return {};
  if (Result<void> over = passed(store_.patient()); !over) return over;
  if (Result<void> reaped = reap(); !reaped) return reaped;
  // Nobody asks whose the addresses are: nothing in them is live. Another pool may have them at once.
  store_.remove_owner(reservation);
  const Result<void> released = next().release(reservation);
  if (!released) (void)store_.add_owner(reservation, owner_);
  return released;
}

Result<void> StreamPages::create_physical(const PhysicalRequest& request,
                                          std::span<PhysicalId> out) noexcept {
  if (request.size != store_.page()) return fail(ErrorCode::invalid_size);
  {
    const std::lock_guard lock(mutex_);
    if (suspended_) return fail(ErrorCode::wrong_state);
    if (!pages_.reserve_more(out.size()) || !bound_.reserve(pages_.size() + out.size()))
      return fail(ErrorCode::out_of_host_memory);
  }
  HostArray<PhysicalId> taken(host_);
  if (!taken.resize(out.size())) return fail(ErrorCode::out_of_host_memory);
  if (Result<void> got = store_.take(taken.span(), this); !got) return got;
  std::unique_lock lock(mutex_);
  // Another thread may have used the room that was made above.
  if (!pages_.reserve_more(out.size()) || !bound_.reserve(pages_.size() + out.size())) {
    lock.unlock();
    for (const PhysicalId page : taken)
      give_page(page);
    return fail(ErrorCode::out_of_host_memory);
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint32_t number = free_page_;
    if (number == kNone) {
      number = static_cast<std::uint32_t>(pages_.size());
      pages_.push_back_reserved({});
    } else {
      free_page_ = pages_[number].next_free;
    }
    pages_[number] = {.physical = taken[i], .live = true};
    lingering_.hold(taken[i], number);
    out[i] = PhysicalId{std::uint64_t{number} + 1};
  }
  return {};
}

Result<void> StreamPages::destroy_physical(std::span<const PhysicalId> objects) noexcept {
  for (const PhysicalId id : objects) {
    PhysicalId physical;
    {
      const std::lock_guard lock(mutex_);
      Page& page = page_of(id);
      physical = page.physical;
      drop_saved(page);
      page = {};
      page.next_free = free_page_;
      free_page_ = static_cast<std::uint32_t>(id.value) - 1;
      // In one step with the page: whoever claims an address where its memory lingers sees the holder or
      // none.
      if (abandoned_ || (physical && give_own(physical))) physical = {};
    }
    if (physical) store_.give({&physical, 1});
  }
  return {};
}

Bytes StreamPages::suspended() const noexcept {
  const std::lock_guard lock(mutex_);
  return suspended_ ? store_.page() * bound_.size() : Bytes{};
}

Result<void> StreamPages::make_room(HostArray<cuda::HostCopy>& copies) noexcept {
  Result<void> made;
  for_each_bound([&](std::uint32_t number) {
    Page& page = pages_[number];
    if (!made) return;
    page.saved =
        static_cast<std::byte*>(host_.allocate(host_.user, store_.page().value, alignof(std::max_align_t)));
    if (page.saved == nullptr) made = fail(ErrorCode::out_of_host_memory);
  });
  if (made) list_saved(copies);
  return made;
}

void StreamPages::list_saved(HostArray<cuda::HostCopy>& copies) const noexcept {
  for_each_bound([&](std::uint32_t number) {
    const Page& page = pages_[number];
    if (page.saved != nullptr) copies.push_back_reserved({page.saved, page.address, store_.page()});
  });
}

void StreamPages::cancel_save() noexcept {
  for (Page& page : pages_)
    drop_saved(page);
}

void StreamPages::list_unbinds(HostArray<BindOp>& ops) const noexcept {
  for_each_bound([&](std::uint32_t number) {
    ops.push_back_reserved({.address = pages_[number].address, .size = store_.page()});
  });
}

void StreamPages::let_go(HostArray<PhysicalId>& gone) noexcept {
  const std::lock_guard lock(mutex_);
  for_each_bound([&](std::uint32_t number) {
    gone.push_back_reserved(pages_[number].physical);
    pages_[number].physical = {};
  });
  bound_count_.store(0, std::memory_order_relaxed);
  suspended_ = true;
}

void StreamPages::list_binds(HostArray<BindOp>& ops, std::span<const PhysicalId> pages) const noexcept {
  std::size_t i = 0;
  for_each_bound([&](std::uint32_t number) {
    ops.push_back_reserved(
        {.address = pages_[number].address, .size = store_.page(), .physical = pages[i++]});
  });
}

void StreamPages::take_up(std::span<const PhysicalId> pages) noexcept {
  const std::lock_guard lock(mutex_);
  std::size_t i = 0;
  for_each_bound([&](std::uint32_t number) {
    pages_[number].physical = pages[i++];
    drop_saved(pages_[number]);
  });
  bound_count_.store(bound_.size(), std::memory_order_relaxed);
  suspended_ = false;
}

}  // namespace vaspace::cuda
