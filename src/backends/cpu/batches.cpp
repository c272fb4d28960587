// How a batch of steps is carried out: now, or when its time has come. And copies, which change no books.
#include <cstring>

#include "kernel.hpp"
#include "state.hpp"

namespace vaspace::cpu {

int Backend::State::carry_out(const Step& step) const noexcept {
  switch (step.kind) {
    case Step::Kind::map:
      return map_file(step.address, step.size, files[step.heap]->descriptor(), step.place, step.access);
    case Step::Kind::null:
      return map_zeros(step.address, step.size);
    case Step::Kind::unmap:
      return map_nothing(step.address, step.size);
    case Step::Kind::copy:
      std::memmove(pointer(step.address), pointer(step.source), step.size.value);
      return 0;
  }
  return 0;
}

// Batches are done in order, so an answered point is nothing to wait for.
Result<void> Backend::State::begin_batch(std::span<const TimelinePoint> waits) noexcept {
  const Result<void> advanced = advance();
  if (!advanced) return advanced;
  for (const TimelinePoint& point : waits)
    if (!answered(point)) return fail(ErrorCode::invalid_argument);
  journal.clear();
  steps.clear();
  return {};
}

Result<TimelinePoint> Backend::State::submit(std::size_t& shown) noexcept {
  if (latency_ns == 0) {
    for (; shown < steps.size(); ++shown) {
      const int refusal = carry_out(steps[shown]);
      if (refusal != 0) return fail(mapping_error(refusal));
    }
    done = ++submitted;
    return TimelinePoint{TimelineId{}, submitted};
  }
  if (!later.reserve(steps.size())) return fail(ErrorCode::out_of_host_memory);
  ++submitted;
  mark_used(submitted);
  const std::uint64_t due = now_ns() + latency_ns;
  for (const Step& step : steps)
    later.push({step, submitted, due});
  done = later.empty() ? submitted : later.front().value - 1;
  return TimelinePoint{TimelineId{}, submitted};
}

// Newest first, so that the kernel passes through mapping counts that it had before.
bool Backend::State::take_back(std::size_t shown) noexcept {
  for (; shown != 0 && lost == 0; --shown)
    lost = restore(steps[shown - 1].address, steps[shown - 1].size);
  return lost == 0;
}

Result<ReservationRecord*> Backend::State::usable(Address address, Bytes size, Access access) noexcept {
  if (size.value == 0) return fail(ErrorCode::invalid_argument);
  ReservationRecord* record = reservations.holding(address, size);
  if (record == nullptr) return fail(ErrorCode::invalid_argument);
  if (profile.capabilities.reserve_commits) return record;
  const std::uint64_t end = (address + size).value;
  for (std::uint64_t at = address.value; at < end;) {
    const BindingTree::Interval* bound = bindings.tree().containing(at);
    if (bound == nullptr || bound->value.access < access) return fail(ErrorCode::wrong_state);
    at = bound->end;
  }
  return record;
}

Result<ReservationRecord*> Backend::State::usable_now(Address address, Bytes size, Access access) noexcept {
  const Result<ReservationRecord*> record = usable(address, size, access);
  if (record && later.concerns(address, size)) return fail(ErrorCode::wrong_state);
  return record;
}

Result<void> Backend::State::plan(std::span<const CopyOp> ops) noexcept {
  if (!steps.reserve(ops.size())) return fail(ErrorCode::out_of_host_memory);
  for (const CopyOp& op : ops) {
    const Result<ReservationRecord*> source = usable(op.source, op.size, Access::read);
    if (!source) return fail(source.error());
    const Result<ReservationRecord*> destination = usable(op.destination, op.size, Access::read_write);
    if (!destination) return fail(destination.error());
    const bool overlap = op.source < op.destination + op.size && op.destination < op.source + op.size;
    if (overlap) return fail(ErrorCode::invalid_argument);
    Step step;
    step.kind = Step::Kind::copy;
    step.address = op.destination;
    step.size = op.size;
    step.source = op.source;
    steps.push_back_reserved(step);
  }
  return {};
}

// What is copied at once is copied outside the lock: its ranges are the caller's to keep as they are.
Result<TimelinePoint> Backend::copy(std::span<const CopyOp> ops,
                                    std::span<const TimelinePoint> waits) noexcept {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  const Result<void> begun = s.begin_batch(waits);
  if (!begun) return fail(begun.error());
  const Result<void> planned = s.plan(ops);
  if (!planned) return fail(planned.error());
  if (s.latency_ns == 0) {
    lock.unlock();
    for (const CopyOp& op : ops)
      std::memmove(pointer(op.destination), pointer(op.source), op.size.value);
    lock.lock();
    s.steps.clear();
  }
  std::size_t shown = 0;
  return s.submit(shown);
}

}  // namespace vaspace::cpu
