// The other way: a block that is full enough gets one large page in place of many small ones.
#include "paged_space_inl.hpp"

namespace vaspace {

StepReport PagedSpace::promote(const StepBudget& budget) noexcept {
  const std::scoped_lock step(step_mutex_);
  const StepMeter meter(budget);
  StepReport report;
  clear_stagings();
  unguard_some(meter, report);
  const bool can = backend_.profile().capabilities.copy && books_.pages_per_block() > 1;
  for (; can && promote_cursor_ < books_.blocks(); ++promote_cursor_) {
    if (!meter.open(report.spent())) return report;
    promote_block(promote_cursor_, report);
  }
  promote_cursor_ = 0;
  report.finished = true;
  return report;
}

// Every page of it small, its own, in nobody's hands, and enough of it live.
bool PagedSpace::worth_promoting(std::uint32_t block) const noexcept {
  const std::uint32_t first = block * books_.pages_per_block();
  if (!books_.touched(first)) return false;
  std::uint64_t live = 0;
  for (std::uint32_t i = first; i < first + books_.pages_per_block(); ++i) {
    if (!may_move(i)) return false;
    const PageBooks::Frame& frame = books_.frame(books_.page(i).frame);
    if (frame.large || frame.members != 1) return false;
    live += books_.page(i).live;
  }
  const std::uint64_t cells = std::uint64_t{books_.cells()} * books_.pages_per_block();
  return live * 100 >= cells * config_.promote_percent;
}

// A large page with the block's live cells, bound nowhere. Its pages are in hand.
Result<PhysicalId> PagedSpace::copy_block(std::uint32_t block, StepReport& report) noexcept {
  const std::uint32_t first = block * books_.pages_per_block();
  PhysicalId large;
  const Result<void> taken = take(true, address_of(first), {&large, 1}, true);
  if (!taken) return fail(taken.error());
  Result<void> done = stage(step_lane_, true, large);
  if (done) {
    for (std::uint32_t i = 0; done && i < books_.pages_per_block(); ++i) {
      {
        const Lock lock(mutex_);
        const CellMask mask = books_.mask(first + i);
        std::copy(mask.begin(), mask.end(), step_lane_.mask.begin());
      }
      done = copy_live(first + i, step_lane_.staging + small_ * i, step_lane_);
      if (done) report.copied += step_lane_.copied;
    }
    const Result<void> unstaged = unstage(step_lane_, true, large);
    if (done && !unstaged) done = unstaged;
  }
  if (done) return large;
  if (step_lane_.stuck != large) give(true, {&large, 1});
  return fail(done.error());
}

void PagedSpace::promote_block(std::uint32_t block, StepReport& report) noexcept {
  const std::uint32_t count = books_.pages_per_block();
  const std::uint32_t first = block * count;
  {
    const Lock lock(mutex_);
    if (!worth_promoting(block)) return;
    if (!books_.reserve_frames(1)) {
      ++report.refused;
      return;
    }
    for (std::uint32_t i = first; i < first + count; ++i)
      books_.page(i).busy = true;
  }
  // Writers are paused, and guarded against, page by page, as everywhere.
  std::uint32_t paused = 0;
  bool guarded = true;
  while (paused < count && guarded && pause(address_of(first + paused), small_)) {
    guarded = guard(first + paused).has_value();
    ++paused;
  }
  PhysicalId large;
  if (paused == count && guarded) {
    const Result<PhysicalId> copied = copy_block(block, report);
    if (copied) large = *copied;
    const bool bound = copied && map_at({address_of(first), large_, large, {}, Backing::memory}).in_place;
    if (copied && !bound) give(true, {&large, 1});
    if (!bound) large = {};
    ++(bound ? report.promoted : report.refused);
  } else {
    ++(guarded ? report.postponed : report.refused);
  }
  end_promotion(block, paused, large);
}

void PagedSpace::end_promotion(std::uint32_t block, std::uint32_t paused, PhysicalId large) noexcept {
  const std::uint32_t count = books_.pages_per_block();
  const std::uint32_t first = block * count;
  if (!large) {
    for (std::uint32_t i = first; i < first + paused; ++i)
      unguard(i);
    const Lock lock(mutex_);
    books_.unreserve(1);
    for (std::uint32_t i = first; i < first + count; ++i)
      set_free(i);
    changed_.notify_all();
    return;
  }
  std::uint32_t frame = kNone;
  for (std::uint32_t i = first; i < first + count; ++i) {
    PhysicalId gone;
    {
      const Lock lock(mutex_);
      if (frame == kNone) frame = books_.add_frame(large, true);
      forget_guard(i);
      gone = leave(i);
      change_frame(frame, [&] { books_.join(i, frame); });
    }
    resume(address_of(i), small_);
    if (gone) give(false, {&gone, 1});
  }
  const Lock lock(mutex_);
  for (std::uint32_t i = first; i < first + count; ++i)
    set_free(i);
  changed_.notify_all();
}

}  // namespace vaspace
