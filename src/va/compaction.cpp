// Steps of compaction: what to move next. A pass demotes block by block, then gathers the small pages that
// are behind one address, fullest first, and meshes each into the fullest other that it fits.
#include <algorithm>

#include "paged_space_inl.hpp"

namespace vaspace {
namespace {

constexpr std::uint64_t tag_of(std::uint32_t frame, std::uint32_t generation) noexcept {
  return (std::uint64_t{generation} << 32U) | frame;
}

}  // namespace

StepReport PagedSpace::compact(const StepBudget& budget) noexcept {
  const std::scoped_lock step(step_mutex_);
  const StepMeter meter(budget);
  StepReport report;
  clear_stagings();
  unguard_some(meter, report);
  if (!in_pass_) begin_pass();
  for (;;) {
    if (!meter.open(report.spent())) return report;
    bool more = false;
    switch (phase_) {
      case Phase::demote:
        more = can_demote_ && demote_next(report);
        if (!more) phase_ = Phase::gather;
        cursor_ = more ? cursor_ : 0;
        break;
      case Phase::gather:
        more = can_mesh_ && gather_next(report);
        if (!more) phase_ = Phase::mesh;
        break;
      case Phase::mesh:
        if (can_mesh_ && mesh_next(report)) break;
        end_pass();
        report.finished = true;
        return report;
    }
  }
}

void PagedSpace::begin_pass() noexcept {
  const Lock lock(mutex_);
  pass_began_with_ = held() - std::min(overdrawn_, held());
  in_pass_ = true;
}

void PagedSpace::end_pass() noexcept {
  in_pass_ = false;
  phase_ = Phase::demote;
  cursor_ = 0;
  demoting_ = kNone;
  sources_.clear();
  buckets_.clear();
  packer_.clear();
}

void PagedSpace::tally(Outcome outcome, std::uint64_t& done, StepReport& report) const noexcept {
  switch (outcome) {
    case Outcome::done:
      ++done;
      break;
    case Outcome::cancelled:
      ++report.cancelled;
      break;
    case Outcome::postponed:
      ++report.postponed;
      break;
    case Outcome::refused:
      ++report.refused;
      break;
  }
}

// Nobody has it in hand, and its writers are not paused already.
bool PagedSpace::may_move(std::uint32_t page) const noexcept {
  const PageBooks::Page& p = books_.page(page);
  return !p.busy && !p.guarded && p.frame != kNone && !books_.frame(p.frame).busy;
}

// A large page with an empty part; or one whose parts will mesh. Where nothing is live, collect is quicker.
bool PagedSpace::worth_demoting(std::uint32_t block) const noexcept {
  const std::uint32_t first = block * books_.pages_per_block();
  if (!books_.touched(first)) return false;
  std::uint32_t members = 0;
  std::uint32_t live_pages = 0;
  std::uint64_t live = 0;
  for (std::uint32_t i = first; i < first + books_.pages_per_block(); ++i) {
    const PageBooks::Page& page = books_.page(i);
    if (page.frame == kNone || !books_.frame(page.frame).large) continue;
    ++members;
    live_pages += page.live != 0 ? 1U : 0U;
    live += page.live;
  }
  if (members == 0 || live_pages == 0) return false;
  const bool part = live_pages < members || members < books_.pages_per_block();
  const bool loose = live * 4 <= std::uint64_t{members} * books_.cells() * 3;
  return part || (can_mesh_ && loose);
}

// Whether all that is live of the block may be copied before its large page goes. Begun only then, the block
// that was begun last can always be finished, and then those before it.
bool PagedSpace::may_finish(std::uint32_t block) const noexcept {
  const std::uint32_t first = block * books_.pages_per_block();
  Bytes copies{};
  for (std::uint32_t i = first; i < first + books_.pages_per_block(); ++i) {
    const PageBooks::Page& page = books_.page(i);
    if (page.frame != kNone && books_.frame(page.frame).large && page.live != 0) copies += small_;
  }
  return overdrawn_ + copies <= large_ || held() + in_flight_ + copies <= pass_began_with_ + large_;
}

// One page, or one block that is not worth it. A block is left at the first page that cannot be moved: its
// large page stays, so what else moved out of it would be held twice. False: all blocks have been seen.
bool PagedSpace::demote_next(StepReport& report) noexcept {
  if (cursor_ >= books_.pages()) return false;
  const std::uint32_t block = cursor_ / books_.pages_per_block();
  if (block != demoting_) {
    const Lock lock(mutex_);
    if (!worth_demoting(block)) {
      cursor_ = (block + 1) * books_.pages_per_block();
      return true;
    }
    if (!may_finish(block)) {
      ++report.postponed;
      cursor_ = (block + 1) * books_.pages_per_block();
      return true;
    }
    demoting_ = block;
  }
  if (!demote_page(cursor_++, report)) cursor_ = (block + 1) * books_.pages_per_block();
  return true;
}

// False: it could not be moved.
bool PagedSpace::demote_page(std::uint32_t page, StepReport& report) noexcept {
  bool live = false;
  {
    const Lock lock(mutex_);
    const std::uint32_t frame = books_.page(page).frame;
    if (frame == kNone || !books_.frame(frame).large) return true;
    live = books_.page(page).live != 0;
    // What an acquire wants may move, but not go.
    if (!may_move(page) || (!live && books_.page(page).claims != 0)) {
      ++report.postponed;
      return false;
    }
    if (live && !take_in_hand(page, step_lane_)) {
      ++report.refused;
      return false;
    }
    books_.page(page).busy = true;
  }
  if (!live) {
    const bool unbound = unmap_at(address_of(page), small_).has_value();
    ++(unbound ? report.dropped : report.refused);
    let_go(page, 1, unbound);
    return unbound;
  }
  const Outcome outcome = relocate(page, {.overdraw = true}, step_lane_, report);
  tally(outcome, report.demoted, report);
  const Lock lock(mutex_);
  set_free(page);
  changed_.notify_all();
  return outcome == Outcome::done || outcome == Outcome::cancelled;
}

// The small pages of one block that are behind one address each.
bool PagedSpace::gather_next(StepReport& report) noexcept {
  if (cursor_ >= books_.pages()) return false;
  const std::uint32_t first = cursor_;
  cursor_ += books_.pages_per_block();
  if (!buckets_.resize(kMeshLevels + 1, kNone) || !sources_.reserve_more(books_.pages_per_block())) {
    ++report.refused;
    cursor_ = books_.pages();
    return false;
  }
  fullest_ = kMeshLevels;
  const Lock lock(mutex_);
  if (!books_.touched(first)) return true;
  for (std::uint32_t i = first; i < cursor_; ++i) {
    const PageBooks::Page& page = books_.page(i);
    if (!books_.stands_for_frame(i) || books_.frame(page.frame).large) continue;
    std::uint32_t& head = buckets_[mesh_level(page.live, books_.cells())];
    sources_.push_back_reserved({i, head});
    head = static_cast<std::uint32_t>(sources_.size() - 1);
  }
  return true;
}

// The fullest that is left. False: none is.
bool PagedSpace::mesh_next(StepReport& report) noexcept {
  if (buckets_.empty()) return false;
  while (buckets_[fullest_] == kNone) {
    if (fullest_ == 0) return false;
    --fullest_;
  }
  const Source source = sources_[buckets_[fullest_]];
  buckets_[fullest_] = source.next;
  mesh_page(source.page, report);
  return true;
}

// What the page's frame has live, all members together, goes into the lane. How many cells; 0 where it is not
// to be meshed now.
std::uint32_t PagedSpace::look_at(std::uint32_t page, bool& alone) noexcept {
  const Lock lock(mutex_);
  if (!may_move(page) || books_.page(page).live == 0) return 0;
  const PageBooks::Frame& frame = books_.frame(books_.page(page).frame);
  if (frame.large) return 0;
  alone = frame.members == 1;
  std::fill(step_lane_.mask.begin(), step_lane_.mask.end(), 0);
  for (std::uint32_t at = frame.first; at != kNone; at = books_.page(at).next)
    for (std::uint32_t i = 0; i < books_.words(); ++i)
      step_lane_.mask[i] |= books_.mask(at)[i];
  return count_cells(step_lane_.mask.span());
}

// The page stays, and others may move in with it.
void PagedSpace::open_bin(std::uint32_t page, std::uint32_t count) noexcept {
  const Lock lock(mutex_);
  const std::uint32_t frame = books_.page(page).frame;
  if (frame == kNone || !packer_.reserve()) return;
  (void)packer_.open(step_lane_.mask.span(), count, tag_of(frame, books_.frame(frame).generation));
}

// Takes the page in hand, the bin's frame, and a member of it to write through; so that it stays one, a
// member that nobody has. The packer chose by what it last saw: false where that is no longer so.
bool PagedSpace::begin_mesh(std::uint32_t page, std::uint32_t bin, Move& move, StepReport& report) noexcept {
  const Lock lock(mutex_);
  if (!may_move(page) || books_.page(page).live == 0) return false;
  move.to_frame = static_cast<std::uint32_t>(packer_.tag(bin));
  const PageBooks::Frame& to = books_.frame(move.to_frame);
  const bool same = to.physical && packer_.tag(bin) == tag_of(move.to_frame, to.generation);
  std::uint32_t through = same ? to.first : kNone;
  while (through != kNone && !may_move(through))
    through = books_.page(through).next;
  if (through == kNone || books_.members_overlap(move.to_frame, books_.mask(page))) {
    packer_.close(bin);
    ++report.postponed;
    return false;
  }
  if (!take_in_hand(page, step_lane_)) {
    ++report.refused;
    return false;
  }
  move.through = address_of(through);
  meshing_through_ = through;
  books_.page(page).busy = true;
  books_.page(through).busy = true;
  books_.frame(move.to_frame).busy = true;
  return true;
}

void PagedSpace::end_mesh(std::uint32_t page, std::uint32_t frame) noexcept {
  const Lock lock(mutex_);
  books_.frame(frame).busy = false;
  set_free(page);
  set_free(meshing_through_);
  // Whoever wanted to give back a member meanwhile has let it be.
  for (std::uint32_t at = books_.frame(frame).first; at != kNone; at = books_.page(at).next)
    enqueue_if_empty(at);
  changed_.notify_all();
}

void PagedSpace::mesh_page(std::uint32_t page, StepReport& report) noexcept {
  bool alone = false;
  const std::uint32_t count = look_at(page, alone);
  if (count == 0) return;
  const std::uint32_t bin =
      alone ? packer_.find(step_lane_.mask.span(), count, config_.mesh_probes) : MeshPacker::kNone;
  if (bin == MeshPacker::kNone) return open_bin(page, count);
  Move move;
  if (!begin_mesh(page, bin, move, report)) return;
  const Outcome outcome = relocate(page, move, step_lane_, report);
  tally(outcome, report.meshed, report);
  if (outcome == Outcome::done) packer_.add(bin, step_lane_.mask.span(), count);
  end_mesh(page, move.to_frame);
}

}  // namespace vaspace
