// What the parts of PagedSpace share.
#pragma once

#include <algorithm>

#include "vaspace/va/paged_space.hpp"

#include "forever.hpp"

namespace vaspace {

// Lists of pages to be meshed, by how full they are: a pass and its dry run take them in the same order.
inline constexpr std::uint32_t kMeshLevels = 256;
[[nodiscard]] constexpr std::uint32_t mesh_level(std::uint32_t live, std::uint32_t cells) noexcept {
  return static_cast<std::uint32_t>(std::uint64_t{live} * kMeshLevels / cells);
}

// f(page, first cell, behind its last cell) for every page of the span.
template <class F>
void PagedSpace::each_page(const Span& span, F&& f) const {
  for (std::uint32_t page = span.first_page; page <= span.last_page; ++page) {
    const std::uint32_t begin = page == span.first_page ? span.first_cell : 0;
    const std::uint32_t end = page == span.last_page ? span.last_cell : books_.cells();
    f(page, begin, end);
  }
}

// What a frame holds of physical memory while nothing behind it is live.
inline Bytes PagedSpace::empty_of(std::uint32_t index) const noexcept {
  const PageBooks::Frame& frame = books_.frame(index);
  const bool empty = frame.physical && frame.members != 0 && frame.live_pages == 0;
  return empty ? (frame.large ? large_ : small_) : Bytes{};
}

// A change of a frame or its members, in the books.
template <class F>
void PagedSpace::change_frame(std::uint32_t frame, F&& change) {
  empty_bytes_ -= empty_of(frame);
  change();
  empty_bytes_ += empty_of(frame);
}

}  // namespace vaspace
