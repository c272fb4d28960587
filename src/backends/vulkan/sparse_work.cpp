// Binds and copies: checked against what is bound, then submitted to the chain.
#include <algorithm>

#include "sparse_state.hpp"

namespace vaspace::vulkan {

namespace {

using Lock = std::lock_guard<std::mutex>;

bool overlap(Address a, Address b, Bytes size) noexcept {
  return a < b ? b - a < size : a - b < size;
}

}  // namespace

Result<void> SparseBackend::State::apply(std::span<const BindOp> batch) noexcept {
  journal.clear();
  ops.clear();
  if (!ops.reserve(batch.size())) return fail(ErrorCode::out_of_host_memory);
  // Nothing is what the driver has behind what is not bound, so that a range may be unbound twice in a row:
  // not in one batch (V23).
  const bool any_null = std::any_of(batch.begin(), batch.end(), [](const BindOp& op) { return op.null; });
  const Lock lock(mutex);
  for (const BindOp& op : batch) {
    const Result<void> applied = bindings.apply(op, journal);
    if (!applied) {
      bindings.undo(journal);
      return applied;
    }
    if (op.null) continue;
    ops.push_back_reserved(sparse_op(op));
    ops.back().apart = ops.back().apart || any_null;
  }
  return {};
}

SparseOp SparseBackend::State::sparse_op(const BindOp& op) noexcept {
  const std::uint32_t slot = slot_of(op.address);
  SparseOp sparse;
  sparse.buffer = buffers[slot].buffer;
  sparse.bind.resourceOffset = (op.address - address_of(slot)).value;
  sparse.bind.size = op.size.value;
  sparse.apart = op.replace;
  if (!op.physical) return sparse;
  const std::uint64_t place = objects.find(op.physical)->place + op.offset.value;
  sparse.bind.memory = (VkDeviceMemory)pages[PageMemory::slot_of(place)].memory;
  sparse.bind.memoryOffset = PageMemory::offset_of(place).value;
  return sparse;
}

// V27: who takes back a page or a reservation compares with this.
void SparseBackend::State::note_use(std::span<const BindOp> batch, std::uint64_t value) noexcept {
  const Lock lock(mutex);
  for (const BindOp& op : batch) {
    ReservationRecord* record = reservations.holding(op.address, op.size);
    if (record != nullptr) record->last_use = value;
  }
  for (const BindJournal::Change& change : journal.changes())
    if (!change.interval.value.null()) objects[change.interval.value.object].last_use = value;
}

Result<TimelinePoint> SparseBackend::bind(std::span<const BindOp> ops,
                                          std::span<const TimelinePoint> waits) noexcept {
  State& state = *state_;
  if (!state.profile.capabilities.bind) return fail(ErrorCode::not_supported);
  const Lock one_at_a_time(state.submitting);
  if (ops.empty() && waits.empty()) return TimelinePoint{TimelineId{}, state.chain.last()};
  if (const auto set = state.chain.set_waits(waits, state.timelines); !set) return fail(set.error());
  if (const auto applied = state.apply(ops); !applied) return fail(applied.error());
  const auto value = state.chain.submit_binds(state.ops.span());
  if (!value) {
    const Lock lock(state.mutex);
    state.bindings.undo(state.journal);
    return fail(value.error());
  }
  state.note_use(ops, *value);
  return TimelinePoint{TimelineId{}, *value};
}

Result<SparseChain::Copy> SparseBackend::State::check_copy(const CopyOp& op) noexcept {
  if (op.size == Bytes{} || overlap(op.source, op.destination, op.size))
    return fail(ErrorCode::invalid_argument);
  const ReservationRecord* source = reservations.holding(op.source, op.size);
  const ReservationRecord* destination = reservations.holding(op.destination, op.size);
  if (source == nullptr || destination == nullptr) return fail(ErrorCode::invalid_argument);
  // V28: what is read is bound; where there are no pages everything is (V20).
  if (!whole() && (!bindings.all_bound(op.source, op.size) || !bindings.all_bound(op.destination, op.size)))
    return fail(ErrorCode::wrong_state);
  SparseChain::Copy copy;
  copy.source = buffers[slot_of(op.source)].buffer;
  copy.destination = buffers[slot_of(op.destination)].buffer;
  copy.region = {(op.source - source->address).value, (op.destination - destination->address).value,
                 op.size.value};
  return copy;
}

Result<TimelinePoint> SparseBackend::copy(std::span<const CopyOp> ops,
                                          std::span<const TimelinePoint> waits) noexcept {
  State& state = *state_;
  if (!state.profile.capabilities.copy) return fail(ErrorCode::not_supported);
  const Lock one_at_a_time(state.submitting);
  if (ops.empty() && waits.empty()) return TimelinePoint{TimelineId{}, state.chain.last()};
  if (const auto set = state.chain.set_waits(waits, state.timelines); !set) return fail(set.error());
  state.copies.clear();
  if (!state.copies.reserve(ops.size())) return fail(ErrorCode::out_of_host_memory);
  {
    const Lock lock(state.mutex);
    for (const CopyOp& op : ops) {
      const auto copy = state.check_copy(op);
      if (!copy) return fail(copy.error());
      state.copies.push_back_reserved(*copy);
    }
  }
  const auto value = state.chain.submit_copies(state.copies.span());
  if (!value) return fail(value.error());
  const Lock lock(state.mutex);
  for (const CopyOp& op : ops) {
    state.reservations.holding(op.source, op.size)->last_use = *value;
    state.reservations.holding(op.destination, op.size)->last_use = *value;
  }
  return TimelinePoint{TimelineId{}, *value};
}

}  // namespace vaspace::vulkan
