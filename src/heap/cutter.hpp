// How the blocks of a space are cut up: one of the range layer's allocators, over one offset space of which
// every block is a span.
//
// Always true: what is handed out and not given back never overlaps and lies inside one span. Linear and ring
// have one span. Externally synchronised.
#pragma once

#include <optional>

#include "vaspace/heap/pool.hpp"
#include "vaspace/range/linear_allocator.hpp"
#include "vaspace/range/object_allocator.hpp"
#include "vaspace/range/ring_allocator.hpp"
#include "vaspace/range/slab_allocator.hpp"

namespace vaspace {

struct CutterConfig {
  PoolStrategy strategy = PoolStrategy::object;
  Alignment granule{256};
  Bytes window{};     // the largest span
  Bytes slot_size{};  // slab
  HostAllocator host{};
};

class Cutter {
 public:
  // Errors: invalid_configuration, out_of_host_memory.
  [[nodiscard]] static Result<Cutter> create(const CutterConfig& config) noexcept;

  // Errors: as RangeAllocator's allocate.
  [[nodiscard]] Result<Range> allocate(RangeRequest request) noexcept;
  [[nodiscard]] bool can_allocate(RangeRequest request) const noexcept;
  // Of a range that is live: whoever calls this keeps the books of what is.
  void release(const Range& range) noexcept;

  // Errors: as the range allocators' add_span; out_of_space: a second span of linear or ring.
  [[nodiscard]] Result<Offset> add_span(Bytes size) noexcept;
  // Nothing lives in it.
  [[nodiscard]] Result<void> remove_span(Offset begin) noexcept;
  [[nodiscard]] Bytes window() const noexcept { return window_; }
  [[nodiscard]] const char* validate() const noexcept;

 private:
  explicit Cutter(const HostAllocator& host) noexcept : freed_(host) {}

  [[nodiscard]] Result<Range> allocate_in_ring(RangeRequest request) noexcept;
  void release_in_ring(std::uint64_t serial) noexcept;

  Bytes window_{};
  Alignment granule_{};
  std::optional<ObjectAllocator> object_;
  std::optional<SlabAllocator> slab_;
  std::optional<LinearAllocator> linear_;
  std::optional<RingAllocator> ring_;
  bool has_span_ = false;   // linear, ring
  std::uint64_t live_ = 0;  // linear
  // Ring: whether the ranges from the oldest on have come back, and the serial numbers that they are closed
  // with.
  HostArray<bool> freed_;
  std::size_t first_ = 0;  // of freed_
  std::uint64_t oldest_ = 1;
  std::uint64_t next_ = 1;
};

}  // namespace vaspace
