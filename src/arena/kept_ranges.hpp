// Ranges of an object arena that a thread freed and will likely ask for again: stacks of ranges of equal
// size.
//
//   size (granules)     4096   [ a b . . . . . . ]        a stack per size that has come twice,
//                       1024   [ c . . . . . . . ]        found by the size's leading bits
//
// Always true: a kept range is placed, and nobody's; its pages are touched; all ranges of a stack have its
// size. What is kept is bounded: kStacks * kDepth ranges of at most kMostBytes together. Part of a front, and
// in the hands of who has that.
//
// Where room is short, what is kept is soon missed: who finds none takes it all out again. Then less is kept,
// half each time that this comes early, and a little more with every range that had to go another way. Where
// several threads miss each other's ranges early, a window more helps all of them.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "vaspace/base/units.hpp"

#include "arena/figure.hpp"

namespace vaspace {

class KeptRanges {
 public:
  static constexpr std::uint32_t kStacks = 32;
  static constexpr std::uint32_t kDepth = 8;
  static constexpr Bytes kMostBytes = 64_MiB;

  // What went through here has added to the arena's figures; they wrap.
  Figure<std::uint64_t> live_count;
  Figure<std::uint64_t> live_bytes;
  Figure<std::uint64_t> used_bytes;

  [[nodiscard]] std::uint32_t count() const noexcept { return count_.get(); }

  // False: not kept.
  [[nodiscard]] bool put(std::uint64_t granules, Bytes size, std::uint32_t index) noexcept {
    Stack& stack = stack_of(granules);
    if (stack.granules != granules) [[unlikely]] {
      // A size has to come again before it gets a stack.
      if (stack.count == 0) stack.granules = granules;
      return false;
    }
    if (stack.count == kDepth) return false;
    if (bytes_ + size > most_) [[unlikely]] {
      most_ = std::min(most_ + Bytes{size.value / kSteps}, kMostBytes);
      return false;
    }
    stack.ranges[stack.count++] = index;
    bytes_ += size;
    count_.add(1);
    return true;
  }
  // The last one of this size that was kept, if fits(index); else 0, which is no range.
  template <class Fits>
  [[nodiscard]] std::uint32_t take(std::uint64_t granules, Fits&& fits) noexcept {
    Stack& stack = stack_of(granules);
    if (stack.granules != granules || stack.count == 0) return 0;
    const std::uint32_t index = stack.ranges[stack.count - 1];
    const Bytes size = fits(index);
    if (size == Bytes{}) return 0;
    --stack.count;
    bytes_ -= size;
    ++taken_;
    count_.add(~std::uint32_t{0});
    return index;
  }
  // Somebody found no room, and all of it is about to be taken out.
  void miss() noexcept {
    if (bytes_ == Bytes{} && taken_ == 0) return;  // it keeps nobody from anything
    const bool early = taken_ < kEarly;
    if (early) most_ = Bytes{std::min(most_, bytes_).value / 2};
    early_ = early ? early_ + 1 : 0;
    taken_ = 0;
  }
  // It has missed early twice in a row.
  [[nodiscard]] bool is_short() const noexcept { return early_ >= 2; }
  [[nodiscard]] bool is_limited() const noexcept { return early_ != 0 || most_ != kMostBytes; }
  // There is more room now.
  void relax() noexcept {
    early_ = 0;
    most_ = kMostBytes;
  }
  // Takes all out, calling visit(index) for each.
  template <class Visit>
  void take_all(Visit&& visit) noexcept {
    for_each(visit);
    for (Stack& stack : stacks_)
      stack.count = 0;
    bytes_ = {};
    count_.set(0);
  }
  template <class Visit>
  void for_each(Visit&& visit) const noexcept {
    for (const Stack& stack : stacks_) {
      for (std::uint32_t i = 0; i < stack.count; ++i)
        visit(stack.ranges[i]);
    }
  }

 private:
  struct Stack {
    std::uint64_t granules = 0;
    std::uint32_t count = 0;
    std::array<std::uint32_t, kDepth> ranges{};
  };

  // By the size's magnitude and the three bits below its first: neighbouring powers of two do not meet, nor
  // do the sizes of up to 15 granules.
  [[nodiscard]] Stack& stack_of(std::uint64_t granules) noexcept {
    const auto width = static_cast<std::uint32_t>(std::bit_width(granules));
    const auto below = static_cast<std::uint32_t>((granules << 3U) >> (width - 1)) & 7U;
    return stacks_[(width * 8 + below) % kStacks];
  }

  static constexpr std::uint32_t kEarly = 4096;  // taken since the last time; what then is gained is little
  static constexpr std::uint64_t kSteps = 64;

  std::array<Stack, kStacks> stacks_{};
  Bytes bytes_{};
  Bytes most_ = kMostBytes;
  std::uint32_t taken_ = 0;
  std::uint32_t early_ = 0;
  Figure<std::uint32_t> count_;
};

}  // namespace vaspace
