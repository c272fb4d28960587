#include "vaspace/va/bind_plan.hpp"

#include <algorithm>
#include <utility>

namespace vaspace {

PlanShape PlanShape::of(const DeviceProfile& profile, Bytes page, bool rebind_rests) noexcept {
  const Capabilities& can = profile.capabilities;
  PlanShape shape;
  shape.page = page;
  shape.physical_offset = can.physical_offset;
  if (!can.partial_unbind) shape.unit = can.physical_offset && !rebind_rests ? Unit::pages : Unit::whole;
  // Binds of a page each are replaced a page each: none is cut. But an object that moves by a page is then in
  // two places for a moment, which not every driver takes.
  const bool one_by_one = shape.unit == Unit::pages && can.aliasing;
  shape.replace = can.replace && (shape.unit == Unit::parts || one_by_one);
  // Binds that complete later may overtake each other (V24), and one batch never binds a range twice (V23).
  shape.one_call = !can.completes_later;
  return shape;
}

struct Planner::Piece {
  std::uint64_t end = 0;
  std::optional<Mapping> mapping{};  // at the piece's begin
  bool bound = false;                // the driver has it
  // What one unbind of the driver has to take if it takes whole binds, and the mapping at its begin.
  std::uint64_t whole_begin = 0;
  std::uint64_t whole_end = 0;
  Mapping whole{};
};

struct Planner::Work {
  std::uint64_t begin;
  std::uint64_t end;
  const std::optional<Mapping>& target;
  BindPlan& plan;
  bool restorable = true;
  bool right_rest_goes = false;
  Mapping right_rest{};  // to be bound anew from `end` on
  std::uint64_t right_end = 0;

  [[nodiscard]] Mapping wanted(std::uint64_t at) const noexcept {
    return target->advanced(Bytes{at - begin});
  }
};

bool Planner::all_mapped(std::uint64_t begin, std::uint64_t end) const noexcept {
  auto at = map_.lower_bound(begin);
  for (; at != map_.end() && begin < end; ++at) {
    const Entry entry = *at;
    if (entry.begin > begin) return false;
    begin = entry.end;
  }
  return begin >= end;
}

// What lies at `at` and goes on to the piece's end, at most to `end`.
Planner::Piece Planner::piece_at(std::uint64_t at, std::uint64_t end) const noexcept {
  Piece piece;
  const auto found = map_.lower_bound(at);
  if (found == map_.end() || (*found).begin >= end) {
    piece.end = end;
    return piece;
  }
  const Entry entry = *found;
  if (entry.begin > at) {
    piece.end = entry.begin;
    return piece;
  }
  piece.mapping = entry.value.advanced(Bytes{at - entry.begin});
  piece.bound = entry.value.bound();
  piece.whole_begin = entry.begin;
  piece.whole_end = entry.end;
  for (auto torn = torn_.lower_bound(entry.begin); torn != torn_.end(); ++torn) {
    const TornMap::Entry tear = *torn;
    if (tear.begin >= piece.whole_end) break;
    if (tear.end <= at) {
      piece.whole_begin = tear.end;
    } else if (tear.begin <= at) {
      piece.bound = false;
      piece.whole_end = std::min(tear.end, entry.end);
      break;
    } else {
      piece.whole_end = tear.begin;
    }
  }
  piece.whole = entry.value.advanced(Bytes{piece.whole_begin - entry.begin});
  piece.end = std::min(piece.whole_end, end);
  return piece;
}

void Planner::note_rests(std::uint64_t begin, std::uint64_t end, BindPlan& plan) const noexcept {
  const auto left = map_.find(begin);
  if (left && left->begin < begin)
    plan.left_rest_ = MappedRange{Address{left->begin}, Bytes{begin - left->begin}, left->value};
  const auto right = map_.find(end);
  if (right && right->begin < end) {
    plan.right_rest_ =
        MappedRange{Address{end}, Bytes{right->end - end}, right->value.advanced(Bytes{end - right->begin})};
  }
}

Result<void> Planner::add_bind(HostArray<BindOp>& to, std::uint64_t begin, std::uint64_t end,
                               const Mapping& mapping, bool replace) const noexcept {
  const std::uint64_t step = shape_.unit == PlanShape::Unit::pages ? shape_.page.value : end - begin;
  if (!to.reserve_more((end - begin) / step)) return fail(ErrorCode::out_of_host_memory);
  for (std::uint64_t at = begin; at < end; at += step) {
    const Mapping here = mapping.advanced(Bytes{at - begin});
    BindOp op;
    op.address = Address{at};
    op.size = Bytes{step};
    op.physical = here.physical;
    op.offset = here.offset;
    op.access = here.backing == Backing::memory ? Access::read_write : Access::read;
    op.null = here.backing == Backing::null;
    op.replace = replace;
    to.push_back_reserved(op);
  }
  return {};
}

Result<void> Planner::rebind(Work& work, std::uint64_t begin, std::uint64_t end,
                             const Mapping& mapping) const noexcept {
  if (mapping.offset.value != 0 && !shape_.physical_offset) return fail(ErrorCode::not_supported);
  work.plan.rebinds_rests_ = true;
  return add_bind(work.plan.binds_, begin, end, mapping, false);
}

// Takes the piece away, and with it what the driver will not leave.
Result<void> Planner::unbind(Work& work, const Piece& piece) const noexcept {
  const bool whole = shape_.unit == PlanShape::Unit::whole;
  const std::uint64_t inside = std::max(piece.whole_begin, work.begin);
  const std::uint64_t begin = whole ? piece.whole_begin : inside;
  const std::uint64_t end = whole ? piece.whole_end : piece.end;
  const Mapping gone = piece.whole.advanced(Bytes{begin - piece.whole_begin});

  HostArray<BindOp>& unbinds = work.plan.unbinds_;
  if (!unbinds.empty() && (unbinds.back().address + unbinds.back().size).value == begin) {
    unbinds.back().size += Bytes{end - begin};
  } else {
    BindOp op;
    op.address = Address{begin};
    op.size = Bytes{end - begin};
    if (!unbinds.push_back(op)) return fail(ErrorCode::out_of_host_memory);
  }
  if (gone.offset.value != 0 && !shape_.physical_offset) work.restorable = false;
  const Result<void> noted = add_bind(work.plan.restores_, begin, end, gone, false);
  if (!noted) return noted;

  if (end > work.end) {
    work.right_rest_goes = true;
    work.right_rest = gone.advanced(Bytes{work.end - begin});
    work.right_end = end;
  }
  return begin < work.begin ? rebind(work, begin, work.begin, gone) : Result<void>{};
}

// Whether a torn mapping would keep a right rest that could never be bound again.
bool Planner::tears_beyond(const Work& work, const Piece& piece) const noexcept {
  const bool torn = piece.mapping && piece.mapping->bound() && !piece.bound;
  return torn && piece.whole_end > work.end && piece.mapping->has_memory() && !shape_.physical_offset;
}

// `keep`: what is as wanted stays; else it is unbound and bound again.
Result<void> Planner::walk(Work& work, bool keep) const noexcept {
  constexpr std::uint64_t kNone = ~std::uint64_t{0};
  const bool binds = work.target && work.target->bound();
  std::uint64_t run = kNone;  // where the bind under way begins
  bool replaces = false;
  const auto end_run = [&](std::uint64_t at) noexcept -> Result<void> {
    if (run == kNone) return {};
    const std::uint64_t begin = run;
    run = kNone;
    const Mapping mapping = work.wanted(begin);
    if (mapping.offset.value != 0 && !shape_.physical_offset) return fail(ErrorCode::not_supported);
    return add_bind(work.plan.binds_, begin, at, mapping, std::exchange(replaces, false));
  };

  for (std::uint64_t at = work.begin; at < work.end;) {
    const Piece piece = piece_at(at, work.end);
    const bool as_wanted =
        keep && work.target && piece.mapping && *piece.mapping == work.wanted(at) && piece.bound == binds;
    Result<void> done{};
    if (as_wanted) {
      done = end_run(at);
    } else {
      if (tears_beyond(work, piece)) return fail(ErrorCode::not_supported);
      if (binds && run == kNone) run = at;
      if (piece.bound && binds && shape_.replace) {
        replaces = true;
      } else if (piece.bound) {
        done = unbind(work, piece);
      }
    }
    if (!done) return done;
    at = piece.end;
  }
  const Result<void> bound = end_run(work.end);
  if (!bound || !work.right_rest_goes) return bound;
  return rebind(work, work.end, work.right_end, work.right_rest);
}

Result<void> Planner::plan(std::uint64_t begin, std::uint64_t end, const std::optional<Mapping>& target,
                           BindPlan& plan) const noexcept {
  if (!target && !all_mapped(begin, end)) return fail(ErrorCode::wrong_state);
  plan.address_ = Address{begin};
  plan.size_ = Bytes{end - begin};
  plan.target_ = target;
  note_rests(begin, end, plan);

  // A driver without offsets can bind an object from its begin only: if what is there already is in the way
  // of that, it goes too.
  for (const bool keep : {true, false}) {
    Work work{.begin = begin, .end = end, .target = plan.target_, .plan = plan};
    plan.unbinds_.clear();
    plan.binds_.clear();
    plan.restores_.clear();
    plan.rebinds_rests_ = false;
    const Result<void> walked = walk(work, keep);
    if (!walked) {
      const bool again = keep && target && walked.error().code == ErrorCode::not_supported;
      if (again) continue;
      return walked;
    }
    const bool both = !plan.unbinds_.empty() && !plan.binds_.empty();
    plan.in_two_calls_ = both && !shape_.one_call && work.restorable;
    return {};
  }
  return fail(ErrorCode::not_supported);
}

}  // namespace vaspace
