// What every page table does besides its quick paths, wherever its entries are. `auto&& page` is a reference
// into an array, or an entry in hand that is written back at the end of its scope: so no two of the same page
// live at once.
#pragma once

#include <algorithm>
#include <bit>

#include "vaspace/va/page_table.hpp"

namespace vaspace {

template <class Pages>
PageTableOver<Pages>::PageTableOver(Bytes page_size, Bytes window_size, const HostAllocator& host) noexcept
    : page_bits_(static_cast<unsigned>(std::countr_zero(page_size.value))),
      window_page_bits_(static_cast<unsigned>(std::countr_zero(window_size.value)) - page_bits_),
      pages_(window_page_bits_, host),
      windows_(host) {}

template <class Pages>
bool PageTableOver<Pages>::add_window(std::uint32_t window, Address address, Bytes size) noexcept {
  const std::uint64_t end = (std::uint64_t{window} + 1) << window_page_bits_;
  if (end > kNoPage || !pages_.reserve(end)) return false;
  if (window >= windows_.size() && !windows_.reserve_more(window + 1 - windows_.size())) return false;
  while (windows_.size() <= window)
    windows_.push_back_reserved(Window{});
  windows_[window] = {address, static_cast<std::uint32_t>(size.value >> page_bits_), 0};
  return true;
}

template <class Pages>
Address PageTableOver<Pages>::address_of(std::uint32_t index) const noexcept {
  const std::uint64_t in_window = index & ((1U << window_page_bits_) - 1);
  return windows_[index >> window_page_bits_].address + Bytes{in_window << page_bits_};
}

template <class Pages>
PageTouch PageTableOver<Pages>::touch(Offset begin, Bytes size) noexcept {
  const std::uint32_t first = page_of(begin);
  const std::uint32_t last = last_page(begin, size);
  if (!pages_.make_room(first, last)) return Touch::no_host;
  bool ready = true;
  for (std::uint32_t index = first; index <= last; ++index) {
    auto&& page = pages_.edit(index);
    if (page.state == PageEntry::kBound) {
      if (page.touched == 0) --empty_;
    } else {
      ready = false;
    }
    ++page.touched;
  }
  return ready ? Touch::ready : Touch::commit;
}

template <class Pages>
bool PageTableOver<Pages>::touch_several_bound(Offset begin, Bytes size) noexcept {
  const std::uint32_t first = page_of(begin);
  const std::uint32_t last = last_page(begin, size);
  for (std::uint32_t index = first; index <= last; ++index) {
    if (touch_one_bound(index, 1)) [[likely]]
      continue;
    // It was empty, and in the queue of those that are, or it is touched by others too.
    while (index-- != first) {
      auto&& page = pages_.edit(index);
      if (--page.touched == 0) untouched(index, page);
    }
    return false;
  }
  return true;
}

template <class Pages>
bool PageTableOver<Pages>::is_bound(Offset begin, Bytes size) const noexcept {
  for (std::uint32_t index = page_of(begin), last = last_page(begin, size); index <= last; ++index) {
    if (!pages_.knows(index) || pages_.at(index).state != PageEntry::kBound) return false;
  }
  return true;
}

template <class Pages>
std::uint64_t PageTableOver<Pages>::missing(Offset begin, Bytes size) const noexcept {
  std::uint64_t count = 0;
  for (std::uint32_t index = page_of(begin), last = last_page(begin, size); index <= last; ++index)
    count += pages_.at(index).state != PageEntry::kBound ? 1U : 0U;
  return count;
}

// No range touches it any more.
template <class Pages>
void PageTableOver<Pages>::untouched(std::uint32_t index, PageEntry& page) noexcept {
  page.bind_failed = 0;
  if (page.state == PageEntry::kBound) become_empty(index, page);
}

template <class Pages>
void PageTableOver<Pages>::become_empty(std::uint32_t index, PageEntry& page) noexcept {
  ++empty_;
  if (page.queued != 0) return;
  page.queued = 1;
  page.next = kNoPage;
  if (queue_tail_ == kNoPage) {
    queue_head_ = index;
  } else {
    auto&& tail = pages_.edit(queue_tail_);
    tail.next = index;
  }
  queue_tail_ = index;
}

template <class Pages>
void PageTableOver<Pages>::take_in_hand(PageBatch& batch, std::uint32_t index) const noexcept {
  batch.pages[batch.count] = index;
  batch.addresses[batch.count] = address_of(index);
  ++batch.count;
}

template <class Pages>
PageStep PageTableOver<Pages>::begin_bind(Offset begin, Bytes size, PageBatch& batch, bool& waited) noexcept {
  batch.count = 0;
  bool wait = false;
  for (std::uint32_t index = page_of(begin), last = last_page(begin, size); index <= last; ++index) {
    auto&& page = pages_.edit(index);
    if (page.state == PageEntry::kBound) continue;
    if (page.state != PageEntry::kUnbound) {
      wait = true;
      continue;
    }
    if (waited && page.bind_failed != 0) {
      // What this call has just taken in hand goes back.
      for (std::uint32_t i = 0; i < batch.count; ++i) {
        auto&& taken = pages_.edit(batch.pages[i]);
        taken.state = PageEntry::kUnbound;
        --window_of(batch.pages[i]).bound;
      }
      return Step::failed;
    }
    if (batch.count == PageBatch::kCapacity) break;
    page.state = PageEntry::kBinding;
    page.bind_failed = 0;
    ++window_of(index).bound;
    take_in_hand(batch, index);
  }
  if (!batch.empty()) return Step::bind;
  if (!wait) return Step::done;
  waited = true;
  return Step::wait;
}

template <class Pages>
void PageTableOver<Pages>::end_bind(const PageBatch& batch, bool bound, Error error) noexcept {
  if (!bound) last_error_ = error;
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    auto&& page = pages_.edit(batch.pages[i]);
    if (bound) {
      page.state = PageEntry::kBound;
      page.physical = batch.physical[i];
      ++bound_;
      if (page.touched == 0) become_empty(batch.pages[i], page);
    } else {
      page.state = PageEntry::kUnbound;
      page.bind_failed = page.touched > 1 ? 1 : 0;
      --window_of(batch.pages[i]).bound;
    }
  }
}

template <class Pages>
void PageTableOver<Pages>::take_out(PageBatch& batch, std::uint32_t index, PageEntry& page) noexcept {
  page.state = PageEntry::kUnbinding;
  if (page.touched == 0) --empty_;
  batch.physical[batch.count] = page.physical;
  take_in_hand(batch, index);
}

template <class Pages>
void PageTableOver<Pages>::detach(PageBatch& batch, std::uint32_t most) noexcept {
  batch.count = 0;
  most = std::min(most, PageBatch::kCapacity);
  while (queue_head_ != kNoPage && batch.count < most) {
    const std::uint32_t index = queue_head_;
    auto&& page = pages_.edit(index);
    queue_head_ = page.next;
    if (queue_head_ == kNoPage) queue_tail_ = kNoPage;
    page.next = kNoPage;
    page.queued = 0;
    if (page.state == PageEntry::kBound && page.touched == 0) take_out(batch, index, page);
  }
}

template <class Pages>
void PageTableOver<Pages>::detach_range(PageBatch& batch, Offset& cursor, Offset end,
                                        std::uint32_t most) noexcept {
  detach_pages(batch, cursor, end, std::min(most, PageBatch::kCapacity), false);
}

template <class Pages>
void PageTableOver<Pages>::detach_all(PageBatch& batch, Offset& cursor, Offset end) noexcept {
  detach_pages(batch, cursor, end, PageBatch::kCapacity, true);
}

template <class Pages>
void PageTableOver<Pages>::detach_pages(PageBatch& batch, Offset& cursor, Offset end, std::uint32_t most,
                                        bool touched_too) noexcept {
  batch.count = 0;
  for (; cursor < end; cursor = align_down(cursor, Alignment{page_size()}) + page_size()) {
    if (batch.count == most) return;
    const std::uint32_t index = page_of(cursor);
    if (!pages_.knows(index)) continue;
    auto&& page = pages_.edit(index);
    if (page.state == PageEntry::kBound && (page.touched == 0 || touched_too)) take_out(batch, index, page);
  }
}

template <class Pages>
void PageTableOver<Pages>::end_unbind(const PageBatch& batch, bool unbound) noexcept {
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    auto&& page = pages_.edit(batch.pages[i]);
    if (unbound) {
      page.state = PageEntry::kUnbound;
      page.physical = {};
      --bound_;
      --window_of(batch.pages[i]).bound;
      continue;
    }
    page.state = PageEntry::kBound;
    if (page.touched == 0) become_empty(batch.pages[i], page);
  }
}

template <class Pages>
const char* PageTableOver<Pages>::validate() const noexcept {
  if (const char* wrong = pages_.validate()) return wrong;
  std::uint64_t bound = 0;
  std::uint64_t empty = 0;
  const char* wrong = nullptr;
  for (std::uint32_t at = 0; at < windows_.size(); ++at) {
    std::uint64_t here = 0;
    const std::uint32_t begin = at << window_page_bits_;
    pages_.for_each(begin, begin + windows_[at].pages, [&](const PageEntry& page, std::uint64_t count) {
      if (page.state != PageEntry::kUnbound) here += count;
      if (page.state == PageEntry::kBound || page.state == PageEntry::kUnbinding) bound += count;
      if (page.state == PageEntry::kBound && !page.physical) wrong = "a bound page has no physical memory";
      if (page.state == PageEntry::kUnbound && page.physical) wrong = "an unbound page has physical memory";
      if (page.state != PageEntry::kBound || page.touched != 0) return;
      empty += count;
      if (page.queued == 0) wrong = "an empty page is not in the queue";
    });
    if (wrong != nullptr) return wrong;
    if (here != windows_[at].bound) return "a window's bound pages are miscounted";
  }
  if (bound != bound_) return "bound pages are miscounted";
  return empty == empty_ ? nullptr : "empty pages are miscounted";
}

}  // namespace vaspace
