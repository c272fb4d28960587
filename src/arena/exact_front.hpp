// Ranges of an object arena that were freed and are likely asked for again: stacks of ranges of equal size.
//
//   size (granules)     4096   [ a b . . . . . . ]        a stack per size that has come twice,
//                       1024   [ c . . . . . . . ]        found by the size's leading bits
//
// Always true: a kept range is live in its strategy, under an id that nobody has and with nothing asked for;
// its pages are touched; all ranges of a stack have its size. What it keeps is bounded: kStacks * kDepth
// ranges of at most kMostBytes together. Guarded by the arena's lock.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <utility>

#include "vaspace/range/range.hpp"

namespace vaspace {

class ExactFront {
 public:
  static constexpr std::uint32_t kStacks = 32;
  static constexpr std::uint32_t kDepth = 8;
  static constexpr Bytes kMostBytes = 64_MiB;

  [[nodiscard]] Bytes bytes() const noexcept { return bytes_; }
  // Whether it was put to or taken from since this was last asked.
  [[nodiscard]] bool was_used() noexcept { return std::exchange(used_, false); }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

  // Whether a freed range of this size is to be kept; if so put() follows. `granules` is its size.
  [[nodiscard]] bool wants(std::uint64_t granules, Bytes size) noexcept {
    Stack& stack = stack_of(granules);
    if (stack.granules == granules) [[likely]]
      return stack.count != kDepth && bytes_ + size <= kMostBytes;
    // A size has to come again before it gets a stack.
    if (stack.count == 0) stack.granules = granules;
    return false;
  }
  void put(std::uint64_t granules, const Range& range) noexcept {
    Stack& stack = stack_of(granules);
    stack.ranges[stack.count++] = {range.offset, range.id};
    bytes_ += range.size;
    ++count_;
    used_ = true;
  }
  // A kept range of this size that lies at the alignment, `id` 0 if there is none.
  [[nodiscard]] Range take(std::uint64_t granules, Bytes size, Alignment alignment) noexcept {
    Stack& stack = stack_of(granules);
    if (stack.granules != granules || stack.count == 0) return {};
    const Kept top = stack.ranges[stack.count - 1];
    if (!is_aligned(top.offset, alignment)) return {};
    --stack.count;
    bytes_ -= size;
    --count_;
    used_ = true;
    return {top.offset, size, top.id};
  }
  // Takes all out, calling visit(RangeId) for each.
  template <class Visit>
  void take_all(Visit&& visit) noexcept {
    for_each(visit);
    for (Stack& stack : stacks_)
      stack.count = 0;
    bytes_ = {};
    count_ = 0;
  }
  template <class Visit>
  void for_each(Visit&& visit) const noexcept {
    for (const Stack& stack : stacks_) {
      for (std::uint32_t i = 0; i < stack.count; ++i)
        visit(stack.ranges[i].id);
    }
  }

 private:
  struct Kept {
    Offset offset{};
    RangeId id{};
  };
  struct Stack {
    std::uint64_t granules = 0;
    std::uint32_t count = 0;
    std::array<Kept, kDepth> ranges{};
  };

  // By the size's magnitude and the three bits below its first: neighbouring powers of two do not meet, nor
  // do the sizes of up to 15 granules.
  [[nodiscard]] Stack& stack_of(std::uint64_t granules) noexcept {
    const auto width = static_cast<std::uint32_t>(std::bit_width(granules));
    const auto below = static_cast<std::uint32_t>((granules << 3U) >> (width - 1)) & 7U;
    return stacks_[(width * 8 + below) % kStacks];
  }

  std::array<Stack, kStacks> stacks_{};
  Bytes bytes_{};
  std::uint32_t count_ = 0;
  bool used_ = false;
};

}  // namespace vaspace
