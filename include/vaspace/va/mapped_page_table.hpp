// PageTable's interface with the map algebra inside: runs of pages in the same state are one interval, so
// that what is reserved and never touched costs nothing, and a range of untouched or of just touched pages
// costs one interval however long it is.
//
//   pages     [ 1 ][ 1 ][ 1 ]....................[ 2 ][ 1 ]      touched by so many; .... nothing known
//   map       |--binding----|                    | 2 || 1 |
//
// Always true: what PageTable's header says; and no interval says of a page what is said of every page that
// nobody knows.
//
// O(log n) per page in the number of intervals, where PageTable's is one load: what commits pages on every
// allocation has that one (docs/va.md).
#pragma once

#include "vaspace/range/interval_map.hpp"
#include "vaspace/va/page_table.hpp"

namespace vaspace {

// What is known of a page.
struct MappedPage {
  enum class State : std::uint8_t { unbound, binding, bound, unbinding };

  PhysicalId physical{};
  std::uint32_t touched = 0;
  State state = State::unbound;
  bool queued = false;
  bool bind_failed = false;  // since it was last bound, for those who waited

  friend bool operator==(const MappedPage&, const MappedPage&) noexcept = default;
};

// Externally synchronised.
class MappedPageTable {
 public:
  using Touch = PageTable::Touch;
  using Step = PageTable::Step;

  // `page_size` and `window_size` are powers of two.
  MappedPageTable(Bytes page_size, Bytes window_size, const HostAllocator& host) noexcept;
  MappedPageTable(const MappedPageTable&) = delete;
  MappedPageTable& operator=(const MappedPageTable&) = delete;

  // All as PageTable's.
  [[nodiscard]] bool add_window(std::uint32_t window, Address address, Bytes size) noexcept;
  void remove_window(std::uint32_t window) noexcept { windows_[window] = {}; }
  [[nodiscard]] std::uint32_t window_bound(std::uint32_t window) const noexcept {
    return windows_[window].bound;
  }
  [[nodiscard]] Touch touch(Offset begin, Bytes size) noexcept;
  [[nodiscard]] bool touch_bound(Offset begin, Bytes size, std::uint32_t times = 1) noexcept;
  void release(Offset begin, Bytes size) noexcept;
  [[nodiscard]] Step begin_bind(Offset begin, Bytes size, PageBatch& batch, bool& waited) noexcept;
  void end_bind(const PageBatch& batch, bool bound, Error error) noexcept;
  [[nodiscard]] Error last_error() const noexcept { return last_error_; }
  [[nodiscard]] bool is_bound(Offset begin, Bytes size) const noexcept { return missing(begin, size) == 0; }
  [[nodiscard]] std::uint64_t missing(Offset begin, Bytes size) const noexcept;
  void detach(PageBatch& batch, std::uint32_t most) noexcept;
  void detach_range(PageBatch& batch, Offset& cursor, Offset end,
                    std::uint32_t most = PageBatch::kCapacity) noexcept;
  void detach_all(PageBatch& batch, Offset& cursor, Offset end) noexcept;
  void end_unbind(const PageBatch& batch, bool unbound) noexcept;

  [[nodiscard]] std::uint64_t empty() const noexcept { return empty_; }
  [[nodiscard]] std::uint64_t bound() const noexcept { return bound_; }
  [[nodiscard]] Bytes page_size() const noexcept { return Bytes{std::uint64_t{1} << page_bits_}; }
  [[nodiscard]] Offset window_begin(std::uint32_t window) const noexcept {
    return Offset{std::uint64_t{window} << (window_page_bits_ + page_bits_)};
  }
  [[nodiscard]] Offset window_end(std::uint32_t window) const noexcept {
    return window_begin(window) + Bytes{std::uint64_t{windows_[window].pages} << page_bits_};
  }
  // Intervals that it takes to say all this.
  [[nodiscard]] std::size_t intervals() const noexcept { return pages_.size(); }
  [[nodiscard]] const char* validate() const noexcept;

 private:
  using Page = MappedPage;
  using State = MappedPage::State;
  struct Window {
    Address address{};
    std::uint32_t pages = 0;
    std::uint32_t bound = 0;
  };

  [[nodiscard]] std::uint32_t page_of(Offset offset) const noexcept {
    return static_cast<std::uint32_t>(offset.value >> page_bits_);
  }
  [[nodiscard]] std::uint32_t last_page(Offset begin, Bytes size) const noexcept {
    return page_of(begin + size - Bytes{1});
  }
  [[nodiscard]] Page page(std::uint32_t index) const noexcept { return pages_.at(index).value_or(Page{}); }
  void set(std::uint32_t index, const Page& page) noexcept;
  [[nodiscard]] Window& window_of(std::uint32_t index) noexcept {
    return windows_[index >> window_page_bits_];
  }
  [[nodiscard]] Address address_of(std::uint32_t index) const noexcept;
  void enqueue(std::uint32_t index, Page& page) noexcept;
  void become_empty(std::uint32_t index, Page& page) noexcept;
  void take_out(PageBatch& batch, std::uint32_t index, Page page) noexcept;
  void detach_pages(PageBatch& batch, Offset& cursor, Offset end, std::uint32_t most,
                    bool touched_too) noexcept;

  unsigned page_bits_;
  unsigned window_page_bits_;
  IntervalMap<Page> pages_;           // by number
  IntervalMap<std::uint32_t> queue_;  // empty pages, and some that were touched again since, by ticket
  HostArray<Window> windows_;
  std::uint64_t known_ = 0;  // pages in intervals
  std::uint64_t next_ticket_ = 0;
  std::uint64_t empty_ = 0;
  std::uint64_t bound_ = 0;
  Error last_error_{};
};

}  // namespace vaspace
