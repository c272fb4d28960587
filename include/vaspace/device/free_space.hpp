// Which parts of one long line of points (addresses, file offsets) are free: take the lowest that fits, or an
// exact place; give back in any pieces.
//
// Always true: free ranges do not overlap and do not touch (they coalesce); giving back never asks for host
// memory, because taking has reserved what it will need.
#pragma once

#include <cstdint>
#include <optional>

#include "vaspace/base/units.hpp"
#include "vaspace/device/interval_treap.hpp"

namespace vaspace {

// Externally synchronised. O(log n) per call in the number of free ranges; take_lowest with an alignment that
// the ranges do not have by themselves may look at every range of at least the size.
class FreeSpace {
 public:
  explicit FreeSpace(const HostAllocator& host) noexcept : ranges_(host) {}

  // Makes [begin, end) free, which touches nothing that was opened before. False: no host memory.
  [[nodiscard]] bool open(std::uint64_t begin, std::uint64_t end) noexcept;
  // Takes for good what was opened as a whole and is free again.
  void close(std::uint64_t begin, Bytes size) noexcept;
  // Room for taking what will be given back in `pieces` further pieces. False: no host memory.
  [[nodiscard]] bool reserve(std::size_t pieces) noexcept {
    return ranges_.reserve(pieces_ + pieces + opened_);
  }

  // Both need reserve() first; what they take is given back in `pieces` pieces at most. `size` is above 0.
  [[nodiscard]] std::optional<std::uint64_t> take_lowest(Bytes size, Alignment alignment,
                                                         std::uint64_t from = 0,
                                                         std::size_t pieces = 1) noexcept;
  [[nodiscard]] bool take_at(std::uint64_t begin, Bytes size, std::size_t pieces = 1) noexcept;
  // One piece, wholly taken.
  void give(std::uint64_t begin, Bytes size) noexcept;

  [[nodiscard]] std::size_t range_count() const noexcept { return ranges_.size(); }
  [[nodiscard]] bool is_free(std::uint64_t begin, Bytes size) const noexcept;
  [[nodiscard]] bool validate() const noexcept { return ranges_.validate(); }

 private:
  struct Nothing {};
  using Ranges = IntervalTreap<Nothing>;

  void carve(Ranges::Interval hole, std::uint64_t begin, std::uint64_t end) noexcept;

  Ranges ranges_;
  std::size_t pieces_ = 0;  // that are still to come back
  std::size_t opened_ = 0;
};

}  // namespace vaspace
