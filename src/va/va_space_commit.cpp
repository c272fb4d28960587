// Plans and their commits.
#include <algorithm>
#include <utility>

#include "vaspace/va/va_space.hpp"

namespace vaspace {

Result<void> VaSpace::check_range(Address address, Bytes size) const noexcept {
  if (size.value == 0 || size.value > kMaxBytes.value - address.value) return fail(ErrorCode::invalid_size);
  if (address < begin() || address + size > end()) return fail(ErrorCode::unknown_address);
  const Alignment page{shape_.page};
  if (!is_aligned(address, page) || !is_aligned(size, page)) return fail(ErrorCode::invalid_argument);
  return {};
}

Result<void> VaSpace::check_request(const MapRequest& request) const noexcept {
  const Result<void> range = check_range(request.address, request.size);
  if (!range) return range;
  const Mapping mapping = request.mapping();
  const bool object = static_cast<bool>(request.physical);
  if (mapping.has_memory() != object) return fail(ErrorCode::invalid_argument);
  if (!object && request.offset.value != 0) return fail(ErrorCode::invalid_argument);
  if (!is_aligned(request.offset, Alignment{shape_.page})) return fail(ErrorCode::invalid_argument);
  if (!checked_add(request.offset, request.size)) return fail(ErrorCode::invalid_size);
  const Capabilities& can = backend_.profile().capabilities;
  if (mapping.backing == Backing::null && !can.null_binds) return fail(ErrorCode::not_supported);
  if (mapping.backing == Backing::read_only_memory && !can.set_access) return fail(ErrorCode::not_supported);
  return {};
}

// Into a plan that may have been another before.
Result<void> VaSpace::plan(Address address, Bytes size, const std::optional<Mapping>& target,
                           BindPlan& made) const noexcept {
  made.space_ = this;
  made.reservation_ = reservation_.handle;
  made.epoch_ = epoch_;
  made.committed_ = false;
  made.left_rest_.reset();
  made.right_rest_.reset();
  const Planner planner(map_, torn_, shape_);
  return planner.plan(address.value, (address + size).value, target, made);
}

Result<BindPlan> VaSpace::plan_map(const MapRequest& request) const noexcept {
  const Result<void> valid = check_request(request);
  if (!valid) return fail(valid.error());
  BindPlan made(host_);
  const Result<void> planned = plan(request.address, request.size, request.mapping(), made);
  if (!planned) return fail(planned.error());
  return made;
}

Result<BindPlan> VaSpace::plan_unmap(Address address, Bytes size) const noexcept {
  const Result<void> valid = check_range(address, size);
  if (!valid) return fail(valid.error());
  BindPlan made(host_);
  const Result<void> planned = plan(address, size, std::nullopt, made);
  if (!planned) return fail(planned.error());
  return made;
}

Result<void> VaSpace::check_plan(const BindPlan& plan) const noexcept {
  const bool own = plan.space_ == this && plan.reservation_ == reservation_.handle;
  if (!own) return fail(ErrorCode::unknown_handle);
  if (plan.committed_) return fail(ErrorCode::wrong_state);
  if (plan.epoch_ != epoch_) return fail(ErrorCode::stale_plan);
  return {};
}

// What a caller waits for, and every commit before: binds may overtake each other otherwise (V24).
bool VaSpace::set_waits(std::span<const TimelinePoint> waits) noexcept {
  waits_.clear();
  if (!waits_.reserve_more(waits.size() + 1)) return false;
  for (const TimelinePoint& point : waits)
    waits_.push_back_reserved(point);
  if (last_ != TimelinePoint{}) waits_.push_back_reserved(last_);
  return true;
}

// After the last call that was accepted, whatever came of the plan that it belonged to.
Result<TimelinePoint> VaSpace::submit(std::span<const BindOp> ops) noexcept {
  const Result<TimelinePoint> point = backend_.bind(ops, waits_.span());
  if (!point) return point;
  last_ = *point;
  waits_.clear();
  waits_.push_back_reserved(last_);
  return point;
}

Result<TimelinePoint> VaSpace::carry_out(const BindPlan& plan) noexcept {
  if (plan.calls() == 0) return last_;
  if (!plan.in_two_calls_) {
    if (plan.unbinds_.empty()) return submit(plan.binds());
    if (plan.binds_.empty()) return submit(plan.unbinds());
    return submit(together_.span());
  }
  const Result<TimelinePoint> unbound = submit(plan.unbinds());
  if (!unbound) return unbound;
  const Result<TimelinePoint> bound = submit(plan.binds());
  if (!bound) roll_back(plan.restores());
  return bound;
}

// What the driver refuses in one go it may still take one by one (R7).
void VaSpace::roll_back(std::span<const BindOp> restores) noexcept {
  if (submit(restores)) return;
  bool torn = false;
  for (const BindOp& op : restores) {
    if (restores.size() != 1 && submit({&op, 1})) continue;
    (void)torn_.assign(op.address.value, (op.address + op.size).value, Torn{});  // prepared
    torn = true;
  }
  if (!torn) return;
  ++refused_rollbacks_;
  ++epoch_;
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
  if (!torn_.empty()) (void)torn_.erase(begin, end);
  ++epoch_;
}

Result<TimelinePoint> VaSpace::commit(BindPlan& plan, std::span<const TimelinePoint> waits) noexcept {
  return commit(plan, waits, kept_);
}

// `kept`: changes of the map that there must be room for afterwards. Who takes whole mappings away needs
// none.
Result<TimelinePoint> VaSpace::commit(BindPlan& plan, std::span<const TimelinePoint> waits,
                                      std::size_t kept) noexcept {
  const Result<void> valid = check_plan(plan);
  if (!valid) return fail(valid.error());
  // Nothing may be missing once the driver has been asked.
  const std::size_t torn = plan.in_two_calls_ ? plan.restores_.size() : 0;
  const bool grows = plan.target_ || (plan.left_rest_ && plan.right_rest_);
  bool room = (!grows || map_.prepare(1 + kept)) && torn_.prepare(torn + (torn_.empty() ? 0U : 1U)) &&
              set_waits(waits);
  together_.clear();
  if (room && plan.calls() == 1 && !plan.unbinds_.empty()) {
    room = together_.reserve_more(plan.unbinds_.size() + plan.binds_.size());
    for (std::size_t i = 0; room && i < plan.unbinds_.size(); ++i)
      together_.push_back_reserved(plan.unbinds_[i]);
    for (std::size_t i = 0; room && i < plan.binds_.size(); ++i)
      together_.push_back_reserved(plan.binds_[i]);
  }
  if (!room) return fail(ErrorCode::out_of_host_memory);

  const Result<TimelinePoint> point = carry_out(plan);
  if (!point) return point;
  publish(plan);
  plan.committed_ = true;
  return point;
}

Result<TimelinePoint> VaSpace::map(const MapRequest& request, std::span<const TimelinePoint> waits) noexcept {
  const Result<void> valid = check_request(request);
  if (!valid) return fail(valid.error());
  const Result<void> made = plan(request.address, request.size, request.mapping(), scratch_);
  if (!made) return fail(made.error());
  return commit(scratch_, waits, kept_);
}

Result<TimelinePoint> VaSpace::map_back(const MapRequest& request) noexcept {
  const Result<void> valid = check_request(request);
  if (!valid) return fail(valid.error());
  const Result<void> made = plan(request.address, request.size, request.mapping(), scratch_);
  if (!made) return fail(made.error());
  return commit(scratch_, {}, 0);
}

bool VaSpace::keep_for_undo(std::size_t undos, std::size_t pages) noexcept {
  scratch_.unbinds_.clear();
  scratch_.binds_.clear();
  scratch_.restores_.clear();
  scratch_.committed_ = true;
  together_.clear();
  waits_.clear();
  const bool room = scratch_.unbinds_.reserve_more(pages) && scratch_.binds_.reserve_more(pages) &&
                    scratch_.restores_.reserve_more(pages) && together_.reserve_more(2 * pages) &&
                    waits_.reserve_more(1);
  if (!room || (undos > kept_ && !map_.prepare(undos))) return false;
  kept_ = std::max(kept_, undos);
  return true;
}

Result<TimelinePoint> VaSpace::unmap(Address address, Bytes size,
                                     std::span<const TimelinePoint> waits) noexcept {
  const Result<void> valid = check_range(address, size);
  if (!valid) return fail(valid.error());
  const Result<void> made = plan(address, size, std::nullopt, scratch_);
  if (!made) return fail(made.error());
  return commit(scratch_, waits, kept_);
}

// Each torn mapping as if it were mapped anew where it is. A plan binds what is torn of it and nothing else,
// so what becomes of the others does not matter.
Bytes VaSpace::repair() noexcept {
  Bytes left{};
  for (std::uint64_t at = begin().value;;) {
    const auto found = torn_.lower_bound(at);
    if (found == torn_.end()) return left;
    const TornMap::Entry tear = *found;
    const std::uint64_t from = tear.begin > at ? tear.begin : at;
    const auto mapped = map_.find(from);
    const std::uint64_t end = mapped->end < tear.end ? mapped->end : tear.end;
    const Mapping mapping = mapped->value.advanced(Bytes{from - mapped->begin});
    const Result<void> made = plan(Address{from}, Bytes{end - from}, mapping, scratch_);
    if (!made || !commit(scratch_)) left += Bytes{end - from};
    at = end;
  }
}

}  // namespace vaspace
