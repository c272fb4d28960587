// Pointers for the host. The memory is addressable as it is; what a device would check is checked.
#include "kernel.hpp"
#include "state.hpp"

namespace vaspace::cpu {
namespace {

// Whether all memory behind a range that is bound throughout is of types that the host sees (V11).
bool host_visible(Backend::State& s, const ReservationRecord& record, Address address, Bytes size) noexcept {
  const auto& types = s.profile.memory_types;
  if (s.profile.capabilities.reserve_commits) return types[record.memory_type].host_visible;
  const std::uint64_t end = (address + size).value;
  for (std::uint64_t at = address.value; at < end;) {
    const BindingTree::Interval* bound = s.bindings.tree().containing(at);
    if (!bound->value.null() && !types[s.objects[bound->value.object].memory_type].host_visible) return false;
    at = bound->end;
  }
  return true;
}

// The reservation around a range. Errors: invalid_size, unknown_address, invalid_argument.
Result<ReservationRecord*> around(Backend::State& s, Address address, Bytes size) noexcept {
  if (size.value == 0) return fail(ErrorCode::invalid_size);
  if (s.reservations.holding(address, Bytes{1}) == nullptr) return fail(ErrorCode::unknown_address);
  ReservationRecord* record = s.reservations.holding(address, size);
  if (record == nullptr) return fail(ErrorCode::invalid_argument);
  return record;
}

// The reservation of a range that the host may look at now.
Result<ReservationRecord*> visible(Backend::State& s, Address address, Bytes size) noexcept {
  const Result<void> advanced = s.advance();
  if (!advanced) return fail(advanced.error());
  Result<ReservationRecord*> record = around(s, address, size);
  if (!record) return record;
  record = s.usable_now(address, size, Access::none);
  if (record && !host_visible(s, **record, address, size)) return fail(ErrorCode::not_supported);
  return record;
}

// What flush() and invalidate() check: the memory is coherent, so there is nothing to do (V12).
Result<void> check_mapped(Backend::State& s, Address address, Bytes size) noexcept {
  const std::lock_guard lock(s.mutex);
  const Result<ReservationRecord*> record = visible(s, address, size);
  if (!record) return fail(record.error());
  if ((*record)->maps == 0) return fail(ErrorCode::wrong_state);
  return {};
}

}  // namespace

Result<std::byte*> Backend::map(Address address, Bytes size) noexcept {
  const std::lock_guard lock(state_->mutex);
  const Result<ReservationRecord*> record = visible(*state_, address, size);
  if (!record) return fail(record.error());
  ++(*record)->maps;
  return pointer(address);
}

// What was mapped may have been unbound since.
Result<void> Backend::unmap(Address address, Bytes size) noexcept {
  const std::lock_guard lock(state_->mutex);
  const Result<ReservationRecord*> record = around(*state_, address, size);
  if (!record) return fail(record.error());
  if ((*record)->maps == 0) return fail(ErrorCode::wrong_state);
  --(*record)->maps;
  return {};
}

Result<void> Backend::flush(Address address, Bytes size) noexcept {
  return check_mapped(*state_, address, size);
}

Result<void> Backend::invalidate(Address address, Bytes size) noexcept {
  return check_mapped(*state_, address, size);
}

}  // namespace vaspace::cpu
