// Address space. The driver may refuse a large reservation while smaller ones are to be had (C2): then a
// chain of them, each hinted behind those that there are or in front of them, serves if they come to lie side
// by side.
//
//   asked for   |--------------------------------|
//   parts       |----------|----------|----------|      seams at multiples of the largest page
//   elsewhere   |----------|    |----------|            a hint is only a hint (C1, C18): given back
//
// A first part that somebody's memory stands beside is kept while another place is tried, so that the driver
// names another one, and then given back.
#include <algorithm>
#include <array>

#include "vaspace/device/profile_checks.hpp"

#include "state.hpp"

namespace vaspace::cuda {
namespace {

// No device has addresses beyond; sums with an alignment stay far from 2^64.
constexpr Bytes kAddressSpace{1ULL << 56U};
constexpr std::uint64_t kMaxParts = 64;
constexpr std::size_t kPlaces = 8;  // that a chain is begun at
// Two beside what there is, each perhaps not aligned at first.
constexpr std::size_t kCallsPerPart = 4;

}  // namespace

// One reservation of the driver's. An alignment that the driver does not give is had by reserving more; what
// it does not take back then is an orphan, for which reserve() has kept room.
CUresult Backend::State::reserve_part(Bytes size, Alignment alignment, Address hint,
                                      CUdeviceptr& at) noexcept {
  const CUresult got = driver.reserve(&at, size.value, alignment.value, hint.value, 0);
  if (got != CUDA_SUCCESS) return got;
  if (is_aligned(at, alignment)) {
    parts.insert({at, at + size.value, 0});
    return CUDA_SUCCESS;
  }
  if (driver.free_addresses(at, size.value) != CUDA_SUCCESS) orphans.push_back_reserved({0, at, size.value});
  const std::uint64_t more = size.value + alignment.value;
  const CUresult wide = driver.reserve(&at, more, 0, 0, 0);
  if (wide != CUDA_SUCCESS) return wide;
  parts.insert({at, at + more, 0});
  at = align_up(at, alignment);
  return CUDA_SUCCESS;
}

// Exactly there, or CUDA_ERROR_OUT_OF_MEMORY.
CUresult Backend::State::reserve_beside(Bytes size, Address where) noexcept {
  CUdeviceptr at = 0;
  const CUresult got = reserve_part(size, Alignment{profile.pages().back()}, where, at);
  if (got != CUDA_SUCCESS || at == where.value) return got;
  free_parts(Address{at}, Address{at} + size);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

// As large as the driver has it, of half the size or less. `part` is what was tried last.
CUresult Backend::State::reserve_first(Bytes size, Alignment alignment, Address hint, Bytes& part,
                                       CUdeviceptr& at) noexcept {
  const Alignment seam{profile.pages().back()};
  const Bytes least = std::max(Bytes{size.value / kMaxParts}, profile.pages().back());
  CUresult got = CUDA_ERROR_OUT_OF_MEMORY;
  for (; part >= least && part < size; part = align_up(Bytes{part.value / 2}, seam)) {
    got = reserve_part(part, std::max(alignment, seam), hint, at);
    if (got != CUDA_ERROR_OUT_OF_MEMORY || part == profile.pages().back()) break;
  }
  return got;
}

// What is refused leaves the first part.
Result<Address> Backend::State::grow_chain(Address first, Bytes part, Bytes size,
                                           Alignment alignment) noexcept {
  Address low = first;
  Address high = first + part;
  while (high - low < size) {
    const Bytes next = std::min(part, size - (high - low));
    const CUresult above = reserve_beside(next, high);
    if (above == CUDA_SUCCESS) {
      high += next;
      continue;
    }
    const CUresult below = above == CUDA_ERROR_OUT_OF_MEMORY ? reserve_beside(next, low - next) : above;
    if (below == CUDA_SUCCESS) low = low - next;
    if (below == CUDA_SUCCESS && is_aligned(low, alignment)) continue;
    free_parts(low, first);
    free_parts(first + part, high);
    return fail(
        error_of(below == CUDA_SUCCESS ? CUDA_ERROR_OUT_OF_MEMORY : below, ErrorCode::out_of_address_space));
  }
  return low;
}

// At one place after the other. Where the driver does not take back what a place has cost, or refuses for
// another reason than addresses, there is no further one.
Result<Address> Backend::State::reserve_chain(Bytes size, Alignment alignment, Address hint) noexcept {
  std::array<Address, kPlaces> tried{};
  std::size_t places = 0;
  Bytes part = align_up(Bytes{size.value / 2}, Alignment{profile.pages().back()});
  Result<Address> chain = fail(error_of(CUDA_ERROR_OUT_OF_MEMORY, ErrorCode::out_of_address_space));
  const std::size_t before = orphans.size();
  for (bool again = true; again && places < kPlaces; hint = {}) {
    CUdeviceptr first = 0;
    const CUresult got = reserve_first(size, alignment, hint, part, first);
    if (got != CUDA_SUCCESS && got != CUDA_ERROR_OUT_OF_MEMORY)
      chain = fail(error_of(got, ErrorCode::out_of_address_space));
    if (got != CUDA_SUCCESS) break;
    chain = grow_chain(Address{first}, part, size, alignment);
    if (chain) break;
    tried[places++] = Address{first};
    again = chain.error().native == CUDA_ERROR_OUT_OF_MEMORY && orphans.size() == before;
  }
  for (std::size_t i = 0; i < places; ++i)
    free_parts(tried[i], tried[i] + Bytes{1});
  return chain;
}

// What is refused is an orphan; reserve() has kept room for that.
void Backend::State::free_parts(Address begin, Address end) noexcept {
  for (const auto* part = parts.containing(begin.value); part != nullptr && part->begin < end.value;
       part = parts.containing(begin.value)) {
    const auto gone = *part;
    parts.erase(gone.begin);
    if (driver.free_addresses(gone.begin, gone.end - gone.begin) != CUDA_SUCCESS)
      orphans.push_back_reserved({0, gone.begin, gone.end - gone.begin});
    begin = Address{gone.end};
  }
}

Result<Reservation> Backend::State::reserve(const ReservationRequest& request, Alignment alignment) noexcept {
  if (!reservations.reserve_one() || !parts.reserve(parts.size() + 1) || !room_for_orphans(2))
    return fail(ErrorCode::out_of_host_memory);
  const bool usable_hint = request.hint.value < kAddressSpace.value;
  const Address hint = usable_hint ? align_down(request.hint, alignment) : Address{};
  CUdeviceptr at = 0;
  const CUresult got = reserve_part(request.size, alignment, hint, at);
  if (got == CUDA_SUCCESS) return reservations.add(Address{at}, request.size, 0);
  if (got != CUDA_ERROR_OUT_OF_MEMORY) return fail(error_of(got));
  constexpr std::size_t kMost = kMaxParts + 2 + kPlaces;
  if (!parts.reserve(parts.size() + kMost) || !room_for_orphans(kCallsPerPart * kMost))
    return fail(ErrorCode::out_of_host_memory);
  retry_orphans();  // their addresses may be what is lacking
  const Result<Address> chain = reserve_chain(request.size, alignment, hint);
  retry_orphans();
  if (!chain) return fail(chain.error());
  return reservations.add(*chain, request.size, 0);
}

Result<Reservation> Backend::reserve(const ReservationRequest& request) noexcept {
  State& s = *state_;
  const Result<Alignment> alignment = check_reservation_request(s.profile, request);
  if (!alignment) return fail(alignment.error());
  if (request.size > kAddressSpace || alignment->value > kAddressSpace.value)
    return fail(ErrorCode::out_of_address_space, CUDA_ERROR_OUT_OF_MEMORY);
  const std::lock_guard lock(s.mutex);
  if (Result<void> alive = s.alive(); !alive) return fail(alive.error());
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return fail(entered.error());
  return s.reserve(request, *alignment);
}

// The first part may be refused, and then nothing has changed; what is refused behind it is an orphan.
Result<void> Backend::release(const Reservation& reservation) noexcept {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  const ReservationRecord* record = s.reservations.find(reservation);
  if (record == nullptr) return fail(ErrorCode::invalid_argument);
  if (s.bindings.any_bound(record->address, record->size)) return fail(ErrorCode::wrong_state);
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return entered;
  const auto first = *s.parts.containing(record->address.value);
  const CUresult freed = s.driver.free_addresses(first.begin, first.end - first.begin);
  if (freed != CUDA_SUCCESS) return fail(error_of(freed));
  s.parts.erase(first.begin);
  if (first.end < record->end().value) s.free_parts(Address{first.end}, record->end());
  s.reservations.remove(*record);
  s.retry_orphans();
  return {};
}

}  // namespace vaspace::cuda
