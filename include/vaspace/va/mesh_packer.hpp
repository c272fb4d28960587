// Which pages can share one physical page: those whose live cells are disjoint.
//
//   page a  |##......|      page b  |...###..|      a and b in one bin  |##.###..|
//
// Always true: the masks that a bin was given are disjoint; a bin's fill is the number of its cells taken.
// The same masks in the same order give the same bins (R9).
//
// Given masks by falling count, this is best fit decreasing: each goes where least is left. Near full packing
// needs many bins to choose from, and `probes` bounds how many are looked at for one mask.
#pragma once

#include <array>
#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/va/cell_mask.hpp"

namespace vaspace {

// Externally synchronised. O(probes * words) per mask.
class MeshPacker {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  MeshPacker(std::uint32_t words, const HostAllocator& host) noexcept
      : words_(words), masks_(host), bins_(host) {
    heads_.fill(kNone);
  }

  // Room for one more bin. False: no host memory.
  [[nodiscard]] bool reserve() noexcept;
  // The fullest bin found that `mask` of `count` cells fits into, or kNone.
  [[nodiscard]] std::uint32_t find(CellMask mask, std::uint32_t count, std::uint32_t probes) const noexcept;
  // Puts the mask into the bin, which has room for it.
  void add(std::uint32_t bin, CellMask mask, std::uint32_t count) noexcept;
  // A bin of its own, remembered as `tag`; reserved.
  std::uint32_t open(CellMask mask, std::uint32_t count, std::uint64_t tag) noexcept;
  // The bin is never found again, nor may it be added to.
  void close(std::uint32_t bin) noexcept;

  [[nodiscard]] std::uint64_t tag(std::uint32_t bin) const noexcept { return bins_[bin].tag; }
  [[nodiscard]] std::uint32_t bins() const noexcept { return static_cast<std::uint32_t>(bins_.size()); }
  void clear() noexcept;

 private:
  static constexpr std::uint32_t kLevels = 256;  // lists of bins by how full they are

  struct Bin {
    std::uint64_t tag = 0;
    std::uint32_t fill = 0;
    std::uint32_t next = kNone;
    std::uint32_t previous = kNone;
  };

  [[nodiscard]] std::uint32_t cells() const noexcept { return words_ * kCellsPerWord; }
  [[nodiscard]] std::uint32_t level_of(std::uint32_t fill) const noexcept {
    const std::uint64_t level = std::uint64_t{fill} * kLevels / (cells() + 1);
    return static_cast<std::uint32_t>(level);
  }
  [[nodiscard]] CellMask mask_of(std::uint32_t bin) const noexcept {
    return masks_.span().subspan(std::size_t{bin} * words_, words_);
  }
  void link(std::uint32_t bin) noexcept;
  void unlink(std::uint32_t bin) noexcept;

  std::uint32_t words_;
  HostArray<std::uint64_t> masks_;
  HostArray<Bin> bins_;
  std::array<std::uint32_t, kLevels> heads_{};
};

}  // namespace vaspace
