// What the world can answer: a value, or one typed Error. A caller's bug is not an Error: see misuse.hpp.
#pragma once

#include <cstdint>
#include <tl/expected.hpp>

namespace vaspace {

enum class ErrorCode : std::uint8_t {
  // The request itself.
  invalid_size,           // 0, or so large that rounding it would pass 2^64 - 1
  invalid_alignment,      // not a power of two
  invalid_argument,       // anything else about the request that no state could satisfy
  invalid_configuration,  // a table that is unsorted, a reservation below its class, ...
  too_large,              // no block of this allocator or device could ever hold it
  not_supported,          // the backend lacks the capability (profile().capabilities says so beforehand)
  // The world.
  out_of_space,          // no free range holds it now
  out_of_host_memory,    // the HostAllocator answered nullptr
  out_of_device_memory,  // the device, or its budget, is full
  out_of_address_space,  // the device refuses a reservation
  out_of_mappings,       // the mapping budget of the process is used up (capabilities.max_mappings)
  timed_out,             // a wait ended before its point
  device_lost,           // the driver says that the device is gone
  driver_error,          // any other refusal; Error::native has the driver's own code
  // A handle or address that is not live (only try_free and its kind return these; free reports misuse).
  unknown_handle,    // never given out by this allocator, or given out by another
  stale_handle,      // given out and freed since: a double free, or a slot that was reused
  unknown_address,   // no allocation begins there and none contains it
  interior_address,  // inside an allocation, but not its begin
  // Plans, files.
  stale_plan,   // another commit came between plan and commit
  wrong_state,  // unmapping what is not mapped, binding what is bound, ...
  malformed,    // a file that is not what it should be
  io_error,     // a file that cannot be read or written; native is errno
};

// `native` is the VkResult, CUresult or errno, verbatim; 0 where the library itself refused.
struct Error {
  ErrorCode code{};
  std::int32_t native = 0;

  friend constexpr bool operator==(const Error&, const Error&) noexcept = default;
};

// Always tl::expected, so that a consumer's -std cannot change the ABI.
template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] constexpr tl::unexpected<Error> fail(ErrorCode code, std::int32_t native = 0) noexcept {
  return tl::unexpected<Error>(Error{code, native});
}
[[nodiscard]] constexpr tl::unexpected<Error> fail(Error error) noexcept {
  return tl::unexpected<Error>(error);
}

// The name as written above, for messages; static storage.
[[nodiscard]] const char* to_string(ErrorCode code) noexcept;

}  // namespace vaspace
