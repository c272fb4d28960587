// Which ids of a trace live, and under which number.
//
// Always true: an id is in the table at most once; at most half of the cells are taken, so that every search
// ends; insert() that fails, for want of host memory, has changed nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "vaspace/base/host_array.hpp"

namespace vaspace::trace {

class LiveIds {
 public:
  enum class Insert : std::uint8_t { done, is_live, no_memory };

  explicit LiveIds(const HostAllocator& host) noexcept : cells_(host) {}

  // O(1) on average; doubles the table when it is half full.
  [[nodiscard]] Insert insert(std::uint64_t id, std::uint32_t number) noexcept;
  // The number of `id`, which lives no longer; nothing where it did not live. O(1) on average.
  [[nodiscard]] std::optional<std::uint32_t> remove(std::uint64_t id) noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return live_; }

 private:
  struct Cell {
    std::uint64_t id = 0;
    std::uint32_t number = 0;
    bool taken = false;
  };

  [[nodiscard]] std::size_t home(std::uint64_t id) const noexcept;
  [[nodiscard]] std::size_t cell_of(
      std::uint64_t id) const noexcept;  // its cell, or the free one it would get
  [[nodiscard]] std::size_t after(std::size_t cell) const noexcept {
    return (cell + 1) & (cells_.size() - 1);
  }
  [[nodiscard]] bool grow() noexcept;
  void close_gap(std::size_t gap) noexcept;

  HostArray<Cell> cells_;  // a power of two of them, or none
  std::size_t live_ = 0;
};

}  // namespace vaspace::trace
