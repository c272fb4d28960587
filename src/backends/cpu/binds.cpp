// Binds and access: checked and counted in the books first, then shown to the kernel, or neither.
#include "kernel.hpp"
#include "mappings.hpp"
#include "state.hpp"

namespace vaspace::cpu {

// Whether one kernel call can do both.
bool Backend::State::continues(const BindOp& last, const BindOp& next) noexcept {
  if (next.address != last.address + last.size) return false;
  if (last.null != next.null || last.replace != next.replace || last.access != next.access) return false;
  if (!last.physical || !next.physical) return !last.physical && !next.physical;
  const PhysicalObject* a = objects.find(last.physical);
  const PhysicalObject* b = objects.find(next.physical);
  if (a == nullptr || b == nullptr || heap_of(a->memory_type) != heap_of(b->memory_type)) return false;
  return a->place + (last.offset + last.size).value == b->place + next.offset.value;
}

Result<void> Backend::State::plan(std::span<const BindOp> ops) noexcept {
  for (std::size_t first = 0; first < ops.size();) {
    const Address begin = ops[first].address;
    Bytes size = ops[first].size;
    std::size_t next = first + 1;
    for (; next < ops.size() && continues(ops[next - 1], ops[next]); ++next) {
      const auto longer = checked_add(size, ops[next].size);
      if (!longer || reservations.holding(begin, *longer) == nullptr) break;
      size = *longer;
    }
    const Result<void> planned = plan_run(ops.subspan(first, next - first), size);
    if (!planned) return planned;
    first = next;
  }
  return {};
}

// Ops that become one step, of `size` bytes together.
Result<void> Backend::State::plan_run(std::span<const BindOp> run, Bytes size) noexcept {
  const Address begin = run.front().address;
  const ReservationRecord* within = reservations.holding(begin, size);  // null: apply() says what is wrong
  const BindingTree& tree = bindings.tree();
  const std::uint64_t before = within == nullptr ? 0 : meeting_points(tree, *within, begin, begin + size);
  for (const BindOp& op : run) {
    const Result<void> applied = bindings.apply(op, journal);
    if (!applied) return applied;
  }
  const std::uint64_t after = meeting_points(tree, *within, begin, begin + size);
  const Result<void> allowed = account_mappings(before, after);
  if (!allowed) return allowed;

  Step step;
  step.address = begin;
  step.size = size;
  if (run.front().null) step.kind = Step::Kind::null;
  if (run.front().physical) {
    const BindingTree::Interval* bound = tree.containing(begin.value);
    step.kind = Step::Kind::map;
    step.access = run.front().access;
    step.heap = bound->value.heap;
    step.place = bound->value.place;
  }
  return steps.push_back(step) ? Result<void>{} : fail(ErrorCode::out_of_host_memory);
}

Result<void> Backend::State::account_mappings(std::uint64_t before, std::uint64_t after) noexcept {
  const std::uint64_t total = mappings - before + after;
  if (after > before && total > profile.capabilities.max_mappings) return fail(ErrorCode::out_of_mappings);
  mappings = total;
  return {};
}

// Piece by piece and never the whole range at once: what is as it should be must not be split, which the
// kernel may refuse.
int Backend::State::restore(Address address, Bytes size) const noexcept {
  const BindingTree& tree = bindings.tree();
  const std::uint64_t end = (address + size).value;
  int refusal = 0;
  for (std::uint64_t at = address.value; at < end && refusal == 0;) {
    const BindingTree::Interval* bound = tree.containing(at);
    const BindingTree::Interval* next = bound != nullptr ? bound : tree.ceiling(at);
    const std::uint64_t stop = next == nullptr ? end : bound != nullptr ? next->end : next->begin;
    const Bytes length{(stop < end ? stop : end) - at};
    refusal = bound == nullptr ? map_nothing(Address{at}, length, Insist::yes)
                               : restore_bound(Address{at}, length, *bound);
    at += length.value;
  }
  return refusal;
}

int Backend::State::restore_bound(Address at, Bytes length,
                                  const BindingTree::Interval& bound) const noexcept {
  if (bound.value.null()) return map_zeros(at, length, Insist::yes);
  return map_file(at, length, files[bound.value.heap]->descriptor(),
                  bound.value.place + (at.value - bound.begin), bound.value.access, Insist::yes);
}

// What has not changed is left as it is, without a split.
int Backend::State::restore_access(Address address, Bytes size) const noexcept {
  const std::uint64_t end = (address + size).value;
  int refusal = 0;
  for (std::uint64_t at = address.value; at < end && refusal == 0;) {
    const BindingTree::Interval* bound = bindings.tree().containing(at);
    const std::uint64_t stop = bound->end < end ? bound->end : end;
    refusal = protect(Address{at}, Bytes{stop - at}, bound->value.access);
    at = stop;
  }
  return refusal;
}

void Backend::State::mark_used(std::uint64_t value) noexcept {
  for (const BindJournal::Change& change : journal.changes())
    if (!change.interval.value.null()) objects[change.interval.value.object].last_use = value;
  for (const Step& step : steps) {
    reservations.holding(step.address, step.size)->last_use = value;
    if (step.kind == Step::Kind::copy) reservations.holding(step.source, step.size)->last_use = value;
  }
}

Result<TimelinePoint> Backend::bind(std::span<const BindOp> ops,
                                    std::span<const TimelinePoint> waits) noexcept {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  if (!s.profile.capabilities.bind) return fail(ErrorCode::not_supported);
  const Result<void> begun = s.begin_batch(waits);
  if (!begun) return fail(begun.error());

  const std::uint64_t mappings = s.mappings;
  const Result<void> planned = s.plan(ops);
  std::size_t shown = 0;
  const Result<TimelinePoint> point = planned ? s.submit(shown) : fail(planned.error());
  if (point) return point;
  s.bindings.undo(s.journal);
  s.mappings = mappings;
  return s.take_back(shown) ? point : fail(ErrorCode::device_lost, s.lost);
}

Result<void> Backend::set_access(Address address, Bytes size, Access access) noexcept {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  if (!s.profile.capabilities.set_access) return fail(ErrorCode::not_supported);
  const Result<void> begun = s.begin_batch({});
  if (!begun) return begun;
  const Result<ReservationRecord*> within = s.usable_now(address, size, Access::none);
  if (!within) return fail(within.error());

  const std::uint64_t mappings = s.mappings;
  const std::uint64_t before = meeting_points(s.bindings.tree(), **within, address, address + size);
  Result<void> changed = s.bindings.set_access(address, size, access, s.journal);
  if (changed) {
    const std::uint64_t after = meeting_points(s.bindings.tree(), **within, address, address + size);
    changed = s.account_mappings(before, after);
  }
  const int refusal = changed ? protect(address, size, access) : 0;
  if (changed && refusal == 0) return {};
  s.bindings.undo(s.journal);
  s.mappings = mappings;
  if (!changed) return changed;
  s.lost = s.restore_access(address, size);
  return fail(s.lost != 0 ? Error{ErrorCode::device_lost, s.lost} : mapping_error(refusal));
}

}  // namespace vaspace::cpu
