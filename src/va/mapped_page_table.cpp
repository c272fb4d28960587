#include "vaspace/va/mapped_page_table.hpp"

#include <algorithm>
#include <bit>

namespace vaspace {

namespace {

constexpr std::uint64_t kNoPage = ~std::uint32_t{0};

}  // namespace

MappedPageTable::MappedPageTable(Bytes page_size, Bytes window_size, const HostAllocator& host) noexcept
    : page_bits_(static_cast<unsigned>(std::countr_zero(page_size.value))),
      window_page_bits_(static_cast<unsigned>(std::countr_zero(window_size.value)) - page_bits_),
      pages_(host),
      queue_(host),
      windows_(host) {}

bool MappedPageTable::add_window(std::uint32_t window, Address address, Bytes size) noexcept {
  if ((std::uint64_t{window} + 1) << window_page_bits_ > kNoPage) return false;
  if (window >= windows_.size() && !windows_.resize(window + 1)) return false;
  windows_[window] = {address, static_cast<std::uint32_t>(size.value >> page_bits_), 0};
  return true;
}

Address MappedPageTable::address_of(std::uint32_t index) const noexcept {
  const std::uint64_t in_window = index & ((1U << window_page_bits_) - 1);
  return windows_[index >> window_page_bits_].address + Bytes{in_window << page_bits_};
}

// Prepared by touch: there is room for an interval per page that is known.
void MappedPageTable::set(std::uint32_t index, const Page& page) noexcept {
  const bool was = pages_.find(index).has_value();
  const bool is = page != Page{};
  if (is) {
    (void)pages_.assign(index, std::uint64_t{index} + 1, page);
  } else {
    (void)pages_.erase(index, std::uint64_t{index} + 1);
  }
  known_ = known_ + (is ? 1U : 0U) - (was ? 1U : 0U);
}

void MappedPageTable::enqueue(std::uint32_t index, Page& page) noexcept {
  if (page.queued) return;
  page.queued = true;
  (void)queue_.assign(next_ticket_, next_ticket_ + 1, index);
  ++next_ticket_;
}

void MappedPageTable::become_empty(std::uint32_t index, Page& page) noexcept {
  ++empty_;
  enqueue(index, page);
}

MappedPageTable::Touch MappedPageTable::touch(Offset begin, Bytes size) noexcept {
  const std::uint32_t first = page_of(begin);
  const std::uint32_t last = last_page(begin, size);
  // Each page may come to differ from its neighbours; nothing but this asks for host memory (R7).
  const std::uint64_t most = known_ + (last - first) + 1;
  if (!pages_.prepare(most) || !queue_.prepare(most)) return Touch::no_host;
  bool ready = true;
  for (std::uint32_t index = first; index <= last; ++index) {
    Page p = page(index);
    ready = ready && p.state == State::bound;
    if (p.state == State::bound && p.touched == 0) --empty_;
    ++p.touched;
    set(index, p);
  }
  return ready ? Touch::ready : Touch::commit;
}

bool MappedPageTable::touch_bound(Offset begin, Bytes size, std::uint32_t times) noexcept {
  if (!is_bound(begin, size)) return false;
  for (std::uint32_t index = page_of(begin), last = last_page(begin, size); index <= last; ++index) {
    Page p = page(index);
    if (p.touched == 0) --empty_;
    p.touched += times;
    set(index, p);
  }
  return true;
}

void MappedPageTable::release(Offset begin, Bytes size) noexcept {
  for (std::uint32_t index = page_of(begin), last = last_page(begin, size); index <= last; ++index) {
    Page p = page(index);
    if (--p.touched == 0) {
      p.bind_failed = false;
      if (p.state == State::bound) become_empty(index, p);
    }
    set(index, p);
  }
}

MappedPageTable::Step MappedPageTable::begin_bind(Offset begin, Bytes size, PageBatch& batch,
                                                  bool& waited) noexcept {
  batch.count = 0;
  bool wait = false;
  for (std::uint32_t index = page_of(begin), last = last_page(begin, size); index <= last; ++index) {
    Page p = page(index);
    if (p.state == State::bound) continue;
    if (p.state != State::unbound) {
      wait = true;
      continue;
    }
    if (waited && p.bind_failed) {
      // What this call has just taken in hand goes back.
      for (std::uint32_t i = 0; i < batch.count; ++i) {
        Page taken = page(batch.pages[i]);
        taken.state = State::unbound;
        set(batch.pages[i], taken);
        --window_of(batch.pages[i]).bound;
      }
      return Step::failed;
    }
    if (batch.count == PageBatch::kCapacity) break;
    p.state = State::binding;
    p.bind_failed = false;
    set(index, p);
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

void MappedPageTable::end_bind(const PageBatch& batch, bool bound, Error error) noexcept {
  if (!bound) last_error_ = error;
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    const std::uint32_t index = batch.pages[i];
    Page p = page(index);
    if (bound) {
      p.state = State::bound;
      p.physical = batch.physical[i];
      ++bound_;
      if (p.touched == 0) become_empty(index, p);
    } else {
      p.state = State::unbound;
      p.bind_failed = p.touched > 1;
      --window_of(index).bound;
    }
    set(index, p);
  }
}

std::uint64_t MappedPageTable::missing(Offset begin, Bytes size) const noexcept {
  std::uint64_t count = 0;
  for (std::uint32_t index = page_of(begin), last = last_page(begin, size); index <= last; ++index)
    count += page(index).state != State::bound ? 1U : 0U;
  return count;
}

void MappedPageTable::take_out(PageBatch& batch, std::uint32_t index, Page p) noexcept {
  p.state = State::unbinding;
  if (p.touched == 0) --empty_;
  batch.pages[batch.count] = index;
  batch.addresses[batch.count] = address_of(index);
  batch.physical[batch.count] = p.physical;
  ++batch.count;
  set(index, p);
}

void MappedPageTable::detach(PageBatch& batch, std::uint32_t most) noexcept {
  batch.count = 0;
  most = std::min(most, PageBatch::kCapacity);
  while (!queue_.empty() && batch.count < most) {
    const auto first = *queue_.begin();
    (void)queue_.erase(first.begin, first.end);
    Page p = page(first.value);
    p.queued = false;
    if (p.state == State::bound && p.touched == 0) {
      take_out(batch, first.value, p);
    } else {
      set(first.value, p);
    }
  }
}

void MappedPageTable::detach_range(PageBatch& batch, Offset& cursor, Offset end,
                                   std::uint32_t most) noexcept {
  detach_pages(batch, cursor, end, std::min(most, PageBatch::kCapacity), false);
}

void MappedPageTable::detach_all(PageBatch& batch, Offset& cursor, Offset end) noexcept {
  detach_pages(batch, cursor, end, PageBatch::kCapacity, true);
}

void MappedPageTable::detach_pages(PageBatch& batch, Offset& cursor, Offset end, std::uint32_t most,
                                   bool touched_too) noexcept {
  batch.count = 0;
  for (; cursor < end; cursor = align_down(cursor, Alignment{page_size()}) + page_size()) {
    if (batch.count == most) return;
    const std::uint32_t index = page_of(cursor);
    const Page p = page(index);
    if (p.state == State::bound && (p.touched == 0 || touched_too)) take_out(batch, index, p);
  }
}

void MappedPageTable::end_unbind(const PageBatch& batch, bool unbound) noexcept {
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    const std::uint32_t index = batch.pages[i];
    Page p = page(index);
    if (unbound) {
      p.state = State::unbound;
      p.physical = {};
      --bound_;
      --window_of(index).bound;
    } else {
      p.state = State::bound;
      if (p.touched == 0) become_empty(index, p);
    }
    set(index, p);
  }
}

const char* MappedPageTable::validate() const noexcept {
  if (const char* wrong = pages_.validate()) return wrong;
  if (const char* wrong = queue_.validate()) return wrong;
  std::uint64_t bound = 0, in_hand = 0, empty = 0, known = 0;
  for (const auto& run : pages_) {
    const std::uint64_t count = run.end - run.begin;
    const Page& p = run.value;
    if (p == Page{}) return "an interval says nothing";
    known += count;
    if (p.state == State::bound || p.state == State::unbinding) bound += count;
    if (p.state == State::binding) in_hand += count;
    if (p.state == State::bound && !p.physical) return "a bound page has no physical memory";
    if (p.state == State::unbound && p.physical) return "an unbound page has physical memory";
    if (p.state != State::bound || p.touched != 0) continue;
    empty += count;
    if (!p.queued) return "an empty page is not in the queue";
  }
  std::uint64_t in_windows = 0;
  for (const Window& window : windows_)
    in_windows += window.bound;
  if (in_windows != bound + in_hand) return "a window's bound pages are miscounted";
  if (bound != bound_) return "bound pages are miscounted";
  if (empty != empty_) return "empty pages are miscounted";
  return known == known_ ? nullptr : "pages in intervals are miscounted";
}

}  // namespace vaspace
