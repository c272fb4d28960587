// Giving back what is empty. Nothing here asks for host memory.
#include <algorithm>
#include <array>

#include "paged_space_inl.hpp"

namespace vaspace {

void PagedSpace::set_budget(Bytes budget) noexcept {
  const Lock lock(mutex_);
  budget_ = budget;
}

// What may be kept of empty pages below `limit`. `unused`: pages that are neither behind addresses nor
// pooled.
Bytes PagedSpace::may_retain(Bytes limit, Bytes unused) const noexcept {
  const Bytes spare = empty_bytes_ + pooled() + unused;
  const Bytes all = held();
  const Bytes in_use = all > spare ? all - spare : Bytes{};
  return std::min(retain_, limit > in_use ? limit - in_use : Bytes{});
}

Bytes PagedSpace::collect() noexcept {
  const Result<Budget> device = backend_.budget(backend_.profile().memory_types[config_.memory_type].heap);
  const bool above = device && device->usage > device->budget;
  const Bytes surplus = above ? device->usage - device->budget : Bytes{};
  Bytes retain{};
  {
    const Lock lock(mutex_);
    const Bytes all = held();
    const Bytes device_limit = above ? all - std::min(all, surplus) : kMaxBytes;
    retain = may_retain(std::min(budget_, device_limit), Bytes{});
  }
  return give_back(retain);
}

Bytes PagedSpace::trim(Bytes retain) noexcept {
  {
    const Lock lock(mutex_);
    retain_ = retain;
  }
  return collect();
}

// What was queued when it began, at most: what the driver refuses is queued again.
Bytes PagedSpace::give_back(Bytes retain) noexcept {
  const Bytes before = held();
  std::uint64_t most = 0;
  {
    const Lock lock(mutex_);
    most = empty_count_;
  }
  std::array<std::uint32_t, kBatch> pages{};
  for (;;) {
    std::uint32_t count = 0;
    {
      const Lock lock(mutex_);
      count = take_empty(pages, retain, most);
    }
    if (count == 0) break;
    unbind_pages(std::span(pages).first(count));
  }
  Bytes keep{};
  {
    const Lock lock(mutex_);
    keep = retain > empty_bytes_ ? retain - empty_bytes_ : Bytes{};
  }
  small_pool_.trim(keep / small_);
  keep -= std::min(keep, small_ * small_pool_.pooled());
  large_pool_.trim(keep / large_);
  const Bytes after = held();
  return before > after ? before - after : Bytes{};
}

// Takes an empty page in hand, or a large one with all its members. False: it is not empty any more, or in
// other hands, and then whoever has it queues it again.
bool PagedSpace::take_empty_page(std::uint32_t index) noexcept {
  PageBooks::Page& page = books_.page(index);
  if (page.busy || page.claims != 0 || page.frame == kNone || page.live != 0) return false;
  const PageBooks::Frame& frame = books_.frame(page.frame);
  if (frame.busy || !frame.large) {
    page.busy = !frame.busy;
    return page.busy;
  }
  if (frame.live_pages != 0) return false;
  for (std::uint32_t at = frame.first; at != kNone; at = books_.page(at).next)
    if (books_.page(at).busy || books_.page(at).claims != 0) return false;
  for (std::uint32_t at = frame.first; at != kNone; at = books_.page(at).next)
    books_.page(at).busy = true;
  return true;
}

// The longest empty first, until no more than `retain` is left of physical memory behind nothing live.
std::uint32_t PagedSpace::take_empty(std::span<std::uint32_t> out, Bytes retain,
                                     std::uint64_t& most) noexcept {
  std::uint32_t count = 0;
  Bytes taken{};
  for (; empty_head_ != kNone && most != 0 && count < out.size(); --most) {
    const std::uint32_t index = empty_head_;
    PageBooks::Page& page = books_.page(index);
    const Bytes size = page.frame == kNone ? Bytes{} : empty_of(page.frame);
    const bool kept = size.value != 0 && empty_bytes_ - taken <= retain;
    if (kept) break;
    empty_head_ = page.next_empty;
    if (empty_head_ == kNone) empty_tail_ = kNone;
    --empty_count_;
    page.queued = false;
    if (!take_empty_page(index)) continue;
    taken += size;
    out[count++] = index;
  }
  return count;
}

// In runs of neighbours, so that the driver is called as rarely as may be.
void PagedSpace::unbind_pages(std::span<std::uint32_t> pages) noexcept {
  std::sort(pages.begin(), pages.end());
  for (std::size_t first = 0; first < pages.size();) {
    bool large = false;
    {
      const Lock lock(mutex_);
      large = books_.frame(books_.page(pages[first]).frame).large;
    }
    std::size_t next = first + 1;
    if (large) {
      unbind_large(pages[first]);
    } else {
      while (next < pages.size() && pages[next] == pages[next - 1] + 1 && is_small(pages[next]))
        ++next;
      unbind_run(pages[first], static_cast<std::uint32_t>(next - first));
    }
    first = next;
  }
}

bool PagedSpace::is_small(std::uint32_t page) const noexcept {
  const Lock lock(mutex_);
  return !books_.frame(books_.page(page).frame).large;
}

// What the driver refuses in one go it may still take page by page; what it refuses then stays bound (R7).
void PagedSpace::unbind_run(std::uint32_t first, std::uint32_t count) noexcept {
  if (unmap_at(address_of(first), small_ * count)) return let_go(first, count, true);
  for (std::uint32_t i = 0; i < count; ++i)
    let_go(first + i, 1, count != 1 && unmap_at(address_of(first + i), small_).has_value());
}

// All members of a large frame, which are in hand: runs of them, for some may have left it.
void PagedSpace::unbind_large(std::uint32_t page) noexcept {
  const std::uint32_t begin = page - page % books_.pages_per_block();
  const std::uint32_t end = begin + books_.pages_per_block();
  std::uint32_t frame = kNone;
  std::uint32_t left = 0;  // members: with the last the frame goes, and its number may be another's
  {
    const Lock lock(mutex_);
    frame = books_.page(page).frame;
    left = books_.frame(frame).members;
  }
  for (std::uint32_t at = begin; at < end && left != 0;) {
    std::uint32_t first = at;
    std::uint32_t count = 0;
    {
      const Lock lock(mutex_);
      while (first < end && !(books_.page(first).busy && books_.page(first).frame == frame))
        ++first;
      while (first + count < end && books_.page(first + count).busy &&
             books_.page(first + count).frame == frame)
        ++count;
    }
    at = first + count;
    left -= count;
    if (count != 0) let_go(first, count, unmap_at(address_of(first), small_ * count).has_value());
  }
}

// The pages are in nobody's hands again: unbound, and their frames given back where nobody else has them; or
// bound as they were, and queued. What was guarded has nothing to be guarded any more, and its writers may go
// on once it is gone.
void PagedSpace::let_go(std::uint32_t first, std::uint32_t count, bool unbound) noexcept {
  std::array<PhysicalId, kBatch> gone{};
  std::array<std::uint32_t, kBatch> paused{};
  for (std::uint32_t end = first; count != 0; first = end) {
    const std::uint32_t batch = std::min(count, kBatch);
    end = first + batch;
    count -= batch;
    std::size_t gone_count = 0;
    std::size_t paused_count = 0;
    bool large = false;
    {
      const Lock lock(mutex_);
      for (std::uint32_t at = first; at < end; ++at) {
        if (!unbound) {
          ++refused_;
          continue;
        }
        large = books_.frame(books_.page(at).frame).large;
        if (books_.page(at).guarded) paused[paused_count++] = at;
        forget_guard(at);
        const PhysicalId physical = leave(at);
        if (physical) gone[gone_count++] = physical;
      }
    }
    for (const std::uint32_t at : std::span(paused).first(paused_count))
      resume(address_of(at), small_);
    if (gone_count != 0) pool(large).give(std::span(gone).first(gone_count), 0);
    const Lock lock(mutex_);
    for (std::uint32_t at = first; at < end; ++at)
      set_free(at);
    changed_.notify_all();
  }
}

// What an acquire that failed has bound and nobody has used since.
void PagedSpace::drop_empty(const Span& span) noexcept {
  std::array<std::uint32_t, kBatch> pages{};
  for (std::uint32_t at = span.first_page; at <= span.last_page;) {
    std::uint32_t count = 0;
    {
      const Lock lock(mutex_);
      for (; at <= span.last_page && count < pages.size(); ++at)
        if (take_empty_page(at)) pages[count++] = at;
    }
    unbind_pages(std::span(pages).first(count));
  }
}

}  // namespace vaspace
