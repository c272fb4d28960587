// What an allocator hands out that takes nothing back one by one: a place without a handle.
#pragma once

#include <cstdint>
#include <optional>

#include "vaspace/base/result.hpp"
#include "vaspace/base/units.hpp"
#include "vaspace/range/range.hpp"

namespace vaspace {

struct Placement {
  Offset offset{};
  Bytes size{};  // exactly what was asked for

  [[nodiscard]] constexpr Offset end() const noexcept { return offset + size; }
  friend constexpr bool operator==(const Placement&, const Placement&) noexcept = default;
};

// The lowest aligned offset in [from, end) with `size` bytes before `end`. `request.alignment` must be valid.
[[nodiscard]] constexpr std::optional<Offset> place(Offset from, Offset end, RangeRequest request) noexcept {
  const Offset begin = align_up(from, request.alignment);  // wraps to 0 at the 64-bit edge, below `from`
  if (begin < from || begin > end || end - begin < request.size) return std::nullopt;
  return begin;
}

// True for what no state of a block of `capacity` bytes could hold. An alignment above the block is refused
// like a size above it: offset 0 would satisfy it, but who asks for it counts on more than the block's begin
// can promise.
[[nodiscard]] constexpr bool never_fits(RangeRequest request, Bytes capacity) noexcept {
  return request.size.value - 1 >= capacity.value || request.alignment.value > capacity.value ||
         !request.alignment.valid();
}
// Why never_fits: invalid_size, invalid_alignment or too_large, in that order.
[[nodiscard]] constexpr ErrorCode why_never(RangeRequest request) noexcept {
  if (request.size == Bytes{}) return ErrorCode::invalid_size;
  return request.alignment.valid() ? ErrorCode::too_large : ErrorCode::invalid_alignment;
}

}  // namespace vaspace
