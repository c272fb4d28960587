// What all allocators of offsets have in common.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>

#include "vaspace/base/result.hpp"
#include "vaspace/base/units.hpp"

namespace vaspace {

// Names a live range of one allocator. 8 bytes, because whoever holds a million of them reads them all.
struct RangeId {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;

  friend constexpr bool operator==(const RangeId&, const RangeId&) noexcept = default;
};

// In one piece: written in halves and then read whole, an id would wait for both stores.
[[nodiscard]] constexpr RangeId make_id(std::uint32_t index, std::uint32_t generation) noexcept {
  return std::bit_cast<RangeId>((std::uint64_t{generation} << 32U) | index);
}

struct RangeRequest {
  Bytes size{};
  Alignment alignment{};
};

struct Range {
  Offset offset{};
  Bytes size{};  // handed out: at least what was asked for
  RangeId id{};

  [[nodiscard]] constexpr Offset end() const noexcept { return offset + size; }
};

struct RangeReport {
  Bytes capacity{};               // used + free, always (R2)
  Bytes used{};                   // handed out
  Bytes largest_free{};           // the largest size that allocate would serve now at alignment 1
  std::uint64_t live = 0;         // ranges handed out
  std::uint64_t free_ranges = 0;  // maximal runs of free bytes (object); free slots (slab)

  [[nodiscard]] constexpr Bytes free() const noexcept { return capacity - used; }
};

// An allocator of offsets: no OS, no GPU, no virtual call. Externally synchronised.
template <class A>
concept RangeAllocator = std::movable<A> &&
    requires(A a, const A c, RangeRequest request, RangeId id, Bytes n) {
  // Errors: invalid_size, invalid_alignment, too_large, out_of_space, out_of_host_memory.
  { a.allocate(request) } -> std::same_as<Result<Range>>;
  // Errors: unknown_handle, stale_handle; nothing has changed then (R6).
  { a.try_free(id) } -> std::same_as<Result<void>>;
  // The live range that `id` names. Errors as try_free.
  { c.find(id) } -> std::same_as<Result<Range>>;
  { c.can_allocate(request) } -> std::same_as<bool>;
  { c.largest_free() } -> std::same_as<Bytes>;
  { c.report() } -> std::same_as<RangeReport>;
  // Checks the sentences at the top of the header, in that order; the first that does not hold, or nullptr.
  { c.validate() } -> std::same_as<const char*>;
};

}  // namespace vaspace
