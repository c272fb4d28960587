// How many resources there are, counted by every thread for itself: two threads that create and destroy write
// no line in common.
//
// Always true: the sum over all cells is what there is; a cell alone may wrap, because who destroys is not
// who created.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "arena/thread_slots.hpp"

namespace vaspace::vulkan {

class ResourceCounts {
 public:
  enum Kind : std::uint32_t { buffers, images };

  void add(Kind kind) noexcept { count(kind, 1); }
  void remove(Kind kind) noexcept { count(kind, ~std::uint64_t{0}); }
  [[nodiscard]] std::uint64_t of(Kind kind) const noexcept {
    std::uint64_t sum = 0;
    for (const Cell& cell : cells_)
      sum += cell.counts[kind].load(std::memory_order_relaxed);
    return sum;
  }

 private:
  static constexpr std::uint32_t kCells = 32;

  struct alignas(64) Cell {
    std::array<std::atomic<std::uint64_t>, 2> counts{};
  };

  // A thread with a small number is alone in its cell; all others share the first.
  void count(Kind kind, std::uint64_t n) noexcept {
    const std::uint32_t mine = ThreadSlots::mine();
    if (mine - 1U < kCells - 1) [[likely]] {
      std::atomic<std::uint64_t>& own = cells_[mine].counts[kind];
      own.store(own.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    } else {
      cells_[0].counts[kind].fetch_add(n, std::memory_order_relaxed);
    }
  }

  std::array<Cell, kCells> cells_{};
};

}  // namespace vaspace::vulkan
