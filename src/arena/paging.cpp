#include "arena/paging.hpp"

#include <algorithm>

namespace vaspace {

namespace {

constexpr std::uint64_t kForever = ~std::uint64_t{0};

void add(PageBatch& to, const PageBatch& from, std::uint32_t i) noexcept {
  to.pages[to.count] = from.pages[i];
  to.addresses[to.count] = from.addresses[i];
  to.physical[to.count] = from.physical[i];
  ++to.count;
}

}  // namespace

template <class Policy>
void Paging<Policy>::tell(EventKind kind, const PageBatch& batch, ErrorCode code) const noexcept {
  if (!observer_) [[likely]]
    return;
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    observer_({.kind = kind,
               .code = static_cast<std::uint8_t>(code),
               .address = batch.addresses[i],
               .size = pool_.page_size()});
  }
}

// A batch's pages at a time, so that no page is looked at more than a few times however large the range is.
template <class Policy>
Result<void> Paging<Policy>::commit(ArenaOf& arena, const Range& range) noexcept {
  const Bytes stride = pool_.page_size() * PageBatch::kCapacity;
  bool waited = false;
  for (Offset begin = range.offset; begin < range.end();) {
    const Offset end = std::min(range.end(), align_down(begin, Alignment{pool_.page_size()}) + stride);
    if (Result<void> part = commit_part(arena, begin, end - begin, waited); !part) return part;
    begin = end;
  }
  return {};
}

template <class Policy>
Result<void> Paging<Policy>::commit_part(ArenaOf& arena, Offset begin, Bytes size, bool& waited) noexcept {
  PageBatch batch;
  Lock lock(arena.mutex);
  for (;;) {
    switch (arena.pages->begin_bind(begin, size, batch, waited)) {
      case PageTable::Step::done:
        return {};
      case PageTable::Step::failed:
        return fail(arena.pages->last_error());
      case PageTable::Step::wait:
        arena.changed.wait(lock);
        break;
      case PageTable::Step::bind: {
        lock.unlock();
        bool in_place = false;
        const Result<void> bound = bind(batch, in_place);
        lock.lock();
        arena.pages->end_bind(batch, in_place, bound ? Error{} : bound.error());
        arena.changed.notify_all();
        if (!bound) return fail(bound.error());
        tell(EventKind::commit, batch, {});
        break;
      }
    }
  }
}

// Physical memory for the whole batch, asked for in runs of neighbouring addresses so that a backend can
// place each run in one piece.
template <class Policy>
Result<void> Paging<Policy>::take_pages(PageBatch& batch) noexcept {
  std::uint32_t first = 0;
  while (first < batch.count) {
    std::uint32_t end = first + 1;
    while (end < batch.count && batch.addresses[end] == batch.addresses[end - 1] + pool_.page_size())
      ++end;
    const Result<void> taken =
        pool_.take(batch.addresses[first], batch.physicals().subspan(first, end - first));
    if (!taken) {
      pool_.give(batch.physicals().first(first), 0);
      return fail(taken.error());
    }
    first = end;
  }
  return {};
}

// `in_place`: the pages are behind their addresses when this returns, whatever it returns.
template <class Policy>
Result<void> Paging<Policy>::bind(PageBatch& batch, bool& in_place) noexcept {
  if (Result<void> taken = take_pages(batch); !taken) return fail(taken.error());
  std::array<BindOp, PageBatch::kCapacity> ops{};
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    ops[i] = {.address = batch.addresses[i], .size = pool_.page_size(), .physical = batch.physical[i]};
  }
  const Result<TimelinePoint> point = pool_.backend().bind(std::span(ops).first(batch.count), {});
  const Result<void> bound = point ? pool_.backend().wait(*point, kForever) : fail(point.error());
  in_place = bound.has_value();
  if (bound) return {};
  if (point && !unbind_now(batch, 0, batch.count)) {
    in_place =
        true;  // accepted, not heard of again, and not to be taken back now: queued like any empty page
  } else {
    pool_.give(batch.physicals(), 0);
  }
  return fail(bound.error());
}

template <class Policy>
Result<void> Paging<Policy>::unbind_now(const PageBatch& batch, std::uint32_t first,
                                        std::uint32_t count) noexcept {
  std::array<BindOp, PageBatch::kCapacity> ops{};
  for (std::uint32_t i = 0; i < count; ++i) {
    ops[i] = {.address = batch.addresses[first + i], .size = pool_.page_size()};
  }
  const Result<TimelinePoint> point = pool_.backend().bind(std::span(ops).first(count), {});
  if (!point) return fail(point.error());
  // V27: the memory is free once the unbind is done, not once it was asked for. An unbind that was accepted
  // will be done, even if this wait is refused: the backend then keeps the memory until it is.
  (void)pool_.backend().wait(*point, kForever);
  return {};
}

// The batch's pages are `unbinding`. What the driver refuses in one go it may still take page by page; what
// it refuses then stays bound, counted and queued (R7).
template <class Policy>
void Paging<Policy>::unbind(ArenaOf& arena, const PageBatch& batch, std::uint64_t keep) noexcept {
  PageBatch gone;
  PageBatch stays;
  Result<void> unbound = unbind_now(batch, 0, batch.count);
  ErrorCode code{};
  if (unbound) {
    gone = batch;
  } else {
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      unbound = unbind_now(batch, i, 1);
      if (!unbound) code = unbound.error().code;
      add(unbound ? gone : stays, batch, i);
    }
  }
  {
    const Lock lock(arena.mutex);
    arena.pages->end_unbind(gone, true);
    arena.pages->end_unbind(stays, false);
    arena.changed.notify_all();
    tell(EventKind::decommit, gone, {});
    tell(EventKind::unbind_refused, stays, code);
  }
  refused_.fetch_add(stays.count, std::memory_order_relaxed);
  pool_.give(gone.physicals(), keep);
}

template <class Policy>
std::uint64_t Paging<Policy>::drop(ArenaOf& arena, Offset begin, Offset end, std::uint64_t keep,
                                   std::uint64_t most) noexcept {
  PageBatch batch;
  std::uint64_t tried = 0;
  while (begin < end && tried < most) {
    {
      const Lock lock(arena.mutex);
      const std::uint64_t left = std::min<std::uint64_t>(most - tried, PageBatch::kCapacity);
      arena.pages->detach_range(batch, begin, end, static_cast<std::uint32_t>(left));
    }
    if (!batch.empty()) unbind(arena, batch, keep);
    tried += batch.count;
  }
  return tried;
}

template <class Policy>
std::uint64_t Paging<Policy>::give_back(ArenaOf& arena, std::uint64_t most, std::uint64_t keep) noexcept {
  PageBatch batch;
  std::uint64_t tried = 0;
  while (tried < most) {
    {
      const Lock lock(arena.mutex);
      const std::uint64_t left = std::min<std::uint64_t>(most - tried, PageBatch::kCapacity);
      arena.pages->detach(batch, static_cast<std::uint32_t>(left));
    }
    if (batch.empty()) break;
    unbind(arena, batch, keep);
    tried += batch.count;
  }
  return tried;
}

template <class Policy>
void Paging<Policy>::take_down(ArenaOf& arena, Offset begin, Offset end) noexcept {
  PageBatch batch;
  while (begin < end) {
    {
      const Lock lock(arena.mutex);
      arena.pages->detach_all(batch, begin, end);
    }
    if (!batch.empty()) unbind(arena, batch, 0);
  }
}

template class Paging<SingleThreaded>;
template class Paging<ThreadSafe>;

}  // namespace vaspace
