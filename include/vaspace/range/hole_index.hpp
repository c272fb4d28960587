// Free ranges ("holes") in the order (size, offset).
//
//   bins (bitmap)   size 1   2   3  ...  511   512-543   544-575 ...    one per size, or per group of sizes
//                        |   |             |      |
//                        .   o             .      o                     a radix directory each: by offset, or
//                        by
//                          / | \                 / \                    (low bits of size, offset)
//                         *  *  *               *   *
//
// Always true: a bin's bit is set exactly when its directory is not empty; a directory holds exactly the
// holes of its sizes. The best fit, that is the smallest (size, offset) with size >= n, is found in at most
// key_bits() node visits; where the size has a bin of its own, in one.
//
// Holes are their own nodes, so that insert and erase need no memory (R7). prepare(), at an allocation's
// beginning, asks for more slots for a bin that has become crowded; that is for speed alone, and may fail.
#pragma once

#include <cstdint>
#include <utility>

#include "vaspace/base/host_array.hpp"
#include "vaspace/range/radix_directory.hpp"
#include "vaspace/range/size_bins.hpp"
#include "vaspace/range/two_level_bitmap.hpp"

namespace vaspace {

// Pool: pool[i] has offset, size (in units) and children; Probe: visit() is called for every node looked at.
template <class Pool, class Probe>
class HoleIndex {
 public:
  using Index = std::uint32_t;

  explicit HoleIndex(const HostAllocator& host) noexcept : bins_(host) {}
  HoleIndex(HoleIndex&&) noexcept = default;
  HoleIndex& operator=(HoleIndex&& other) noexcept {
    if (this != &other) {
      release_houses();
      offset_bits_ = other.offset_bits_;
      crowded_ = other.crowded_;
      occupied_ = other.occupied_;
      bins_ = std::move(other.bins_);
    }
    return *this;
  }
  HoleIndex(const HoleIndex&) = delete;
  HoleIndex& operator=(const HoleIndex&) = delete;
  ~HoleIndex() { release_houses(); }

  // False: no host memory.
  [[nodiscard]] bool create() noexcept {
    if (!bins_.resize(size_bins::kCount)) return false;
    for (RadixDirectory& bin : bins_)
      bin.make();
    return true;
  }

  // Offsets below 2^bits can be held. Every hole has to be put in again after this.
  void reset(unsigned offset_bits) noexcept {
    offset_bits_ = offset_bits;
    for (Index bin = occupied_.find_from(0); bin != kNone; bin = occupied_.find_from(bin + 1))
      bins_[bin].clear();
    occupied_.reset();
  }
  [[nodiscard]] unsigned offset_bits() const noexcept { return offset_bits_; }
  // The bound on node visits of one look-up, insertion or erasure.
  [[nodiscard]] unsigned key_bits() const noexcept {
    return 32 - size_bins::kMantissaBits - 1 + offset_bits_;
  }

  // Whether prepare() has something to do.
  [[nodiscard]] bool wants_memory() const noexcept { return crowded_ != 0; }
  void prepare(Pool& pool) noexcept {
    Probe seldom;  // a node goes through here once each time that its bin's holes have become eight times as
                   // many
    const std::uint32_t bin = std::exchange(crowded_, 0);
    RadixDirectory& directory = bins_[bin];
    if (!directory.crowded()) return;
    const unsigned bits = directory.bits() + RadixDirectory::kBitsPerStep;
    const HostAllocator& host = bins_.host();
    void* memory = host.allocate(host.user, RadixDirectory::bytes_for(bits), kHouseAlignment);
    if (memory == nullptr) return;
    void* former = directory.house();
    const std::size_t former_bytes = RadixDirectory::bytes_for(directory.bits());
    with_nodes(pool, seldom, bin, [&](const auto& nodes) { directory.rehouse(nodes, bits, memory); });
    if (former != nullptr) host.deallocate(host.user, former, former_bytes, kHouseAlignment);
  }

  [[gnu::always_inline]] void insert(Pool& pool, Probe& probe, Index node) noexcept {
    const std::uint32_t size = pool[node].size;
    if (size < size_bins::kExactBins) [[likely]] {
      insert_in(size, by_offset(pool, probe), node);
    } else {
      insert_by_size(pool, probe, node);
    }
  }
  void erase(Pool& pool, Probe& probe, Index node) noexcept {
    const std::uint32_t bin = size_bins::bin_of(pool[node].size);
    with_nodes(pool, probe, bin, [&](const auto& nodes) { bins_.data()[bin].erase(nodes, node); });
    unmark_empty(bin);
  }
  // The smallest size that some hole has and that is not below `size`, if it has a bin of its own; otherwise
  // a number that is no such size.
  [[nodiscard]] std::uint32_t exact_size_from(std::uint32_t size) const noexcept {
    return size < size_bins::kExactBins ? occupied_.find_from(size) : kNone;
  }
  [[nodiscard]] static bool is_exact(std::uint32_t size) noexcept { return size < size_bins::kExactBins; }
  // Takes out the lowest hole of a size that is_exact and that some hole has.
  [[nodiscard]] Index take_lowest(Pool& pool, Probe& probe, std::uint32_t size) noexcept {
    const Index node = bins_.data()[size].take_first(by_offset(pool, probe));
    unmark_empty(size);
    return node;
  }
  // Takes out `node`, which had `node_size` when it was put in, and puts in `rest`: without moving anything
  // where `node` is alone in its bin and `rest` belongs there, as with the block's last hole.
  void replace(Pool& pool, Probe& probe, Index node, std::uint32_t node_size, Index rest) noexcept {
    const std::uint32_t bin = size_bins::bin_of(node_size);
    if (bin >= size_bins::kExactBins && bin == size_bins::bin_of(pool[rest].size) &&
        bins_.data()[bin].replace_only(View{pool, probe}, node, rest)) {
      return;
    }
    const std::uint32_t size = std::exchange(pool[node].size, node_size);
    erase(pool, probe, node);
    pool[node].size = size;
    insert(pool, probe, rest);
  }

  // The smallest hole of at least `size`, the lowest among equals, or 0.
  [[nodiscard]] Index best_fit(Pool& pool, Probe& probe, std::uint32_t size) const noexcept {
    if (size >= size_bins::kExactBins) return lower_bound(pool, probe, size, 0);
    return first_from(probe, size);
  }
  // The smallest hole in the order (size, offset) that is not below (size, offset), or 0.
  [[nodiscard]] Index lower_bound(Pool& pool, Probe& probe, std::uint32_t size,
                                  std::uint64_t offset) const noexcept {
    const std::uint32_t bin = size_bins::bin_of(size);
    if (occupied_.test(bin) && offset >> offset_bits_ == 0) {
      const Index node = with_nodes(pool, probe, bin, [&](const auto& nodes) {
        return bins_.data()[bin].lower_bound(nodes, nodes.path(size, static_cast<std::uint32_t>(offset)));
      });
      if (node != 0) return node;
    }
    return first_from(probe, bin + 1);
  }
  // The greatest hole in the order (size, offset), or 0.
  [[nodiscard]] Index greatest(Pool& pool, Probe& probe) const noexcept {
    const std::uint32_t bin = occupied_.find_last();
    if (bin == kNone) return 0;
    return with_nodes(pool, probe, bin, [&](const auto& nodes) { return bins_[bin].greatest(nodes); });
  }

  [[nodiscard]] const char* validate(Pool& pool, Probe& probe) const noexcept {
    if (const char* wrong = occupied_.validate(); wrong != nullptr) return wrong;
    for (std::uint32_t bin = 0; bin < bins_.size(); ++bin) {
      if (occupied_.test(bin) == bins_[bin].empty()) return "a bin's bit disagrees with its directory";
      const char* wrong =
          with_nodes(pool, probe, bin, [&](const auto& nodes) { return bins_[bin].validate(nodes); });
      if (wrong != nullptr) return wrong;
    }
    return nullptr;
  }

 private:
  using Occupied = TwoLevelBitmap<size_bins::kCount>;
  static constexpr std::uint32_t kNone = Occupied::kNone;
  static constexpr std::size_t kHouseAlignment = 64;

  // A bin's holes as the radix trees see them. Paths are the bits in which they can differ, from the top.
  struct View {
    Pool& pool;
    Probe& probe;

    [[nodiscard]] RadixChildren& children(Index node) const noexcept { return pool[node].children; }
    void visit() const noexcept { probe.visit(); }
  };
  struct ByOffset : View {
    unsigned shift;

    [[nodiscard]] std::uint64_t path(Index node) const noexcept {
      this->visit();
      return path(0, this->pool[node].offset);
    }
    [[nodiscard]] std::uint64_t path(std::uint32_t, std::uint32_t offset) const noexcept {
      return std::uint64_t{offset} << shift;
    }
  };
  struct BySize : View {
    unsigned offset_bits;
    unsigned shift;

    [[nodiscard]] std::uint64_t path(Index node) const noexcept {
      this->visit();
      return path(this->pool[node].size, this->pool[node].offset);
    }
    // The upper bits of the size, which are the bin's, are shifted out.
    [[nodiscard]] std::uint64_t path(std::uint32_t size, std::uint32_t offset) const noexcept {
      return ((std::uint64_t{size} << offset_bits) | offset) << shift;
    }
  };

  [[nodiscard]] ByOffset by_offset(Pool& pool, Probe& probe) const noexcept {
    return ByOffset{{pool, probe}, 64 - offset_bits_};
  }
  [[nodiscard]] BySize by_size(Pool& pool, Probe& probe, std::uint32_t bin) const noexcept {
    return BySize{{pool, probe}, offset_bits_, 64 - offset_bits_ - size_bins::low_bits(bin)};
  }
  template <class Use>
  auto with_nodes(Pool& pool, Probe& probe, std::uint32_t bin, Use&& use) const noexcept {
    if (bin < size_bins::kExactBins) return use(by_offset(pool, probe));
    return use(by_size(pool, probe, bin));
  }

  template <class Nodes>
  [[gnu::always_inline]] void insert_in(std::uint32_t bin, const Nodes& nodes, Index node) noexcept {
    RadixDirectory& directory = bins_.data()[bin];
    if (directory.empty()) occupied_.set(bin);
    directory.insert(nodes, node);
    if (directory.crowded()) [[unlikely]]
      crowded_ = bin;
  }
  [[gnu::noinline]] void insert_by_size(Pool& pool, Probe& probe, Index node) noexcept {
    const std::uint32_t bin = size_bins::bin_of(pool[node].size);
    insert_in(bin, by_size(pool, probe, bin), node);
  }
  void unmark_empty(std::uint32_t bin) noexcept {
    if (bins_.data()[bin].empty()) occupied_.clear(bin);
  }
  // The smallest hole of all in `bin` and above, or 0.
  [[nodiscard]] Index first_from(Probe& probe, std::uint32_t bin) const noexcept {
    const std::uint32_t found = occupied_.find_from(bin);
    if (found == kNone) return 0;
    probe.visit();
    return bins_.data()[found].first();
  }

  void release_houses() noexcept {
    const HostAllocator& host = bins_.host();
    for (const RadixDirectory& bin : bins_) {
      if (void* house = bin.house(); house != nullptr) {
        host.deallocate(host.user, house, RadixDirectory::bytes_for(bin.bits()), kHouseAlignment);
      }
    }
  }

  unsigned offset_bits_ = 1;
  std::uint32_t crowded_ = 0;  // a bin that had no room when last put into; 0: none (no hole is that small)
  Occupied occupied_;
  HostArray<RadixDirectory> bins_;
};

}  // namespace vaspace
