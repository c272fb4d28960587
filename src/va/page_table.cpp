#include "vaspace/va/page_table.hpp"

#include <algorithm>
#include <bit>
#include <new>

namespace vaspace {

PageTable::PageTable(Bytes page_size, Bytes window_size, const HostAllocator& host) noexcept
    : page_bits_(static_cast<unsigned>(std::countr_zero(page_size.value))),
      window_page_bits_(static_cast<unsigned>(std::countr_zero(window_size.value)) - page_bits_),
      chunk_bits_(std::min(kChunkBits, window_page_bits_)),
      chunks_(host),
      windows_(host) {}

PageTable::~PageTable() {
  const HostAllocator& host = chunks_.host();
  for (Page* chunk : chunks_) {
    if (chunk != nullptr) {
      host.deallocate(host.user, chunk, sizeof(Page) << chunk_bits_, alignof(Page));
    }
  }
}

bool PageTable::add_window(std::uint32_t window, Address address, Bytes size) noexcept {
  if ((std::uint64_t{window} + 1) << window_page_bits_ > kNoPage) return false;
  const std::size_t chunks = (std::size_t{window} + 1) << (window_page_bits_ - chunk_bits_);
  if (chunks > chunks_.size() && !chunks_.reserve_more(chunks - chunks_.size())) return false;
  if (window >= windows_.size() && !windows_.reserve_more(window + 1 - windows_.size())) return false;
  while (chunks_.size() < chunks)
    chunks_.push_back_reserved(nullptr);
  while (windows_.size() <= window)
    windows_.push_back_reserved(Window{});
  windows_[window] = {address, static_cast<std::uint32_t>(size.value >> page_bits_), 0};
  return true;
}

// Its chunks stay for the window's next life: pages of it may still be in the queue.
void PageTable::remove_window(std::uint32_t window) noexcept {
  windows_[window] = {};
}

Address PageTable::address_of(std::uint32_t index) const noexcept {
  const std::uint64_t in_window = index & ((1U << window_page_bits_) - 1);
  return windows_[index >> window_page_bits_].address + Bytes{in_window << page_bits_};
}

bool PageTable::make_chunks(std::uint32_t first, std::uint32_t last) noexcept {
  const HostAllocator& host = chunks_.host();
  for (std::uint32_t at = first >> chunk_bits_; at <= last >> chunk_bits_; ++at) {
    if (chunks_[at] != nullptr) continue;
    void* memory = host.allocate(host.user, sizeof(Page) << chunk_bits_, alignof(Page));
    if (memory == nullptr) return false;
    chunks_[at] = static_cast<Page*>(memory);
    for (std::uint32_t i = 0; i < 1U << chunk_bits_; ++i)
      ::new (static_cast<void*>(chunks_[at] + i)) Page;
  }
  return true;
}

PageTable::Touch PageTable::touch(Offset begin, Bytes size) noexcept {
  const std::uint32_t first = page_of(begin);
  const std::uint32_t last = last_page(begin, size);
  if (!make_chunks(first, last)) return Touch::no_host;
  bool ready = true;
  for (std::uint32_t index = first; index <= last; ++index) {
    Page& p = page(index);
    if (p.state == kBound) {
      if (p.touched == 0) --empty_;
    } else {
      ready = false;
    }
    ++p.touched;
  }
  return ready ? Touch::ready : Touch::commit;
}

bool PageTable::is_bound(Offset begin, Bytes size) const noexcept {
  for (std::uint32_t index = page_of(begin), last = last_page(begin, size); index <= last; ++index) {
    if (chunks_[index >> chunk_bits_] == nullptr || page(index).state != kBound) return false;
  }
  return true;
}

bool PageTable::touch_several_bound(Offset begin, Bytes size) noexcept {
  const std::uint32_t first = page_of(begin);
  const std::uint32_t last = last_page(begin, size);
  for (std::uint32_t index = first; index <= last; ++index) {
    if (chunks_.data()[index >> chunk_bits_] != nullptr && touch_one_bound(page(index), 1)) [[likely]]
      continue;
    // It was empty, and in the queue of those that are, or it is touched by others too.
    while (index-- != first) {
      if (--page(index).touched == 0) untouched(index);
    }
    return false;
  }
  return true;
}

void PageTable::enqueue(std::uint32_t index) noexcept {
  Page& p = page(index);
  if (p.queued != 0) return;
  p.queued = 1;
  p.next = kNoPage;
  if (queue_tail_ == kNoPage) {
    queue_head_ = index;
  } else {
    page(queue_tail_).next = index;
  }
  queue_tail_ = index;
}

// No range touches it any more.
void PageTable::untouched(std::uint32_t index) noexcept {
  Page& p = page(index);
  p.bind_failed = 0;
  if (p.state == kBound) {
    ++empty_;
    enqueue(index);
  }
}

PageTable::Step PageTable::begin_bind(Offset begin, Bytes size, PageBatch& batch, bool& waited) noexcept {
  batch.count = 0;
  bool wait = false;
  for (std::uint32_t index = page_of(begin), last = last_page(begin, size); index <= last; ++index) {
    Page& p = page(index);
    if (p.state == kBound) continue;
    if (p.state != kUnbound) {
      wait = true;
      continue;
    }
    if (waited && p.bind_failed != 0) {
      // What this call has just taken in hand goes back.
      for (std::uint32_t i = 0; i < batch.count; ++i) {
        page(batch.pages[i]).state = kUnbound;
        --window_of(batch.pages[i]).bound;
      }
      return Step::failed;
    }
    if (batch.count == PageBatch::kCapacity) break;
    p.state = kBinding;
    p.bind_failed = 0;
    ++window_of(index).bound;
    batch.pages[batch.count] = index;
    batch.addresses[batch.count] = address_of(index);
    ++batch.count;
  }
  if (!batch.empty()) return Step::bind;
  if (!wait) return Step::done;
  waited = true;
  return Step::wait;
}

void PageTable::end_bind(const PageBatch& batch, bool bound, Error error) noexcept {
  if (!bound) last_error_ = error;
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    Page& p = page(batch.pages[i]);
    if (bound) {
      p.state = kBound;
      p.physical = batch.physical[i];
      ++bound_;
      if (p.touched == 0) {
        ++empty_;
        enqueue(batch.pages[i]);
      }
    } else {
      p.state = kUnbound;
      p.bind_failed = p.touched > 1 ? 1 : 0;
      --window_of(batch.pages[i]).bound;
    }
  }
}

std::uint64_t PageTable::missing(Offset begin, Bytes size) const noexcept {
  std::uint64_t count = 0;
  for (std::uint32_t index = page_of(begin), last = last_page(begin, size); index <= last; ++index)
    count += page(index).state != kBound ? 1U : 0U;
  return count;
}

void PageTable::take_out(PageBatch& batch, std::uint32_t index) noexcept {
  Page& p = page(index);
  p.state = kUnbinding;
  if (p.touched == 0) --empty_;
  batch.pages[batch.count] = index;
  batch.addresses[batch.count] = address_of(index);
  batch.physical[batch.count] = p.physical;
  ++batch.count;
}

void PageTable::detach(PageBatch& batch, std::uint32_t most) noexcept {
  batch.count = 0;
  most = std::min(most, PageBatch::kCapacity);
  while (queue_head_ != kNoPage && batch.count < most) {
    const std::uint32_t index = queue_head_;
    Page& p = page(index);
    queue_head_ = p.next;
    if (queue_head_ == kNoPage) queue_tail_ = kNoPage;
    p.queued = 0;
    if (p.state == kBound && p.touched == 0) take_out(batch, index);
  }
}

void PageTable::detach_range(PageBatch& batch, Offset& cursor, Offset end, std::uint32_t most) noexcept {
  detach_pages(batch, cursor, end, std::min(most, PageBatch::kCapacity), false);
}

void PageTable::detach_all(PageBatch& batch, Offset& cursor, Offset end) noexcept {
  detach_pages(batch, cursor, end, PageBatch::kCapacity, true);
}

void PageTable::detach_pages(PageBatch& batch, Offset& cursor, Offset end, std::uint32_t most,
                             bool touched_too) noexcept {
  batch.count = 0;
  for (; cursor < end; cursor = align_down(cursor, Alignment{page_size()}) + page_size()) {
    if (batch.count == most) return;
    const std::uint32_t index = page_of(cursor);
    if (chunks_[index >> chunk_bits_] == nullptr) continue;
    const Page& p = page(index);
    if (p.state == kBound && (p.touched == 0 || touched_too)) take_out(batch, index);
  }
}

void PageTable::end_unbind(const PageBatch& batch, bool unbound) noexcept {
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    Page& p = page(batch.pages[i]);
    if (unbound) {
      p.state = kUnbound;
      p.physical = {};
      --bound_;
      --window_of(batch.pages[i]).bound;
      continue;
    }
    p.state = kBound;
    if (p.touched == 0) {
      ++empty_;
      enqueue(batch.pages[i]);
    }
  }
}

const char* PageTable::validate() const noexcept {
  std::uint64_t bound = 0;
  std::uint64_t empty = 0;
  for (std::uint32_t at = 0; at < windows_.size(); ++at) {
    std::uint32_t here = 0;
    for (std::uint32_t i = 0; i < windows_[at].pages; ++i) {
      const std::uint32_t index = (at << window_page_bits_) | i;
      if (chunks_[index >> chunk_bits_] == nullptr) continue;
      const Page& p = page(index);
      if (p.state != kUnbound) ++here;
      if (p.state == kBound || p.state == kUnbinding) ++bound;
      if (p.state == kBound && !p.physical) return "a bound page has no physical memory";
      if (p.state == kUnbound && p.physical) return "an unbound page has physical memory";
      if (p.state != kBound || p.touched != 0) continue;
      ++empty;
      if (p.queued == 0) return "an empty page is not in the queue";
    }
    if (here != windows_[at].bound) return "a window's bound pages are miscounted";
  }
  if (bound != bound_) return "bound pages are miscounted";
  if (empty != empty_) return "empty pages are miscounted";
  return nullptr;
}

}  // namespace vaspace
