// Which pages of an offset space have physical memory behind them, and how many live ranges touch each.
//
//   offsets   |--a--|----b----|              |--c--|          ranges, as a range allocator placed them
//   pages     [    2    ][    1    ][    0    ][    1    ]    touched by so many
//               bound      bound      empty      bound        empty: bound, but touched by none
//
// What is empty is given back by detach(), or found again by the next range. The states of a page are drawn
// in page_entry.hpp.
//
// Always true: a page touched by a live range is bound, or in someone's hands with that range's thread
// waiting; bound pages touched by none are counted in empty(); a page is unbound only after the device has
// passed the point of its unbind (V27). touch() asks for host memory; release() and detach() never do, nor do
// they fail (R7).
//
// Windows are the spans of the range allocator: window w begins at offset w * window_size, and at its own
// address. Externally synchronised, by the owner's lock.
#pragma once

#include <cassert>
#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/va/page_array.hpp"
#include "vaspace/va/page_entry.hpp"

namespace vaspace {

enum class PageTouch : std::uint8_t {
  ready,    // every page is bound
  commit,   // some are not: begin_bind
  no_host,  // no host memory; nothing has changed
};
enum class PageStep : std::uint8_t {
  done,   // every page is bound
  bind,   // the batch is to be bound, then end_bind
  wait,   // a page is in another's hands: wait, then ask again
  failed  // a page that was waited for could not be bound: release and give up
};

// Pages: where the entries are, PageArray or PageMap (mapped_page_table.hpp).
template <class Pages>
class PageTableOver {
 public:
  using Touch = PageTouch;
  using Step = PageStep;

  // `page_size` and `window_size` are powers of two.
  PageTableOver(Bytes page_size, Bytes window_size, const HostAllocator& host) noexcept;
  PageTableOver(const PageTableOver&) = delete;
  PageTableOver& operator=(const PageTableOver&) = delete;

  // False: no host memory, or more pages than 32 bits can number; nothing changed.
  [[nodiscard]] bool add_window(std::uint32_t window, Address address, Bytes size) noexcept;
  // No page of it is bound or in anybody's hands. What is known of its pages stays for the window's next
  // life: some may still be in the queue.
  void remove_window(std::uint32_t window) noexcept { windows_[window] = {}; }
  // Pages of it that are bound or in somebody's hands.
  [[nodiscard]] std::uint32_t window_bound(std::uint32_t window) const noexcept {
    return windows_[window].bound;
  }

  // One more range touches the pages of [begin, begin + size).
  [[nodiscard]] Touch touch(Offset begin, Bytes size) noexcept;
  // The same if every page is bound; else false, and nothing has changed. `times`: so many ranges do, which
  // all lie in one page.
  [[nodiscard]] bool touch_bound(Offset begin, Bytes size, std::uint32_t times = 1) noexcept {
    const std::uint32_t index = page_of(begin);
    if (index != last_page(begin, size)) [[unlikely]] {
      assert(times == 1);
      return touch_several_bound(begin, size);
    }
    return touch_one_bound(index, times);
  }
  // One less does.
  void release(Offset begin, Bytes size) noexcept {
    const std::uint32_t last = last_page(begin, size);
    for (std::uint32_t index = page_of(begin); index <= last; ++index) {
      auto&& page = pages_.edit(index);
      if (--page.touched == 0) [[unlikely]]
        untouched(index, page);
    }
  }

  // The next unbound pages of the range, which the caller has touched, are now `binding` and in `batch`.
  // `waited`: the page at whose end of transition the caller was told to ask again, and finds it unbound.
  [[nodiscard]] Step begin_bind(Offset begin, Bytes size, PageBatch& batch, bool& waited) noexcept;
  void end_bind(const PageBatch& batch, bool bound, Error error) noexcept;
  // Why the last bind failed that someone waited for.
  [[nodiscard]] Error last_error() const noexcept { return last_error_; }

  [[nodiscard]] bool is_bound(Offset begin, Bytes size) const noexcept;
  // Pages of the range that are not bound; it has been touched.
  [[nodiscard]] std::uint64_t missing(Offset begin, Bytes size) const noexcept;

  // Up to `most` empty pages are now `unbinding` and in `batch`; the longest empty first.
  void detach(PageBatch& batch, std::uint32_t most) noexcept;
  // The same for the empty pages of [cursor, end), up to `most` and as many as a batch takes; `cursor` moves
  // behind them.
  void detach_range(PageBatch& batch, Offset& cursor, Offset end,
                    std::uint32_t most = PageBatch::kCapacity) noexcept;
  // The same for all bound pages, touched or not: for an owner that ends.
  void detach_all(PageBatch& batch, Offset& cursor, Offset end) noexcept;
  // The batch's pages have been unbound (all of them), or have stayed bound.
  void end_unbind(const PageBatch& batch, bool unbound) noexcept;

  [[nodiscard]] std::uint64_t empty() const noexcept { return empty_; }
  // Bound, or in somebody's hands on the way to unbound.
  [[nodiscard]] std::uint64_t bound() const noexcept { return bound_; }
  [[nodiscard]] Bytes page_size() const noexcept { return Bytes{std::uint64_t{1} << page_bits_}; }
  // The offsets of a window.
  [[nodiscard]] Offset window_begin(std::uint32_t window) const noexcept {
    return Offset{std::uint64_t{window} << (window_page_bits_ + page_bits_)};
  }
  [[nodiscard]] Offset window_end(std::uint32_t window) const noexcept {
    return window_begin(window) + Bytes{std::uint64_t{windows_[window].pages} << page_bits_};
  }
  [[nodiscard]] const Pages& pages() const noexcept { return pages_; }

  // Checks the sentences at the top, as far as they can be seen from here.
  [[nodiscard]] const char* validate() const noexcept;

 private:
  static constexpr std::uint32_t kNoPage = PageEntry::kNoPage;

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
  [[nodiscard]] Window& window_of(std::uint32_t index) noexcept {
    return windows_.data()[index >> window_page_bits_];
  }
  [[nodiscard]] Address address_of(std::uint32_t index) const noexcept;
  [[nodiscard]] bool touch_one_bound(std::uint32_t index, std::uint32_t times) noexcept {
    if (!pages_.knows(index)) return false;
    auto&& page = pages_.edit(index);
    if (page.state != PageEntry::kBound) return false;
    assert(page.touched + times <= PageEntry::kMostTouched);
    empty_ -= std::uint64_t{page.touched == 0};
    page.touched = (page.touched + times) & PageEntry::kMostTouched;
    return true;
  }
  [[nodiscard]] bool touch_several_bound(Offset begin, Bytes size) noexcept;
  void untouched(std::uint32_t index, PageEntry& page) noexcept;
  void become_empty(std::uint32_t index, PageEntry& page) noexcept;
  void take_in_hand(PageBatch& batch, std::uint32_t index) const noexcept;
  void take_out(PageBatch& batch, std::uint32_t index, PageEntry& page) noexcept;
  void detach_pages(PageBatch& batch, Offset& cursor, Offset end, std::uint32_t most,
                    bool touched_too) noexcept;

  unsigned page_bits_;
  unsigned window_page_bits_;  // log2 of the pages of a window
  Pages pages_;
  HostArray<Window> windows_;
  std::uint32_t queue_head_ = kNoPage;  // empty pages, and some that were touched again since
  std::uint32_t queue_tail_ = kNoPage;
  std::uint64_t empty_ = 0;
  std::uint64_t bound_ = 0;
  Error last_error_{};
};

using PageTable = PageTableOver<PageArray>;
extern template class PageTableOver<PageArray>;

}  // namespace vaspace
