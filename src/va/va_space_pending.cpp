// Commits in three parts: what is begun and ended under the owner's lock, and carried out without it.
#include <algorithm>

#include "vaspace/va/va_space.hpp"

namespace vaspace {

void BindPlan::start_over(Address address, Bytes size) noexcept {
  address_ = address;
  size_ = size;
  target_.reset();
  left_rest_.reset();
  right_rest_.reset();
  unbinds_.clear();
  binds_.clear();
  restores_.clear();
  pages_.clear();
  rebinds_rests_ = in_two_calls_ = committed_ = false;
}

bool PendingCommit::keep(std::size_t pages, std::size_t commits) noexcept {
  own_.unbinds_.clear();
  own_.binds_.clear();
  own_.restores_.clear();
  own_.pages_.clear();
  own_.committed_ = true;
  together_.clear();
  waits_.clear();
  return own_.unbinds_.reserve_more(pages) && own_.binds_.reserve_more(pages) &&
         own_.restores_.reserve_more(pages) && own_.pages_.reserve_more(pages) &&
         together_.reserve_more(2 * pages) && waits_.reserve_more(std::max<std::size_t>(commits, 1));
}

// ---- under the owner's lock

// What a caller waits for, and every commit that ended before: binds may overtake each other otherwise (V24).
bool VaSpace::set_waits(PendingCommit& commit, std::span<const TimelinePoint> waits) const noexcept {
  commit.waits_.clear();
  if (!commit.waits_.reserve_more(std::max<std::size_t>(waits.size() + heads_.size(), 1))) return false;
  for (const TimelinePoint& point : waits)
    commit.waits_.push_back_reserved(point);
  for (const Head& head : heads_)
    commit.waits_.push_back_reserved(head.point);
  commit.heads_below_ = next_head_;
  commit.last_ = last_;
  return true;
}

bool VaSpace::set_together(PendingCommit& commit) noexcept {
  const BindPlan& plan = *commit.plan_;
  commit.together_.clear();
  if (plan.calls() != 1 || plan.unbinds_.empty()) return true;
  if (!commit.together_.reserve_more(plan.unbinds_.size() + plan.binds_.size())) return false;
  for (const BindOp& op : plan.unbinds())
    commit.together_.push_back_reserved(op);
  for (const BindOp& op : plan.binds())
    commit.together_.push_back_reserved(op);
  return true;
}

// Whether another commit is about some of the same addresses.
bool VaSpace::is_in_flight(const PendingCommit& commit) const noexcept {
  return in_flight_in(commit.begin_, commit.end_).has_value();
}

// Behind a commit that has not ended and is about some of these addresses; rests that are bound anew
// included.
std::optional<Address> VaSpace::in_flight_in(std::uint64_t begin, std::uint64_t end) const noexcept {
  const auto found = std::find_if(in_flight_.begin(), in_flight_.end(), [&](const PendingCommit* other) {
    return other->begin_ < end && begin < other->end_;
  });
  if (found == in_flight_.end()) return std::nullopt;
  return Address{(*found)->end_};
}

// `kept`: changes of the map that there must be room for afterwards. Who takes whole mappings away needs
// none.
Result<void> VaSpace::begin(PendingCommit& commit, BindPlan& plan, std::span<const TimelinePoint> waits,
                            std::size_t kept) noexcept {
  commit.plan_ = &plan;
  commit.begin_ = plan.address_.value;
  commit.end_ = (plan.address_ + plan.size_).value;
  for (const std::span<const BindOp> ops : {plan.unbinds(), plan.binds()}) {
    for (const BindOp& op : ops) {
      commit.begin_ = std::min(commit.begin_, op.address.value);
      commit.end_ = std::max(commit.end_, (op.address + op.size).value);
    }
  }
  if (is_in_flight(commit)) return fail(ErrorCode::wrong_state);
  // Nothing may be missing once the driver has been asked.
  const bool grows = plan.target_ || (plan.left_rest_ && plan.right_rest_);
  commit.changes_ = plan.pages_.empty() ? (grows ? 1U : 0U) : plan.pages_.size();
  commit.tears_ = (plan.in_two_calls_ ? plan.restores_.size() : 0) + (torn_.empty() ? 0U : 1U);
  const bool room = (commit.changes_ == 0 || map_.prepare(commit.changes_ + kept + changes_in_flight_)) &&
                    (commit.tears_ == 0 || torn_.prepare(commit.tears_ + tears_in_flight_)) &&
                    in_flight_.reserve_more(1) && heads_.reserve_more(in_flight_.size() + 1) &&
                    set_waits(commit, waits) && set_together(commit);
  if (!room) return fail(ErrorCode::out_of_host_memory);
  commit.accepted_.reset();
  commit.torn_ = 0;
  in_flight_.push_back_reserved(&commit);
  changes_in_flight_ += commit.changes_;
  tears_in_flight_ += commit.tears_;
  return {};
}

Result<void> VaSpace::begin_map(const MapRequest& request, PendingCommit& commit,
                                std::span<const TimelinePoint> waits) noexcept {
  if (const Result<void> valid = check_request(request); !valid) return valid;
  const Result<void> made = plan(request.address, request.size, request.mapping(), commit.own_);
  return made ? begin(commit, commit.own_, waits, kept_) : made;
}

Result<void> VaSpace::begin_map_back(const MapRequest& request, PendingCommit& commit) noexcept {
  if (const Result<void> valid = check_request(request); !valid) return valid;
  const Result<void> made = plan(request.address, request.size, request.mapping(), commit.own_);
  return made ? begin(commit, commit.own_, {}, 0) : made;
}

Result<void> VaSpace::begin_map_pages(Address address, std::span<const PhysicalId> pages,
                                      PendingCommit& commit, std::span<const TimelinePoint> waits) noexcept {
  if (pages.size() > kMaxBytes / shape_.page) return fail(ErrorCode::invalid_size);
  const Bytes size = shape_.page * pages.size();
  if (const Result<void> valid = check_range(address, size); !valid) return valid;
  const std::optional<MappedRange> there = next(address);
  if (there && there->address < address + size) return fail(ErrorCode::wrong_state);
  BindPlan& made = commit.own_;
  made.start_over(address, size);
  made.space_ = this;
  made.reservation_ = reservation_.handle;
  made.epoch_ = epoch_;
  if (!made.binds_.reserve_more(pages.size()) || !made.pages_.reserve_more(pages.size()))
    return fail(ErrorCode::out_of_host_memory);
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (!pages[i]) return fail(ErrorCode::invalid_argument);
    made.pages_.push_back_reserved(pages[i]);
    made.binds_.push_back_reserved(
        {.address = address + shape_.page * i, .size = shape_.page, .physical = pages[i]});
  }
  return begin(commit, made, waits, kept_);
}

Result<void> VaSpace::begin_unmap(Address address, Bytes size, PendingCommit& commit,
                                  std::span<const TimelinePoint> waits) noexcept {
  if (const Result<void> valid = check_range(address, size); !valid) return valid;
  const Result<void> made = plan(address, size, std::nullopt, commit.own_);
  return made ? begin(commit, commit.own_, waits, kept_) : made;
}

void VaSpace::publish(const BindPlan& plan) noexcept {
  const std::uint64_t begin = plan.address_.value;
  const std::uint64_t end = begin + plan.size_.value;
  // All of it prepared.
  if (plan.target_) {
    (void)map_.assign(begin, end, *plan.target_);
  } else {
    (void)map_.erase(begin, end);
  }
  for (std::size_t i = 0; i < plan.pages_.size(); ++i) {
    const std::uint64_t at = begin + shape_.page.value * i;
    (void)map_.assign(at, at + shape_.page.value, Mapping{plan.pages_[i], {}, Backing::memory});
  }
  if (!torn_.empty()) (void)torn_.erase(begin, end);
  ++epoch_;
}

void VaSpace::note_tears(const PendingCommit& commit) noexcept {
  if (commit.torn_ == 0) return;
  for (const BindOp& op : commit.plan_->restores().first(commit.torn_))
    (void)torn_.assign(op.address.value, (op.address + op.size).value, Torn{});  // prepared
  ++refused_rollbacks_;
  ++epoch_;
}

// After the last call that was accepted, whatever came of the plan that it belonged to; those that it waited
// for are waited for with it.
void VaSpace::note_point(const PendingCommit& commit) noexcept {
  if (!commit.accepted_) return;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < heads_.size(); ++i)
    if (heads_[i].number >= commit.heads_below_) heads_[kept++] = heads_[i];
  while (heads_.size() > kept)
    heads_.pop_back();
  last_ = *commit.accepted_;
  heads_.push_back_reserved({last_, next_head_++});
}

Result<TimelinePoint> VaSpace::end(PendingCommit& commit) noexcept {
  const auto mine = std::find(in_flight_.begin(), in_flight_.end(), &commit);
  *mine = in_flight_.back();
  in_flight_.pop_back();
  changes_in_flight_ -= commit.changes_;
  tears_in_flight_ -= commit.tears_;
  note_point(commit);
  note_tears(commit);
  if (!commit.outcome_) return commit.outcome_;
  publish(*commit.plan_);
  commit.plan_->committed_ = true;
  return commit.outcome_;
}

// ---- without it

Result<TimelinePoint> VaSpace::submit(PendingCommit& commit, std::span<const BindOp> ops) const noexcept {
  const Result<TimelinePoint> point = backend_.bind(ops, commit.waits_.span());
  if (!point) return point;
  commit.accepted_ = *point;
  commit.waits_.clear();
  commit.waits_.push_back_reserved(*point);
  return point;
}

// What the driver refuses in one go it may still take one by one (R7). What it does not take comes to the
// front.
void VaSpace::roll_back(PendingCommit& commit) const noexcept {
  HostArray<BindOp>& restores = commit.plan_->restores_;
  if (submit(commit, restores.span())) return;
  for (const BindOp& op : restores) {
    const BindOp one = op;
    if (restores.size() != 1 && submit(commit, {&one, 1})) continue;
    restores[commit.torn_++] = one;
  }
}

Result<TimelinePoint> VaSpace::ask_driver(PendingCommit& commit) const noexcept {
  const BindPlan& plan = *commit.plan_;
  if (plan.calls() == 0) return commit.last_;
  if (!plan.in_two_calls_) {
    if (plan.unbinds_.empty()) return submit(commit, plan.binds());
    if (plan.binds_.empty()) return submit(commit, plan.unbinds());
    return submit(commit, commit.together_.span());
  }
  const Result<TimelinePoint> unbound = submit(commit, plan.unbinds());
  if (!unbound) return unbound;
  const Result<TimelinePoint> bound = submit(commit, plan.binds());
  if (!bound) roll_back(commit);
  return bound;
}

void VaSpace::carry_out(PendingCommit& commit) const noexcept {
  commit.outcome_ = ask_driver(commit);
}

}  // namespace vaspace
