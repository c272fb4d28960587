// Address space, and the memory that comes with it where reserving commits.
#include "vaspace/device/profile_checks.hpp"

#include "kernel.hpp"
#include "state.hpp"

namespace vaspace::cpu {
namespace {

Result<void> commit(HeapFile& file, Address address, Bytes size) noexcept {
  const std::uint64_t home = address.value;  // free: nothing else takes offsets where reserving commits
  const int refusal = file.take_memory(home, size);
  if (refusal != 0) return fail(ErrorCode::out_of_device_memory, refusal);
  const int unmapped = map_file(address, size, file.descriptor(), home, Access::read_write);
  if (unmapped == 0) return {};
  (void)file.give_memory(home, size);
  return fail(mapping_error(unmapped));
}

// Address space, committed where there is a `file`.
Result<Address> obtain(const ReservationRequest& request, Alignment alignment, HeapFile* file) noexcept {
  const Result<Address> address = reserve_addresses(request.size, alignment, request.hint);
  if (!address || file == nullptr) return address;
  const Result<void> committed = commit(*file, *address, request.size);
  if (committed) return address;
  (void)release_addresses(*address, request.size);
  return fail(committed.error());
}

// What reserve() sets aside before it asks the kernel, and what it gives back if that refuses.
struct Claim {
  Bytes memory{};
  std::uint32_t heap = 0;

  Result<void> take(Backend::State& s) const noexcept {
    const Capabilities& can = s.profile.capabilities;
    if (s.reservations_held >= can.max_reservations) return fail(ErrorCode::out_of_address_space);
    if (s.mappings >= can.max_mappings) return fail(ErrorCode::out_of_mappings);
    if (memory > s.unused(heap)) return fail(ErrorCode::out_of_device_memory);
    ++s.reservations_held;
    ++s.mappings;
    s.used[heap] += memory;
    return {};
  }
  void give_back(Backend::State& s) const noexcept {
    --s.reservations_held;
    --s.mappings;
    s.used[heap] -= memory;
  }
};

}  // namespace

Result<Reservation> Backend::reserve(const ReservationRequest& request) noexcept {
  State& s = *state_;
  const Result<Alignment> alignment = check_reservation_request(s.profile, request);
  if (!alignment) return fail(alignment.error());
  const bool commits = s.profile.capabilities.reserve_commits;
  const std::uint32_t heap = commits ? s.heap_of(request.memory_type) : 0;
  const Claim claim{commits ? request.size : Bytes{}, heap};
  {
    const std::lock_guard lock(s.mutex);
    const Result<void> claimed = claim.take(s);
    if (!claimed) return fail(claimed.error());
  }
  HeapFile* file = commits ? s.files[heap].get() : nullptr;
  const Result<Address> address = obtain(request, *alignment, file);
  const std::lock_guard lock(s.mutex);
  if (address && s.reservations.reserve_one())
    return s.reservations.add(*address, request.size, request.memory_type);
  claim.give_back(s);
  if (!address) return fail(address.error());
  if (commits) (void)file->give_memory(address->value, request.size);
  (void)release_addresses(*address, request.size);
  return fail(ErrorCode::out_of_host_memory);
}

Result<void> Backend::release(const Reservation& reservation) noexcept {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  const Result<void> advanced = s.advance();
  if (!advanced) return advanced;
  const ReservationRecord* record = s.reservations.find(reservation);
  if (record == nullptr) return fail(ErrorCode::invalid_argument);
  const bool busy = record->maps != 0 || record->last_use > s.done;
  if (busy || s.bindings.any_bound(record->address, record->size)) return fail(ErrorCode::wrong_state);

  // The memory goes first: once the addresses are back, another reservation may have the same home.
  const bool commits = s.profile.capabilities.reserve_commits;
  const std::uint32_t heap = commits ? s.heap_of(record->memory_type) : 0;
  int refusal = commits ? s.files[heap]->give_memory(record->address.value, record->size) : 0;
  if (refusal == 0) refusal = release_addresses(record->address, record->size);
  if (refusal != 0) return fail(mapping_error(refusal));
  const Claim claim{commits ? record->size : Bytes{}, heap};
  claim.give_back(s);
  s.reservations.remove(*record);
  return {};
}

}  // namespace vaspace::cpu
