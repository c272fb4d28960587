// The page table with the map algebra inside: runs of pages with the same entry are one interval, so that a
// range of untouched or of just touched pages costs one interval however long it is.
//
//   pages     [ 1 ][ 1 ][ 1 ]....................[ 2 ][ 1 ]      touched by so many; .... nothing known
//   map       |--binding----|                    | 2 || 1 |
//
// Always true: no interval says of a page what is said of every page that nobody knows (PageEntry{}).
//
// O(log n) per page in the number of intervals, where PageArray's is one load: what commits pages on every
// allocation has that one (docs/va.md).
#pragma once

#include "vaspace/range/interval_map.hpp"
#include "vaspace/va/page_table.hpp"

namespace vaspace {

// Entries of pages by number, in a map. Externally synchronised.
class PageMap {
 public:
  // An entry in hand: what was changed of it is written back when it goes.
  class Edit : public PageEntry {
   public:
    Edit(const Edit&) = delete;
    Edit& operator=(const Edit&) = delete;
    ~Edit() { pages_.write(page_, before_, *this); }

   private:
    friend class PageMap;
    Edit(PageMap& pages, std::uint32_t page, const PageEntry& entry) noexcept
        : PageEntry(entry), pages_(pages), before_(entry), page_(page) {}

    PageMap& pages_;
    PageEntry before_;
    std::uint32_t page_;
  };

  PageMap(unsigned /*window_page_bits*/, const HostAllocator& host) noexcept : entries_(host) {}
  PageMap(const PageMap&) = delete;
  PageMap& operator=(const PageMap&) = delete;

  // As PageArray's.
  [[nodiscard]] static bool reserve(std::uint64_t /*pages*/) noexcept { return true; }
  [[nodiscard]] bool make_room(std::uint32_t first, std::uint32_t last) noexcept;
  [[nodiscard]] bool knows(std::uint32_t page) const noexcept { return entries_.find(page).has_value(); }
  [[nodiscard]] Edit edit(std::uint32_t page) noexcept { return {*this, page, at(page)}; }
  [[nodiscard]] PageEntry at(std::uint32_t page) const noexcept {
    return entries_.at(page).value_or(PageEntry{});
  }
  template <class See>
  void for_each(std::uint32_t begin, std::uint32_t end, See&& see) const noexcept {
    for (auto at = entries_.lower_bound(begin); at != entries_.end(); ++at) {
      const auto run = *at;
      if (run.begin >= end) return;
      see(run.value, (run.end < end ? run.end : end) - (run.begin > begin ? run.begin : begin));
    }
  }
  [[nodiscard]] const char* validate() const noexcept;

  // Intervals that it takes to say all this.
  [[nodiscard]] std::size_t intervals() const noexcept { return entries_.size(); }

 private:
  void write(std::uint32_t page, const PageEntry& before, const PageEntry& after) noexcept;

  IntervalMap<PageEntry> entries_;  // by number
  std::uint64_t known_ = 0;         // pages in intervals
};

using MappedPageTable = PageTableOver<PageMap>;
extern template class PageTableOver<PageMap>;

}  // namespace vaspace
