// How one page moves to other physical memory under its address: pause, guard, copy, rebind, resume; or
// nothing.
//
//   address      [ old ]          [ old, read only ]           [ new ]
//   staging              [ new ]  copy: old -> new      [ ]
#include <utility>

#include "paged_space_inl.hpp"

namespace vaspace {

bool PagedSpace::pause(Address address, Bytes size) const noexcept {
  return config_.pause.pause == nullptr || config_.pause.pause(config_.pause.user, address, size);
}

void PagedSpace::resume(Address address, Bytes size) const noexcept {
  if (config_.pause.resume != nullptr) config_.pause.resume(config_.pause.user, address, size);
}

// A page that is busy by the caller's doing: what of it is live now goes into the lane. False: no host
// memory, for the frame that it may need.
bool PagedSpace::take_in_hand(std::uint32_t page, Lane& lane) noexcept {
  if (!books_.reserve_frames(1)) return false;
  const CellMask mask = books_.mask(page);
  std::copy(mask.begin(), mask.end(), lane.mask.begin());
  return true;
}

// The page as it is bound now, with another backing.
PagedSpace::Bound PagedSpace::bind_as(std::uint32_t page, Backing backing) noexcept {
  PhysicalId physical;
  Bytes offset{};
  {
    const Lock lock(mutex_);
    const PageBooks::Frame& frame = books_.frame(books_.page(page).frame);
    physical = frame.physical;
    offset = frame.large ? offset_of(page) : Bytes{};
  }
  return map_at({address_of(page), small_, physical, offset, backing}, backing == Backing::memory);
}

// From now on who writes to the page faults, where that can be had: without offsets no part of a large page
// can be bound anew.
Result<void> PagedSpace::guard(std::uint32_t page) noexcept {
  if (!can_guard_) return {};
  if (!space_->shape().physical_offset) {
    const Lock lock(mutex_);
    if (books_.frame(books_.page(page).frame).large) return {};
  }
  std::uint64_t guarded = 0;
  {
    const Lock lock(mutex_);
    books_.page(page).guarded = true;
    guarded = ++guarded_;
  }
  // Taking it back must not fail for want of host memory.
  const bool room = space_.keep_for_undo(guarded + kLanes, 1);
  Bound bound{false, Error{ErrorCode::out_of_host_memory}, false};
  if (room) bound = bind_as(page, Backing::read_only_memory);
  if (bound.in_place) return {};
  const Lock lock(mutex_);
  forget_guard(page);
  return fail(bound.error);
}

// Where the driver refuses, the page stays guarded and its writers paused, until unguard_some.
void PagedSpace::unguard(std::uint32_t page) noexcept {
  bool guarded = false;
  {
    const Lock lock(mutex_);
    guarded = books_.page(page).guarded;
  }
  if (guarded) {
    if (!bind_as(page, Backing::memory).in_place) {
      const Lock lock(mutex_);
      ++refused_;
      return;
    }
    const Lock lock(mutex_);
    forget_guard(page);
  }
  resume(address_of(page), small_);
}

void PagedSpace::forget_guard(std::uint32_t page) noexcept {
  if (!books_.page(page).guarded) return;
  books_.page(page).guarded = false;
  --guarded_;
}

// The next page that is guarded still, and now in hand; a block at a time, counted in `looked`. kNone: none
// there.
std::uint32_t PagedSpace::next_guarded(std::uint32_t& looked) noexcept {
  const Lock lock(mutex_);
  if (guarded_ == 0) looked = books_.pages();
  if (looked >= books_.pages()) return kNone;
  if (guard_cursor_ >= books_.pages()) guard_cursor_ = 0;
  const std::uint32_t per_block = books_.pages_per_block();
  const std::uint32_t end = guard_cursor_ - guard_cursor_ % per_block + per_block;
  for (const bool touched = books_.touched(guard_cursor_); touched && guard_cursor_ < end;) {
    ++looked;
    PageBooks::Page& page = books_.page(guard_cursor_++);
    if (!page.guarded || page.busy || page.frame == kNone) continue;
    page.busy = true;
    return guard_cursor_ - 1;
  }
  looked += end - guard_cursor_;
  guard_cursor_ = end;
  return kNone;
}

// Each page that is guarded still is tried, out of the step's budget; but not in the step after one of which
// that took all, so that what the driver refuses for good keeps nothing else from moving.
void PagedSpace::unguard_some(const StepMeter& meter, StepReport& report) noexcept {
  if (std::exchange(guards_took_all_, false)) return;
  std::uint32_t looked = 0;
  while (looked < books_.pages() && meter.open(report.spent())) {
    const std::uint32_t page = next_guarded(looked);
    if (page == kNone) continue;
    unguard(page);
    const Lock lock(mutex_);
    ++(books_.page(page).guarded ? report.refused : report.unguarded);
    set_free(page);
    changed_.notify_all();
  }
  guards_took_all_ = looked != 0 && !meter.open(report.spent());
}

// Memory at the lane's staging addresses, whatever was left there before.
Result<void> PagedSpace::stage(Lane& lane, bool large, PhysicalId physical) noexcept {
  const Result<void> clear = clear_staging(lane);
  if (!clear) return clear;
  const Bound staged = map_at({lane.staging, large ? large_ : small_, physical, {}, Backing::memory});
  if (staged.complete) return {};
  if (staged.in_place) (void)unstage(lane, large, physical);
  return fail(staged.error);
}

// What stays bound is kept aside: it must not be another's meanwhile.
Result<void> PagedSpace::unstage(Lane& lane, bool large, PhysicalId physical) noexcept {
  const Result<void> done = unmap_at(lane.staging, large ? large_ : small_);
  if (done) return {};
  lane.stuck = physical;
  lane.stuck_large = large;
  return done;
}

Result<void> PagedSpace::clear_staging(Lane& lane) noexcept {
  if (!lane.stuck) return {};
  const Result<void> done = unmap_at(lane.staging, lane.stuck_large ? large_ : small_);
  if (!done) return done;
  give(lane.stuck_large, {&lane.stuck, 1});
  lane.stuck = {};
  return {};
}

// At the begin of a step: acquire's lanes too, but for those in use.
void PagedSpace::clear_stagings() noexcept {
  (void)clear_staging(step_lane_);
  for (Lane& lane : lanes_) {
    {
      const Lock lock(mutex_);
      if (lane.in_use || !lane.stuck) continue;
      lane.in_use = true;
    }
    (void)clear_staging(lane);
    const Lock lock(mutex_);
    lane.in_use = false;
    changed_.notify_all();
  }
}

Result<void> PagedSpace::copy_live(std::uint32_t page, Address to, Lane& lane) noexcept {
  lane.copies.clear();
  Bytes bytes{};
  bool room = true;
  each_run(lane.mask.span(), [&](std::uint32_t begin, std::uint32_t end) noexcept {
    const CopyOp op{address_of(page) + cell_ * begin, to + cell_ * begin, cell_ * (end - begin)};
    bytes += op.size;
    room = lane.copies.push_back(op);
    return room;
  });
  if (!room) return fail(ErrorCode::out_of_host_memory);
  lane.copied = bytes;
  if (lane.copies.empty()) return {};
  const Result<TimelinePoint> point = backend_.copy(lane.copies.span(), {});
  if (!point) return fail(point.error());
  return backend_.wait(*point, va_detail::kForever);
}

// A small page of its own with the page's live cells, bound nowhere.
Result<PhysicalId> PagedSpace::copy_to_new(std::uint32_t page, bool overdraw, Lane& lane) noexcept {
  PhysicalId fresh;
  const Result<void> taken = take(false, address_of(page), {&fresh, 1}, overdraw);
  if (!taken) return fail(taken.error());
  Result<void> done = stage(lane, false, fresh);
  if (done) {
    done = copy_live(page, lane.staging, lane);
    const Result<void> unstaged = unstage(lane, false, fresh);
    if (done && !unstaged) done = unstaged;
  }
  if (done) return fresh;
  if (lane.stuck != fresh) give(false, {&fresh, 1});
  return fail(done.error());
}

// The page leaves its frame; if it was the last there, the frame is no more and its memory the caller's.
PhysicalId PagedSpace::leave(std::uint32_t page) noexcept {
  const std::uint32_t frame = books_.page(page).frame;
  change_frame(frame, [&] { (void)books_.leave(page); });
  if (books_.frame(frame).members != 0) {
    // It may have been the last that was live.
    for (std::uint32_t at = books_.frame(frame).first; at != kNone; at = books_.page(at).next)
      enqueue_if_empty(at);
    return {};
  }
  const PhysicalId physical = books_.frame(frame).physical;
  overdrawn_ -= small_ * books_.frame(frame).moved;
  books_.remove_frame(frame);
  return physical;
}

// What goes where, as far as it can be done without a change of the page's own binding.
Result<void> PagedSpace::copy_for(std::uint32_t page, const Move& move, Lane& lane,
                                  PhysicalId& fresh) noexcept {
  const Result<void> guarded = guard(page);
  if (!guarded) return guarded;
  if (move.to_frame != kNone) return copy_live(page, move.through, lane);
  const Result<PhysicalId> made = copy_to_new(page, move.overdraw, lane);
  if (!made) return fail(made.error());
  fresh = *made;
  return {};
}

// The memory that the page is to have, or none where it was freed meanwhile: nothing is left to be moved
// (T3).
PhysicalId PagedSpace::destination(std::uint32_t page, const Move& move, PhysicalId fresh) const noexcept {
  const Lock lock(mutex_);
  if (books_.page(page).live == 0 && !move.even_if_empty) return {};
  return move.to_frame == kNone ? fresh : books_.frame(move.to_frame).physical;
}

// The page is bound to its new memory; the books say so too, and the old goes if nobody else has it.
void PagedSpace::publish(std::uint32_t page, const Move& move, PhysicalId fresh) noexcept {
  bool large = false;
  PhysicalId gone;
  {
    const Lock lock(mutex_);
    forget_guard(page);
    const std::uint32_t old = books_.page(page).frame;
    large = books_.frame(old).large;
    gone = leave(page);
    if (large && !gone) {
      ++books_.frame(old).moved;
      overdrawn_ += small_;
    }
    std::uint32_t frame = move.to_frame;
    if (frame == kNone) {
      frame = books_.add_frame(fresh, false);
    } else {
      books_.unreserve(1);
    }
    change_frame(frame, [&] { books_.join(page, frame); });
  }
  resume(address_of(page), small_);
  if (gone) give(large, {&gone, 1});
}

// A frame is reserved, and goes back unless it is used.
PagedSpace::Outcome PagedSpace::relocate(std::uint32_t page, const Move& move, Lane& lane,
                                         StepReport& report) noexcept {
  const bool paused = pause(address_of(page), small_);
  PhysicalId fresh;
  const Result<void> copied = paused ? copy_for(page, move, lane, fresh) : fail(ErrorCode::timed_out);
  if (copied) report.copied += lane.copied;
  const PhysicalId to = copied ? destination(page, move, fresh) : PhysicalId{};
  Bound bound;
  if (to) bound = map_at({address_of(page), small_, to, {}, Backing::memory});
  if (bound.in_place) {
    publish(page, move, fresh);
    return Outcome::done;
  }
  // Nothing has come of it.
  if (paused) unguard(page);
  if (fresh) give(false, {&fresh, 1});
  lane.error = copied ? bound.error : copied.error();
  const Lock lock(mutex_);
  books_.unreserve(1);
  if (!paused) return Outcome::postponed;
  return copied && !to ? Outcome::cancelled : Outcome::refused;
}

}  // namespace vaspace
