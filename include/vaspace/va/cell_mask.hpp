// Which cells of a page hold a live byte: a bit each, in words that lie elsewhere.
//
//   cells   |##..|.###|    runs   [0,2) [5,8)
//
// Always true of every function: bits outside the range it names stay as they are.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace vaspace {

using CellMask = std::span<const std::uint64_t>;
inline constexpr std::uint32_t kCellsPerWord = 64;

// The bits of [begin, end) that lie in word `index`.
[[nodiscard]] constexpr std::uint64_t cells_of_word(std::uint32_t index, std::uint32_t begin,
                                                    std::uint32_t end) noexcept {
  const std::uint32_t low = index * kCellsPerWord;
  const std::uint32_t from = begin > low ? begin - low : 0;
  const std::uint32_t to = end < low + kCellsPerWord ? end - low : kCellsPerWord;
  const std::uint64_t below = to == kCellsPerWord ? ~std::uint64_t{0} : (std::uint64_t{1} << to) - 1;
  return below & (~std::uint64_t{0} << from);
}

// f(word index, bits) for every word that [begin, end) touches; the range is not empty.
template <class F>
constexpr void each_word(std::uint32_t begin, std::uint32_t end, F&& f) {
  for (std::uint32_t i = begin / kCellsPerWord; i <= (end - 1) / kCellsPerWord; ++i)
    f(i, cells_of_word(i, begin, end));
}

[[nodiscard]] constexpr bool any_cell(CellMask mask, std::uint32_t begin, std::uint32_t end) noexcept {
  bool any = false;
  each_word(begin, end, [&](std::uint32_t i, std::uint64_t bits) { any = any || (mask[i] & bits) != 0; });
  return any;
}
[[nodiscard]] constexpr bool all_cells(CellMask mask, std::uint32_t begin, std::uint32_t end) noexcept {
  bool all = true;
  each_word(begin, end, [&](std::uint32_t i, std::uint64_t bits) { all = all && (mask[i] & bits) == bits; });
  return all;
}
constexpr void set_cells(std::span<std::uint64_t> mask, std::uint32_t begin, std::uint32_t end) noexcept {
  each_word(begin, end, [&](std::uint32_t i, std::uint64_t bits) { mask[i] |= bits; });
}
constexpr void clear_cells(std::span<std::uint64_t> mask, std::uint32_t begin, std::uint32_t end) noexcept {
  each_word(begin, end, [&](std::uint32_t i, std::uint64_t bits) { mask[i] &= ~bits; });
}
[[nodiscard]] constexpr bool disjoint(CellMask a, CellMask b) noexcept {
  for (std::size_t i = 0; i < a.size(); ++i)
    if ((a[i] & b[i]) != 0) return false;
  return true;
}
[[nodiscard]] constexpr std::uint32_t count_cells(CellMask mask) noexcept {
  std::uint32_t count = 0;
  for (const std::uint64_t word : mask)
    count += static_cast<std::uint32_t>(std::popcount(word));
  return count;
}

// f(begin, end) for every run of set cells, rising. f answers whether to go on.
template <class F>
constexpr void each_run(CellMask mask, F&& f) {
  const auto cells = static_cast<std::uint32_t>(mask.size()) * kCellsPerWord;
  const auto next = [&](std::uint32_t from, bool set) {
    while (from < cells) {
      const std::uint64_t word = set ? mask[from / kCellsPerWord] : ~mask[from / kCellsPerWord];
      const std::uint64_t left = word & (~std::uint64_t{0} << (from % kCellsPerWord));
      if (left != 0)
        return from / kCellsPerWord * kCellsPerWord + static_cast<std::uint32_t>(std::countr_zero(left));
      from = (from / kCellsPerWord + 1) * kCellsPerWord;
    }
    return cells;
  };
  for (std::uint32_t begin = next(0, true); begin < cells;) {
    const std::uint32_t end = next(begin, false);
    if (!f(begin, end)) return;
    begin = next(end, true);
  }
}

}  // namespace vaspace
