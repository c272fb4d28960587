// A bump over one block, taken back all at once or down to a mark: scratch data of a frame or a scope.
//
//   |--a--|-b-|..|----c----|              .. alignment    top = end of c
//             ^ mark        ^ top         rewind(mark): c is gone, a and b stay
//
// Always true: what is handed out lies in [0, top), in the order of the calls, and never overlaps (R1);
// top <= capacity, and capacity - top bytes are free (R2); the marks that can still be rewound to lie in
// [0, top], older ones at or below younger ones.
//
// A mark dies when the allocator is rewound to an older one, or reset; a dead mark is told from a live one
// for ever (64-bit serial numbers), and another allocator's by its identity. Host memory is asked for by
// create only. Every call is O(1), but rewind: O(marks that die). Externally synchronised. A moved-from
// allocator can only be destroyed or assigned to (R10).
#pragma once

#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/range/placement.hpp"

namespace vaspace {

struct LinearConfig {
  Bytes capacity{};
  // How many marks at different tops can be live at once.
  std::uint32_t max_marks = 64;
  // Told from the marks of other allocators by this (R6). 0: by the address of its host memory.
  std::uint32_t identity = 0;
  HostAllocator host = default_host_allocator();
};

// A top to come back to. A default one belongs to no allocator.
struct LinearMark {
  std::uint64_t serial = 0;
  std::uint32_t index = 0;
  std::uint32_t owner = 0;

  friend constexpr bool operator==(const LinearMark&, const LinearMark&) noexcept = default;
};

class LinearAllocator {
 public:
  // Errors: invalid_configuration (capacity 0), out_of_host_memory.
  [[nodiscard]] static Result<LinearAllocator> create(const LinearConfig& config) noexcept;

  // Errors: invalid_size, invalid_alignment, too_large (size or alignment above the capacity), out_of_space.
  [[nodiscard]] Result<Placement> allocate(RangeRequest request) noexcept {
    if (never_fits(request, Bytes{capacity_.value})) [[unlikely]]
      return fail(why_never(request));
    const auto begin = place(top_, capacity_, request);
    if (!begin) [[unlikely]]
      return fail(ErrorCode::out_of_space);
    top_ = *begin + request.size;
    ++live_;
    return Placement{*begin, request.size};
  }

  // The present top. Without an allocation since the youngest live mark, that mark again. Errors:
  // out_of_space (max_marks are live).
  [[nodiscard]] Result<LinearMark> mark() noexcept;

  // Takes back everything allocated since `mark`, which stays live; younger marks die. Errors: stale_handle
  // (it has died), unknown_handle (another allocator's, or never given out); nothing has changed then (R6).
  [[nodiscard]] Result<void> rewind(LinearMark mark) noexcept;

  // Takes everything back; every mark dies.
  void reset() noexcept {
    top_ = Offset{};
    live_ = 0;
    marks_.clear();
  }

  [[nodiscard]] bool can_allocate(RangeRequest request) const noexcept {
    return !never_fits(request, Bytes{capacity_.value}) && place(top_, capacity_, request).has_value();
  }
  [[nodiscard]] Bytes largest_free() const noexcept { return capacity_ - top_; }
  // used: [0, top), with the gaps that alignment left.
  [[nodiscard]] RangeReport report() const noexcept;
  [[nodiscard]] const char* validate() const noexcept;

 private:
  struct Mark {
    std::uint64_t serial = 0;
    Offset top{};
    std::uint64_t live = 0;
  };

  explicit LinearAllocator(const LinearConfig& config) noexcept
      : capacity_(config.capacity.value), marks_(config.host) {}

  Offset top_{};
  Offset capacity_{};
  std::uint64_t live_ = 0;
  std::uint64_t next_serial_ = 1;
  std::uint32_t owner_ = 0;
  std::uint32_t max_marks_ = 0;
  HostArray<Mark> marks_;  // live ones, oldest first
};

}  // namespace vaspace
