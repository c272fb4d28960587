// Binds and access: checked and written into the books first, then carried out by the driver, or neither
// (C16).
#include "state.hpp"

namespace vaspace::cuda {
namespace {

CUmemAccess_flags flags_of(Access access) noexcept {
  switch (access) {
    case Access::none:
      return CU_MEM_ACCESS_FLAGS_PROT_NONE;
    case Access::read:
      return CU_MEM_ACCESS_FLAGS_PROT_READ;
    case Access::read_write:
      break;
  }
  return CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
}

// A mapping lies in one reservation of the driver's (C4).
bool crosses_seam(const Backend::State& s, const BindOp& op) noexcept {
  const auto* part = s.parts.containing(op.address.value);
  return part != nullptr && part->end - op.address.value < op.size.value &&
         s.parts.containing(part->end) != nullptr;
}

Result<void> plan(Backend::State& s, std::span<const BindOp> ops) noexcept {
  for (const BindOp& op : ops) {
    if (op.null || op.replace) return fail(ErrorCode::not_supported);
    const bool binds = static_cast<bool>(op.physical);
    const Result<void> applied = s.bindings.apply(op, s.journal);
    if (!applied) return applied;
    if (binds && crosses_seam(s, op)) return fail(ErrorCode::not_supported);
  }
  return {};
}

}  // namespace

CUresult Backend::State::map(const BindingTree::Interval& bound) noexcept {
  return driver.map(bound.begin, bound.length(), 0, objects[bound.value.object].place, 0);
}

// Gives everybody in `reach` the access. The range is bound throughout (C6); a call per driver's reservation.
CUresult Backend::State::allow(std::uint64_t begin, std::uint64_t end, Access access) noexcept {
  for (CUmemAccessDesc& who : reach)
    who.flags = flags_of(access);
  while (begin < end) {
    const auto* part = parts.containing(begin);
    const std::uint64_t stop = part->end < end ? part->end : end;
    const CUresult allowed = driver.set_access(begin, stop - begin, reach.data(), reach.size());
    if (allowed != CUDA_SUCCESS) return allowed;
    begin = stop;
  }
  return CUDA_SUCCESS;
}

// Changes in order; neighbours that were mapped one after the other get access in one call (C5).
Result<void> Backend::State::carry_out() noexcept {
  const auto changes = journal.changes();
  std::size_t run = 0;   // first of the mappings that wait for their access
  std::size_t done = 0;  // changes that the driver has made
  CUresult refused = CUDA_SUCCESS;
  const auto give_access = [&](std::size_t end) noexcept {
    if (run == end) return CUDA_SUCCESS;
    const Access access = changes[run].interval.value.access;
    const CUresult allowed = allow(changes[run].interval.begin, changes[end - 1].interval.end, access);
    run = end;
    return allowed;
  };
  const auto continues_run = [&](std::size_t i) noexcept {
    const auto& last = changes[i - 1].interval;
    const auto& next = changes[i].interval;
    return changes[i].added && next.begin == last.end && next.value.access == last.value.access;
  };
  for (std::size_t i = 0; i < changes.size() && refused == CUDA_SUCCESS; ++i) {
    if (run < i && !continues_run(i)) refused = give_access(i);
    if (refused != CUDA_SUCCESS) break;
    const auto& interval = changes[i].interval;
    refused = changes[i].added ? map(interval) : driver.unmap(interval.begin, interval.length());
    if (refused == CUDA_SUCCESS) done = i + 1;
    if (!changes[i].added) run = i + 1;
  }
  if (refused == CUDA_SUCCESS) refused = give_access(changes.size());
  if (refused == CUDA_SUCCESS) return {};
  take_back(done);
  if (lost != CUDA_SUCCESS) return fail(ErrorCode::device_lost, static_cast<std::int32_t>(lost));
  return fail(error_of(refused));
}

// Newest first. A step back that is refused is asked for again: only who is refused for good is lost.
void Backend::State::take_back(std::size_t count) noexcept {
  const auto changes = journal.changes();
  for (std::size_t i = count; i != 0 && lost == CUDA_SUCCESS; --i) {
    const auto& interval = changes[i - 1].interval;
    if (changes[i - 1].added) {
      lost = insist([&]() noexcept { return driver.unmap(interval.begin, interval.length()); });
      continue;
    }
    lost = insist([&]() noexcept { return map(interval); });
    if (lost != CUDA_SUCCESS) continue;
    lost = insist([&]() noexcept { return allow(interval.begin, interval.end, interval.value.access); });
  }
}

Result<TimelinePoint> Backend::bind(std::span<const BindOp> ops,
                                    std::span<const TimelinePoint> waits) noexcept {
  State& s = *state_;
  for (const TimelinePoint& point : waits)
    if (Result<void> waited = wait(point, kForever); !waited) return fail(waited.error());
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return fail(entered.error());
  std::unique_lock lock(s.mutex);
  if (Result<void> over = s.await_copies(ops, lock); !over) return fail(over.error());
  if (Result<void> alive = s.alive(); !alive) return fail(alive.error());
  s.journal.clear();
  Result<void> bound = plan(s, ops);
  if (bound) bound = s.carry_out();
  if (bound) return TimelinePoint{};
  s.bindings.undo(s.journal);
  return fail(bound.error());
}

Result<ReservationRecord*> Backend::State::usable(Address address, Bytes size, Access access) noexcept {
  if (size.value == 0) return fail(ErrorCode::invalid_argument);
  ReservationRecord* record = reservations.holding(address, size);
  if (record == nullptr) return fail(ErrorCode::invalid_argument);
  const std::uint64_t end = (address + size).value;
  for (std::uint64_t at = address.value; at < end;) {
    const BindingTree::Interval* bound = bindings.tree().containing(at);
    if (bound == nullptr || bound->value.access < access) return fail(ErrorCode::wrong_state);
    at = bound->end;
  }
  return record;
}

// Whole mappings only. What the driver has changed before it refuses gets back what it had.
Result<void> Backend::set_access(Address address, Bytes size, Access access) noexcept {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (Result<void> alive = s.alive(); !alive) return alive;
  if (Result<ReservationRecord*> record = s.usable(address, size, Access::none); !record)
    return fail(record.error());
  const BindingTree& tree = s.bindings.tree();
  const std::uint64_t end = (address + size).value;
  if (tree.containing(address.value)->begin != address.value || tree.containing(end - 1)->end != end)
    return fail(ErrorCode::not_supported);
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return entered;
  s.journal.clear();
  Result<void> changed = s.bindings.set_access(address, size, access, s.journal);
  const CUresult allowed = changed ? s.allow(address.value, end, access) : CUDA_SUCCESS;
  if (changed && allowed == CUDA_SUCCESS) return {};
  s.bindings.undo(s.journal);
  if (!changed) return changed;
  for (std::uint64_t at = address.value; at < end && s.lost == CUDA_SUCCESS;) {
    const BindingTree::Interval bound = *tree.containing(at);
    s.lost = insist([&]() noexcept { return s.allow(bound.begin, bound.end, bound.value.access); });
    at = bound.end;
  }
  return fail(s.lost == CUDA_SUCCESS ? error_of(allowed)
                                     : Error{ErrorCode::device_lost, static_cast<std::int32_t>(s.lost)});
}

}  // namespace vaspace::cuda
