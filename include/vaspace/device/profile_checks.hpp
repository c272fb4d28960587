// Checks of a configuration that more than one backend makes.
#pragma once

#include <cstring>
#include <span>
#include <string_view>

#include "vaspace/device/backend.hpp"

namespace vaspace {

// Powers of two in rising order, multiples of `unit`, no more than a profile holds, none above 2^62.
[[nodiscard]] inline bool valid_page_sizes(std::span<const Bytes> sizes, Bytes unit) noexcept {
  if (sizes.size() > kMaxPageSizes) return false;
  Bytes last{};
  for (const Bytes size : sizes) {
    if (!Alignment{size}.valid() || size < unit || size <= last || size > Bytes{1ULL << 62U}) return false;
    last = size;
  }
  return true;
}

inline void set_page_sizes(DeviceProfile& profile, std::span<const Bytes> sizes) noexcept {
  profile.page_size_count = 0;
  for (const Bytes size : sizes)
    profile.page_sizes[profile.page_size_count++] = size;
}

// The larger of 64 KiB and the smallest page size: a reservation holds whole pages of the smallest size, and
// who binds larger ones asks for their alignment.
[[nodiscard]] inline Bytes reservation_granularity(std::span<const Bytes> sizes) noexcept {
  return sizes.empty() || sizes.front() < 64_KiB ? 64_KiB : sizes.front();
}

// Cut to what the profile holds.
inline void set_name(DeviceProfile& profile, std::string_view name) noexcept {
  const std::size_t room = profile.name.size() - 1;
  const std::size_t length = name.size() < room ? name.size() : room;
  std::memcpy(profile.name.data(), name.data(), length);
  profile.name[length] = '\0';
}

// Whether memory can be as the traits say, or none is reserved with addresses, so that they do not matter.
[[nodiscard]] inline bool has_traits(const DeviceProfile& profile, const MemoryTraits& traits) noexcept {
  const Capabilities& can = profile.capabilities;
  if (!can.reserve_commits) return true;
  return (traits.dedicated == MemoryTraits::Dedicated::none || can.dedicated) &&
         (!traits.device_address || can.device_address) && (!traits.exportable || can.external_memory);
}

// The part of a ReservationRequest that depends on the profile alone. Errors: invalid_size,
// invalid_alignment, invalid_argument (memory type, where reserving commits), not_supported (a trait that the
// profile denies), out_of_address_space (above the largest reservation). Answers the alignment to use.
[[nodiscard]] inline Result<Alignment> check_reservation_request(const DeviceProfile& profile,
                                                                 const ReservationRequest& request) noexcept {
  const Alignment granularity{profile.reservation_granularity};
  // What is dedicated to a resource has that resource's size.
  const bool dedicated = request.traits.dedicated != MemoryTraits::Dedicated::none;
  if (request.size.value == 0 || (!dedicated && !is_aligned(request.size, granularity)))
    return fail(ErrorCode::invalid_size);
  if (!request.alignment.valid()) return fail(ErrorCode::invalid_alignment);
  const Capabilities& can = profile.capabilities;
  if (can.reserve_commits && request.memory_type >= profile.memory_type_count)
    return fail(ErrorCode::invalid_argument);
  if (!has_traits(profile, request.traits)) return fail(ErrorCode::not_supported);
  if (request.size > can.max_reservation_size) return fail(ErrorCode::out_of_address_space);
  return request.alignment > granularity ? request.alignment : granularity;
}

}  // namespace vaspace
