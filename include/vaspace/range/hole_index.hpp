// Free ranges ("holes") in the order (size, offset).
//
//   bins (bitmap)   size 1   2   3  ...  127   128-135   136-143 ...    one per size or group of sizes
//                        |   |             |      |
//                        .   o             .      o                     each a radix directory, by offset
//                          / | \                / | \                   or (low bits of size, offset)
//                         *  *  *              *  *  *
//
// Always true: a bin's bit is set exactly when its directory is not empty; a directory holds exactly the
// holes of its sizes. The best fit, that is the smallest (size, offset) with size >= n, is found in at most
// key_bits() node visits; where the size has a bin of its own, in one.
//
// Holes are their own nodes, so that insert and erase need no memory (R7). prepare(), at an allocation's
// beginning, asks for slots for bins that have become crowded; that is for speed alone, and may fail.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>
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
  using Node = std::remove_reference_t<decltype(std::declval<Pool&>()[0])>;

  explicit HoleIndex(const HostAllocator& host) noexcept : bins_(host) {}
  HoleIndex(HoleIndex&&) noexcept = default;
  HoleIndex& operator=(HoleIndex&& other) noexcept {
    if (this != &other) {
      release_houses();
      crowds_ = other.crowds_;
      crowd_count_ = other.crowd_count_;
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
    if (!bins_.empty()) return true;
    if (!bins_.resize(size_bins::kCount)) return false;
    for (RadixDirectory& bin : bins_)
      bin.make();
    return true;
  }

  // The bound on node visits of one look-up, insertion or erasure.
  [[nodiscard]] static constexpr unsigned key_bits() noexcept { return size_bins::kMaxLowBits + 32; }

  // Whether prepare() has something to do.
  [[nodiscard]] bool wants_memory() const noexcept { return crowd_count_ != 0; }
  // Gives bins that have been crowded since the last time the slots that would have been right then: holes
  // that come by the thousand between two allocations, and merge before the second, will come again.
  void prepare(Pool& pool) noexcept {
    for (std::uint32_t i = 0; i < crowd_count_; ++i)
      rehouse(pool, crowds_[i]);
    crowd_count_ = 0;
  }

  [[gnu::always_inline]] void insert(Pool& pool, Probe& probe, Index node) noexcept {
    const std::uint32_t size = pool[node].size;
    if (is_exact(size)) [[likely]] {
      insert_small(size, pool, probe, node);
    } else {
      insert_large(pool, probe, node);
    }
  }
  void erase(Pool& pool, Probe& probe, Index node) noexcept {
    erase_in(size_bins::place_of(pool[node].size), pool, probe, node);
  }
  // The smallest size that some hole has and that is not below `size`, if it has a bin of its own; otherwise
  // a number that is no such size.
  [[nodiscard]] std::uint32_t exact_size_from(std::uint32_t size) const noexcept {
    return is_exact(size) ? occupied_.find_from(size) : kNone;
  }
  [[nodiscard]] static bool is_exact(std::uint32_t size) noexcept { return size < size_bins::kExactBins; }
  // Takes out the lowest hole of a size that is_exact and that some hole has.
  [[nodiscard, gnu::always_inline]] Index take_lowest(Pool& pool, Probe& probe, std::uint32_t size) noexcept {
    const Index node = bins_.data()[size].take_first(View(pool, probe, 0));
    if (bins_.data()[size].empty()) occupied_.clear(size);
    return node;
  }
  // Whether `node` is alone in its bin, and a hole of `rest` belongs there too, as with the block's last
  // hole.
  [[nodiscard]] bool could_replace(Pool& pool, Probe& probe, Index node, std::uint32_t rest) const noexcept {
    const size_bins::Place at = size_bins::place_of(pool[node].size);
    return size_bins::bin_of(rest) == at.bin && bins_.data()[at.bin].is_only(View(pool, probe, at.low), node);
  }
  // `rest` for that node, of whose sizes this is one; nothing is moved.
  void replace(Pool& pool, Probe& probe, std::uint32_t size, Index rest) noexcept {
    const size_bins::Place at = size_bins::place_of(size);
    bins_.data()[at.bin].replace_only(View(pool, probe, at.low), rest);
  }

  // The smallest hole of at least `size`, the lowest among equals, or 0.
  [[nodiscard]] Index best_fit(Pool& pool, Probe& probe, std::uint32_t size) const noexcept {
    return is_exact(size) ? first_from(probe, size) : lower_bound(pool, probe, size, 0);
  }
  // The smallest hole in the order (size, offset) that is not below (size, offset), or 0.
  [[nodiscard]] Index lower_bound(Pool& pool, Probe& probe, std::uint32_t size,
                                  std::uint64_t offset) const noexcept {
    const size_bins::Place at = size_bins::place_of(size);
    if (occupied_.test(at.bin) && offset >> 32U == 0) {
      const View view(pool, probe, at.low);
      const Index node =
          bins_.data()[at.bin].lower_bound(view, view.path(std::uint64_t{size} << 32U | offset));
      if (node != 0) return node;
    }
    return first_from(probe, at.bin + 1);
  }
  // The greatest hole in the order (size, offset), or 0.
  [[nodiscard]] Index greatest(Pool& pool, Probe& probe) const noexcept {
    const std::uint32_t bin = occupied_.find_last();
    return bin == kNone ? 0 : bins_[bin].greatest(view_of(pool, probe, bin));
  }

  [[nodiscard]] const char* validate(Pool& pool, Probe& probe) const noexcept {
    if (const char* wrong = occupied_.validate(); wrong != nullptr) return wrong;
    if (pool.high_water() == 0) return nullptr;  // no node yet, so no hole
    for (std::uint32_t bin = 0; bin < bins_.size(); ++bin) {
      if (occupied_.test(bin) == bins_[bin].empty()) return "a bin's bit disagrees with its directory";
      if (const char* wrong = bins_[bin].validate(view_of(pool, probe, bin)); wrong != nullptr) return wrong;
    }
    return nullptr;
  }

 private:
  using Occupied = TwoLevelBitmap<size_bins::kCount>;
  static constexpr std::uint32_t kNone = Occupied::kNone;
  static constexpr std::size_t kHouseAlignment = 64;

  // A bin's holes as the radix trees see them. Paths are the bits in which they can differ, from the top.
  struct View {
    Node* nodes;
    Probe& probe;
    unsigned shift;

    // `low`: the bin's low_bits.
    View(Pool& pool, Probe& counter, unsigned low) noexcept
        : nodes(&pool[0]), probe(counter), shift(32 - low) {}
    [[nodiscard]] std::uint64_t path(Index node) const noexcept {
      probe.visit();
      return path(std::uint64_t{nodes[node].size} << 32U | nodes[node].offset);
    }
    // The upper bits of the size, which are the bin's, are shifted out.
    [[nodiscard]] std::uint64_t path(std::uint64_t size_and_offset) const noexcept {
      return size_and_offset << shift;
    }
    [[nodiscard]] RadixChildren& children(Index node) const noexcept { return nodes[node].children; }
    void visit() const noexcept { probe.visit(); }
  };
  [[nodiscard]] static View view_of(Pool& pool, Probe& probe, std::uint32_t bin) noexcept {
    return View(pool, probe, size_bins::low_bits(bin));
  }
  // A bin of one size is seldom empty, which is then quicker asked than written. Whether a bin of many sizes
  // is empty is a coin's toss: there it is written in any case.
  [[gnu::always_inline]] void insert_small(std::uint32_t bin, Pool& pool, Probe& probe, Index node) noexcept {
    if (bins_.data()[bin].empty()) occupied_.set(bin);
    insert_in({bin, 0}, pool, probe, node);
  }
  [[gnu::noinline]] void insert_large(Pool& pool, Probe& probe, Index node) noexcept {
    const size_bins::Place at = size_bins::place_of(pool[node].size);
    occupied_.set(at.bin);
    insert_in(at, pool, probe, node);
  }
  [[gnu::always_inline]] void insert_in(size_bins::Place at, Pool& pool, Probe& probe, Index node) noexcept {
    if (bins_.data()[at.bin].insert(View(pool, probe, at.low), node)) [[unlikely]]
      note_crowd(pool, at.bin);
  }
  void erase_in(size_bins::Place at, Pool& pool, Probe& probe, Index node) noexcept {
    bins_.data()[at.bin].erase(View(pool, probe, at.low), node);
    occupied_.clear_if(at.bin, bins_.data()[at.bin].empty());
  }

  // A bin that was put into though it was crowded, and the shape it should have.
  struct Crowd {
    std::uint32_t bin;
    RadixDirectory::Shape shape;
  };

  // What is seldom counts no visits: a node is moved at most once each time that its bin's holes have become
  // twice as many, or that they have come to lie elsewhere.
  [[gnu::noinline]] void note_crowd(Pool& pool, std::uint32_t bin) noexcept {
    Probe seldom;
    const RadixDirectory::Shape shape = bins_[bin].better_shape(view_of(pool, seldom, bin));
    if (shape == bins_[bin].shape()) return;
    std::uint32_t i = 0;
    while (i < crowd_count_ && crowds_[i].bin != bin)
      ++i;
    if (i == crowds_.size()) return;  // its turn comes when it is next put into
    if (i == crowd_count_) {
      crowds_[crowd_count_++] = {bin, shape};
    } else if (crowds_[i].shape.last <= shape.last) {
      crowds_[i].shape = shape;
    }
  }
  void rehouse(Pool& pool, const Crowd& crowd) noexcept {
    RadixDirectory& directory = bins_[crowd.bin];
    const HostAllocator& host = bins_.host();
    void* memory = host.allocate(host.user, crowd.shape.bytes(), kHouseAlignment);
    if (memory == nullptr) return;
    void* former = directory.house();
    const std::size_t former_bytes = directory.shape().bytes();
    Probe seldom;
    directory.rehouse(view_of(pool, seldom, crowd.bin), crowd.shape, memory);
    if (former != nullptr) host.deallocate(host.user, former, former_bytes, kHouseAlignment);
  }
  void release_houses() noexcept {
    const HostAllocator& host = bins_.host();
    for (const RadixDirectory& bin : bins_) {
      if (void* house = bin.house(); house != nullptr) {
        host.deallocate(host.user, house, bin.shape().bytes(), kHouseAlignment);
      }
    }
  }

  // The smallest hole of all in `bin` and above, or 0.
  [[nodiscard]] Index first_from(Probe& probe, std::uint32_t bin) const noexcept {
    const std::uint32_t found = occupied_.find_from(bin);
    if (found == kNone) return 0;
    probe.visit();
    return bins_.data()[found].first();
  }

  HostArray<RadixDirectory> bins_;
  std::uint32_t crowd_count_ = 0;
  Occupied occupied_;
  std::array<Crowd, 8> crowds_{};
};

}  // namespace vaspace
