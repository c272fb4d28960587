// A set of a few thousand small integers: a bit each, and one word with a bit per word that is not zero.
//
//   top    [ 1 0 1 ]                                bit w: words[w] is not 0
//   words  [ 0 1 1 0 ... ] [ 0 ... ] [ 1 0 ... ]    bit i: i is in the set
//
// Always true: a bit of the top is set exactly when its word is not zero. No change branches on what is in
// the set. Externally synchronised.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstdint>

#include "vaspace/range/lowest_bit.hpp"

namespace vaspace {

template <std::uint32_t kSize>
class TwoLevelBitmap {
  static_assert(kSize > 0 && kSize <= 64 * 64);

 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  [[nodiscard]] bool test(std::uint32_t i) const noexcept {
    return ((words_[i >> 6U] >> (i & 63U)) & 1U) != 0;
  }

  void set(std::uint32_t i) noexcept {
    assert(i < kSize);
    words_[i >> 6U] |= std::uint64_t{1} << (i & 63U);
    top_ |= std::uint64_t{1} << (i >> 6U);
  }
  void clear(std::uint32_t i) noexcept {
    assert(i < kSize);
    std::uint64_t& word = words_[i >> 6U];
    word &= ~(std::uint64_t{1} << (i & 63U));
    top_ &= ~(std::uint64_t{word == 0} << (i >> 6U));
  }
  void reset() noexcept { *this = {}; }

  // Takes `i` out if `gone`, without a branch on it.
  void clear_if(std::uint32_t i, bool gone) noexcept {
    assert(i < kSize);
    std::uint64_t& word = words_[i >> 6U];
    word &= ~(std::uint64_t{gone} << (i & 63U));
    top_ &= ~(std::uint64_t{word == 0} << (i >> 6U));
  }

  // The lowest member that is not below `i`, or kNone.
  [[nodiscard]] std::uint32_t find_from(std::uint32_t i) const noexcept {
    if (i >= kSize) return kNone;
    const std::uint64_t here = words_[i >> 6U] >> (i & 63U);
    if (here != 0) return i + lowest_bit(here);
    const std::uint64_t above = top_ & (~std::uint64_t{1} << (i >> 6U));
    if (above == 0) return kNone;
    const auto word = lowest_bit(above);
    return (word << 6U) | lowest_bit(words_[word]);
  }
  // The highest member, or kNone.
  [[nodiscard]] std::uint32_t find_last() const noexcept {
    if (top_ == 0) return kNone;
    const auto word = static_cast<std::uint32_t>(63 - std::countl_zero(top_));
    return (word << 6U) | static_cast<std::uint32_t>(63 - std::countl_zero(words_[word]));
  }

  // nullptr, or the sentence above that does not hold.
  [[nodiscard]] const char* validate() const noexcept {
    for (std::uint32_t word = 0; word < 64; ++word) {
      const bool marked = ((top_ >> word) & 1U) != 0;
      if (marked != (word < words_.size() && words_[word] != 0)) return "a top bit disagrees with its word";
    }
    return nullptr;
  }

 private:
  std::uint64_t top_ = 0;
  std::array<std::uint64_t, (kSize + 63) / 64> words_{};
};

}  // namespace vaspace
