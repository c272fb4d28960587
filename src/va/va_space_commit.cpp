// Plans, and commits in one part.
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
  made.pages_.clear();
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

Result<TimelinePoint> VaSpace::finish(const Result<void>& begun, PendingCommit& pending) noexcept {
  if (!begun) return fail(begun.error());
  carry_out(pending);
  return end(pending);
}

Result<TimelinePoint> VaSpace::commit(BindPlan& made, std::span<const TimelinePoint> waits) noexcept {
  const Result<void> valid = check_plan(made);
  if (!valid) return fail(valid.error());
  return finish(begin(scratch_, made, waits, kept_), scratch_);
}

Result<TimelinePoint> VaSpace::map(const MapRequest& request, std::span<const TimelinePoint> waits) noexcept {
  return finish(begin_map(request, scratch_, waits), scratch_);
}

Result<TimelinePoint> VaSpace::map_back(const MapRequest& request) noexcept {
  return finish(begin_map_back(request, scratch_), scratch_);
}

Result<TimelinePoint> VaSpace::map_pages(Address address, std::span<const PhysicalId> pages,
                                         std::span<const TimelinePoint> waits) noexcept {
  return finish(begin_map_pages(address, pages, scratch_, waits), scratch_);
}

Result<TimelinePoint> VaSpace::unmap(Address address, Bytes size,
                                     std::span<const TimelinePoint> waits) noexcept {
  return finish(begin_unmap(address, size, scratch_, waits), scratch_);
}

// Points that nothing waited for yet are of commits that were under way together: no more than those are.
bool VaSpace::keep_for_undo(std::size_t undos, std::size_t pages, std::size_t commits) noexcept {
  if (!scratch_.keep(pages, commits) || !in_flight_.reserve(commits) || !heads_.reserve(2 * commits))
    return false;
  const bool more = undos > kept_;
  if (more && !map_.prepare(undos + changes_in_flight_)) return false;
  kept_ = std::max(kept_, undos);
  return true;
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
    BindPlan& own = scratch_.own_;
    const Result<void> made = plan(Address{from}, Bytes{end - from}, mapping, own);
    if (!made || !finish(begin(scratch_, own, {}, kept_), scratch_)) left += Bytes{end - from};
    at = end;
  }
}

}  // namespace vaspace
