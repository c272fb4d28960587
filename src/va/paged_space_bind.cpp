// Pages for what is about to become live: bound where there are none, taken out of a shared one where the new
// cells are another's.
#include <array>
#include <utility>

#include "paged_space_inl.hpp"

namespace vaspace {

PagedSpace::Bound PagedSpace::map_at(const MapRequest& request, bool back) noexcept {
  return settled(back ? space_.map_back(request) : space_.map(request));
}

PagedSpace::Bound PagedSpace::settled(const Result<TimelinePoint>& point) const noexcept {
  if (!point) return {false, point.error(), false};
  // What the page had before may be reused once this is done (V27).
  const Result<void> done = backend_.wait(*point, va_detail::kForever);
  return {true, done ? Error{} : done.error(), done.has_value()};
}

Result<void> PagedSpace::unmap_at(Address address, Bytes size) noexcept {
  const Result<TimelinePoint> point = space_.unmap(address, size);
  if (!point) return fail(point.error());
  // Accepted, it will be done, even if this wait is refused: the backend then keeps the memory until it is.
  (void)backend_.wait(*point, va_detail::kForever);
  return {};
}

// Whether so much may be held. Moving what is live may hold more than the budget for a moment: a large page
// at a time, or what replaces one by and by. Where blocks are left halfway, what they hold too much counts
// until they are done, so that it does not add up from pass to pass.
bool PagedSpace::may_hold(Bytes sum, bool large, bool overdraw) const noexcept {
  if (!overdraw) return sum <= budget_;
  return large || overdrawn_ + small_ <= large_ || sum <= pass_began_with_ + large_;
}

// All or none. Pooled pages and the budget for the others are reserved in one step, and what has come is held
// in the same step as it is in flight no more.
Result<void> PagedSpace::take(bool large, Address near, std::span<PhysicalId> out, bool overdraw) noexcept {
  const Bytes size = large ? large_ : small_;
  std::size_t pooled = 0;
  for (bool again = false;; again = true) {
    bool room = false;
    {
      const Lock lock(mutex_);
      pooled = pool(large).take_pooled(out);
      const Bytes asked = size * (out.size() - pooled);
      room = may_hold(held() + in_flight_ + asked, large, overdraw);
      if (room) in_flight_ += asked;
    }
    if (room) break;
    pool(large).give(out.first(pooled), kUnlimited);
    if (again || !config_.trim_under_pressure) return fail(ErrorCode::out_of_device_memory);
    (void)make_room(size * out.size(), overdraw);
  }
  const std::span<PhysicalId> fresh = out.subspan(pooled);
  Result<void> taken = pool(large).create(near + size * pooled, fresh);
  const bool full = !taken && taken.error().code == ErrorCode::out_of_device_memory;
  if (full && config_.trim_under_pressure && make_room(size * fresh.size(), overdraw).value != 0)
    taken = pool(large).create(near + size * pooled, fresh);
  {
    const Lock lock(mutex_);
    in_flight_ -= size * fresh.size();
    if (taken) pool(large).count(fresh.size());
  }
  if (!taken) pool(large).give(out.first(pooled), kUnlimited);
  return taken;
}

// All that is empty goes; for a step of compaction no more than it lacks, so that the step stays short.
Bytes PagedSpace::make_room(Bytes lacks, bool for_step) noexcept {
  Bytes retain{};
  if (for_step) {
    const Lock lock(mutex_);
    const Bytes spare = empty_bytes_ + pooled();
    retain = spare > lacks ? spare - lacks : Bytes{};
  }
  return give_back(retain);
}

void PagedSpace::give(bool large, std::span<const PhysicalId> pages) noexcept {
  const Bytes size = large ? large_ : small_;
  Bytes keep{};
  {
    const Lock lock(mutex_);
    const Bytes most = may_retain(budget_, size * pages.size());
    keep = most > empty_bytes_ ? most - empty_bytes_ : Bytes{};
  }
  pool(large).give(pages, keep / size);
}

// Whether the page shares its frame with one that has a live cell where the span would have one here, or that
// would have one by this very span.
bool PagedSpace::shares_cells(std::uint32_t index, const Span& span) const noexcept {
  const PageBooks::Page& page = books_.page(index);
  if (page.frame == kNone || books_.frame(page.frame).large) return false;
  const auto cells_of = [&](std::uint32_t at) noexcept {
    return std::pair{at == span.first_page ? span.first_cell : 0,
                     at == span.last_page ? span.last_cell : books_.cells()};
  };
  const auto [begin, end] = cells_of(index);
  for (std::uint32_t at = books_.frame(page.frame).first; at != kNone; at = books_.page(at).next) {
    if (at == index) continue;
    if (any_cell(books_.mask(at), begin, end)) return true;
    if (at < span.first_page || at > span.last_page) continue;
    const auto [other_begin, other_end] = cells_of(at);
    if (other_begin < end && begin < other_end) return true;
  }
  return false;
}

// Every page of the span is bound and holds nobody else's cells there, in one hold of the lock at the end.
// First all that is missing comes, which is taken back where it is refused; then shared pages are taken
// apart, which stay so.
Result<void> PagedSpace::make_ready(const Span& span, Lock& lock) noexcept {
  bool all_bound = false;
  for (std::uint32_t from = span.first_page;;) {
    bool waited = false;
    bool missing = false;
    bool guarded = false;
    std::uint32_t at = from;
    for (; at <= span.last_page; ++at) {
      const PageBooks::Page& page = books_.page(at);
      waited = page.busy || (page.frame != kNone && books_.frame(page.frame).busy);
      missing = page.frame == kNone;
      guarded = page.guarded;
      if (waited || missing || guarded) break;
      if (all_bound && shares_cells(at, span)) break;
    }
    if (at > span.last_page) {
      if (all_bound && from == span.first_page) return {};
      all_bound = true;
      from = span.first_page;  // what was ready may be so no longer
      continue;
    }
    if (waited) {
      changed_.wait(lock);
      from = span.first_page;
      continue;
    }
    const Result<void> done = missing   ? bind_missing(at, span.last_page, lock)
                              : guarded ? let_write(at, lock)
                                        : unshare(at, lock);
    if (!done) return done;
    from = at;
  }
}

// Nothing of the page's block is bound or in anybody's hands.
bool PagedSpace::block_is_bare(std::uint32_t page) const noexcept {
  const std::uint32_t first = page - page % books_.pages_per_block();
  for (std::uint32_t i = first; i < first + books_.pages_per_block(); ++i)
    if (books_.page(i).frame != kNone || books_.page(i).busy) return false;
  return true;
}

Result<void> PagedSpace::bind_missing(std::uint32_t first, std::uint32_t last, Lock& lock) noexcept {
  const std::uint32_t per_block = books_.pages_per_block();
  const std::uint32_t block_end = first - first % per_block + per_block - 1;
  const bool whole_block = first % per_block == 0 && last >= block_end;
  if (per_block > 1 && (config_.large_first || whole_block) && block_is_bare(first)) {
    const Result<void> bound = bind_large(first, lock);
    if (bound || bound.error().code != ErrorCode::out_of_device_memory) return bound;
    if (books_.page(first).frame != kNone || books_.page(first).busy) return {};  // another was faster
  }
  std::uint32_t count = 1;
  const std::uint32_t end = std::min({last, block_end, first + kBatch - 1});
  while (first + count <= end && books_.page(first + count).frame == kNone &&
         !books_.page(first + count).busy)
    ++count;
  return bind_small(first, count, lock);
}

Result<void> PagedSpace::bind_large(std::uint32_t page, Lock& lock) noexcept {
  const std::uint32_t count = books_.pages_per_block();
  const std::uint32_t first = page - page % count;
  if (!books_.reserve_frames(1)) return fail(ErrorCode::out_of_host_memory);
  for (std::uint32_t i = 0; i < count; ++i)
    books_.page(first + i).busy = true;
  lock.unlock();

  PhysicalId physical;
  const Result<void> taken = take(true, address_of(first), {&physical, 1}, false);
  Bound bound;
  if (taken) {
    bound = map_at({address_of(first), large_, physical, {}, Backing::memory});
    if (!bound.in_place) give(true, {&physical, 1});
  }

  lock.lock();
  if (bound.in_place) {
    const std::uint32_t frame = books_.add_frame(physical, true);
    for (std::uint32_t i = 0; i < count; ++i)
      change_frame(frame, [&] { books_.join(first + i, frame); });
  } else {
    books_.unreserve(1);
  }
  for (std::uint32_t i = 0; i < count; ++i)
    set_free(first + i);
  changed_.notify_all();
  if (!taken) return taken;
  return bound.complete ? Result<void>{} : fail(bound.error);
}

// All of them in one call of the driver.
Result<void> PagedSpace::bind_small(std::uint32_t first, std::uint32_t count, Lock& lock) noexcept {
  if (!books_.reserve_frames(count)) return fail(ErrorCode::out_of_host_memory);
  for (std::uint32_t i = 0; i < count; ++i)
    books_.page(first + i).busy = true;
  lock.unlock();

  std::array<PhysicalId, kBatch> physical{};
  const std::span<PhysicalId> pages = std::span(physical).first(count);
  const Result<void> taken = take(false, address_of(first), pages, false);
  Bound bound;
  if (taken) {
    bound = settled(space_.map_pages(address_of(first), pages));
    if (!bound.in_place) give(false, pages);
  }

  lock.lock();
  for (std::uint32_t i = 0; bound.in_place && i < count; ++i) {
    const std::uint32_t frame = books_.add_frame(pages[i], false);
    change_frame(frame, [&] { books_.join(first + i, frame); });
  }
  if (!bound.in_place) books_.unreserve(count);
  for (std::uint32_t i = 0; i < count; ++i)
    set_free(first + i);
  changed_.notify_all();
  if (!taken) return taken;
  return bound.complete ? Result<void>{} : fail(bound.error);
}

// A move that was refused in the middle has left the page for reading only.
Result<void> PagedSpace::let_write(std::uint32_t page, Lock& lock) noexcept {
  books_.page(page).busy = true;
  lock.unlock();
  unguard(page);
  lock.lock();
  set_free(page);
  changed_.notify_all();
  return books_.page(page).guarded ? fail(ErrorCode::driver_error) : Result<void>{};
}

// One that nobody uses. So many threads at once can take pages out of shared ones; others wait for a lane.
PagedSpace::Lane& PagedSpace::take_lane(Lock& lock) noexcept {
  for (;;) {
    for (Lane& lane : lanes_) {
      if (lane.in_use) continue;
      lane.in_use = true;
      return lane;
    }
    changed_.wait(lock);
  }
}

// The page gets a physical page of its own.
Result<void> PagedSpace::unshare(std::uint32_t page, Lock& lock) noexcept {
  books_.page(page).busy = true;
  Lane& lane = take_lane(lock);
  Outcome outcome = Outcome::refused;
  Error error{ErrorCode::out_of_host_memory};
  const bool room = take_in_hand(page, lane);
  lock.unlock();
  StepReport report;
  if (room) {
    outcome = relocate(page, {.to_frame = kNone, .even_if_empty = true}, lane, report);
    error = lane.error;
  }
  lock.lock();
  lane.in_use = false;
  set_free(page);
  changed_.notify_all();
  if (outcome == Outcome::done) return {};
  return outcome == Outcome::postponed ? fail(ErrorCode::timed_out) : fail(error);
}

}  // namespace vaspace
