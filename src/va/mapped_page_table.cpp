#include "vaspace/va/mapped_page_table.hpp"

#include <cassert>

#include "page_table_inl.hpp"

namespace vaspace {

// Each page may come to differ from its neighbours. Later changes of what is known need no more intervals
// than that, so nothing but this asks for host memory (R7).
bool PageMap::make_room(std::uint32_t first, std::uint32_t last) noexcept {
  return entries_.prepare(known_ + (last - first) + 1);
}

void PageMap::write(std::uint32_t page, const PageEntry& before, const PageEntry& after) noexcept {
  if (after == before) return;
  const bool was = before != PageEntry{};
  const bool is = after != PageEntry{};
  const std::uint64_t end = std::uint64_t{page} + 1;
  [[maybe_unused]] const Result<void> written =
      is ? entries_.assign(page, end, after) : entries_.erase(page, end);
  assert(written);
  known_ = known_ + (is ? 1U : 0U) - (was ? 1U : 0U);
}

const char* PageMap::validate() const noexcept {
  if (const char* wrong = entries_.validate()) return wrong;
  std::uint64_t known = 0;
  for (const auto& run : entries_) {
    if (run.value == PageEntry{}) return "an interval says nothing";
    known += run.end - run.begin;
  }
  return known == known_ ? nullptr : "pages in intervals are miscounted";
}

template class PageTableOver<PageMap>;

}  // namespace vaspace
