// Free ranges ("holes") in the order (size, offset): the radix order by size.
//
//   bins (bitmap)   size 1  2  3  ...  63   64-65  66-67 ...            first digit: one bin per size or
//   group
//                     |     |           |     |                         of sizes, found by a hierarchical
//                     bitmap .     *           *     *                         other digits: a heap-ordered
//                     radix tree
//                          / \         /     / \                        per bin, branching on (low bits of
//                          the
//                         *   *       *     *   *                       size, offset)
//
// Always true: a bin's bit is set exactly when its tree is not empty; a tree holds exactly the holes of its
// sizes. The best fit, that is the smallest (size, offset) with size >= n, is found in at most key_bits()
// node visits and one bitmap look-up. No host memory beyond what create took.
#pragma once

#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/range/hierarchical_bitmap.hpp"
#include "vaspace/range/radix_tree.hpp"
#include "vaspace/range/size_bins.hpp"

namespace vaspace {

// Pool: pool[i] has offset, size (in units) and child[2]; Probe: visit() is called for every node looked at.
template <class Pool, class Probe>
class HoleIndex {
 public:
  explicit HoleIndex(const HostAllocator& host) noexcept : occupied_(host), roots_(host) {}

  // False: no host memory.
  [[nodiscard]] bool create() noexcept {
    return occupied_.grow(size_bins::kCount) && roots_.resize(size_bins::kCount);
  }

  // Offsets below 2^bits can be held. Every hole has to be put in again after this.
  void reset(unsigned offset_bits) noexcept {
    offset_bits_ = offset_bits;
    for (std::uint32_t bin = occupied_.find_first(); bin != kNone; bin = occupied_.find_first()) {
      occupied_.clear(bin);
      roots_[bin] = 0;
    }
  }
  [[nodiscard]] unsigned offset_bits() const noexcept { return offset_bits_; }
  // The bound on node visits of one look-up, insertion or erasure.
  [[nodiscard]] unsigned key_bits() const noexcept {
    return 32 - size_bins::kMantissaBits - 1 + offset_bits_;
  }

  void insert(Pool& pool, Probe& probe, std::uint32_t node) noexcept {
    const std::uint32_t bin = size_bins::bin_of(pool[node].size);
    View view{pool, probe, *this, bin};
    std::uint32_t& root = roots_.data()[bin];
    if (root == 0) occupied_.set(bin);
    RadixTree<View>::insert(view, root, node);
  }
  void erase(Pool& pool, Probe& probe, std::uint32_t node) noexcept {
    const std::uint32_t bin = size_bins::bin_of(pool[node].size);
    View view{pool, probe, *this, bin};
    std::uint32_t& root = roots_.data()[bin];
    RadixTree<View>::erase(view, root, node);
    if (root == 0) occupied_.clear(bin);
  }

  // The smallest hole in the order (size, offset) that is not below (size, offset), or 0.
  [[nodiscard]] std::uint32_t lower_bound(Pool& pool, Probe& probe, std::uint32_t size,
                                          std::uint64_t offset = 0) const noexcept {
    const std::uint32_t bin = size_bins::bin_of(size);
    const std::uint32_t root = roots_.data()[bin];
    if (root != 0 && offset >> offset_bits_ == 0) {
      const View view{pool, probe, *this, bin};
      const std::uint32_t node = RadixTree<View>::lower_bound(view, root, view.path(size, offset));
      if (node != 0) return node;
    }
    const std::uint32_t above = occupied_.find_from(bin + 1);
    if (above == kNone) return 0;
    probe.visit();
    return roots_.data()[above];
  }

  // The greatest hole in the order (size, offset), or 0.
  [[nodiscard]] std::uint32_t greatest(Pool& pool, Probe& probe) const noexcept {
    const std::uint32_t bin = occupied_.find_last();
    if (bin == kNone) return 0;
    const View view{pool, probe, *this, bin};
    return RadixTree<View>::greatest(view, roots_.data()[bin]);
  }

  [[nodiscard]] const char* validate(Pool& pool, Probe& probe) const noexcept {
    if (const char* wrong = occupied_.validate(); wrong != nullptr) return wrong;
    for (std::uint32_t bin = 0; bin < roots_.size(); ++bin) {
      if (occupied_.test(bin) != (roots_[bin] != 0)) return "a bin's bit disagrees with its tree";
      const View view{pool, probe, *this, bin};
      if (const char* wrong = RadixTree<View>::validate(view, roots_[bin]); wrong != nullptr) return wrong;
    }
    return nullptr;
  }

 private:
  static constexpr std::uint32_t kNone = HierarchicalBitmap::kNone;

  // A bin's holes as the radix tree sees them: the path is the bits in which they can differ, from the top.
  struct View {
    Pool& pool;
    Probe& probe;
    unsigned offset_bits;
    std::uint64_t size_mask;
    unsigned shift;

    View(Pool& p, Probe& q, const HoleIndex& index, std::uint32_t bin) noexcept
        : pool(p),
          probe(q),
          offset_bits(index.offset_bits_),
          size_mask((std::uint64_t{1} << size_bins::low_bits(bin)) - 1),
          shift(64 - offset_bits - size_bins::low_bits(bin)) {}

    [[nodiscard]] std::uint64_t path(std::uint32_t node) const noexcept {
      probe.visit();
      return path(pool[node].size, pool[node].offset);
    }
    [[nodiscard]] std::uint64_t path(std::uint32_t size, std::uint64_t offset) const noexcept {
      return (((size & size_mask) << offset_bits) | offset) << shift;
    }
    [[nodiscard]] std::uint32_t& child(std::uint32_t node, unsigned side) const noexcept {
      return pool[node].child[side];
    }
  };

  unsigned offset_bits_ = 1;
  HierarchicalBitmap occupied_;
  HostArray<std::uint32_t> roots_;
};

}  // namespace vaspace
