// A set of small integers that finds its lowest member in O(levels): bits, a bit per non-empty word above
// them, and so on up to a single word.
//
//   level 1 (top)   [ 1 0 1 0 ...                            ]   bit w: level 0's word w is not 0
//                     |   '------------------.
//   level 0         [ 0 1 1 0 ... ] [ 0 ... ] [ 1 0 0 ... ] ...  bit i: i is in the set
//
// Always true: a bit of a level is set exactly when the word below it is not zero; the top level is one word;
// bits at and above size() are clear. At most kMaxLevels levels (64^6 members), so every operation is O(1).
// Only grow() asks the host allocator for memory. Externally synchronised.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstdint>

#include "vaspace/base/host_array.hpp"

namespace vaspace {

class HierarchicalBitmap {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr unsigned kMaxLevels = 6;

  explicit HierarchicalBitmap(const HostAllocator& host) noexcept {
    for (auto& level : levels_)
      level = HostArray<std::uint64_t>(host);
  }

  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return depth_ == 0 || levels_[depth_ - 1][0] == 0; }

  // Room for members below `size`; the new ones are not in the set. False: no host memory, nothing changed.
  [[nodiscard]] bool grow(std::uint32_t size) noexcept;

  [[nodiscard]] bool test(std::uint32_t i) const noexcept {
    assert(i < size_);
    return ((levels_[0].data()[i >> 6U] >> (i & 63U)) & 1U) != 0;
  }

  void set(std::uint32_t i) noexcept {
    assert(i < size_);
    for (unsigned level = 0; level < depth_; ++level) {
      std::uint64_t& word = levels_[level].data()[i >> 6U];
      const std::uint64_t before = word;
      word = before | (std::uint64_t{1} << (i & 63U));
      if (before != 0) return;
      i >>= 6U;
    }
  }

  void clear(std::uint32_t i) noexcept {
    assert(i < size_);
    for (unsigned level = 0; level < depth_; ++level) {
      std::uint64_t& word = levels_[level].data()[i >> 6U];
      word &= ~(std::uint64_t{1} << (i & 63U));
      if (word != 0) return;
      i >>= 6U;
    }
  }

  // Every number of [begin, end), which is not empty, is a member; or none is. A word at a time.
  void set_range(std::uint32_t begin, std::uint32_t end) noexcept;
  void clear_range(std::uint32_t begin, std::uint32_t end) noexcept;

  // The lowest member, or kNone.
  [[nodiscard]] std::uint32_t find_first() const noexcept {
    if (empty()) return kNone;
    return lowest_below(depth_ - 1, 0);
  }

  // The lowest member that is not below `i`, or kNone.
  [[nodiscard]] std::uint32_t find_from(std::uint32_t i) const noexcept {
    for (unsigned level = 0; level < depth_; ++level) {
      const std::uint32_t word = i >> 6U;
      if (word >= levels_[level].size()) return kNone;
      const std::uint64_t rest = levels_[level].data()[word] & (~std::uint64_t{0} << (i & 63U));
      if (rest != 0) {
        const std::uint32_t found = (word << 6U) | static_cast<std::uint32_t>(std::countr_zero(rest));
        return level == 0 ? found : lowest_below(level - 1, found);
      }
      i = word + 1;
    }
    return kNone;
  }

  // The highest member, or kNone.
  [[nodiscard]] std::uint32_t find_last() const noexcept;

  // Takes the lowest member out: find_first and clear in one.
  [[nodiscard]] std::uint32_t take_first() noexcept {
    const std::uint32_t found = find_first();
    if (found != kNone) clear(found);
    return found;
  }

  // Takes up to `most` out, the lowest, in order; how many. A word at a time.
  [[nodiscard]] std::uint32_t take_first(std::uint32_t* members, std::uint32_t most) noexcept;

  // The same out of one word of 64, which may be empty.
  [[nodiscard]] std::uint32_t take_from_word(std::uint32_t word, std::uint32_t* members,
                                             std::uint32_t most) noexcept;
  // Whether all 64 of a word are members.
  [[nodiscard]] bool is_full(std::uint32_t word) const noexcept {
    return levels_[0].data()[word] == ~std::uint64_t{0};
  }

  [[nodiscard]] std::uint32_t count() const noexcept;
  // Checks the sentences at the top; nullptr, or the first that does not hold.
  [[nodiscard]] const char* validate() const noexcept;

 private:
  // The lowest member behind bit `word` of `level + 1`, which is set.
  [[nodiscard]] std::uint32_t lowest_below(unsigned level, std::uint32_t word) const noexcept {
    for (;; --level) {
      const std::uint64_t bits = levels_[level].data()[word];
      word = (word << 6U) | static_cast<std::uint32_t>(std::countr_zero(bits));
      if (level == 0) return word;
    }
  }

  std::array<HostArray<std::uint64_t>, kMaxLevels> levels_;
  unsigned depth_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace vaspace
