// Memory that is taken away and comes back.
//
//   hold ─► nobody allocates ─► the device is idle ─► contents saved ─► all unbound in one batch ─► destroyed
//   take ─► all bound in one batch ─► contents restored ─► allocating goes on
//
// The batch is the point of no return: before it everything is undone, after it nothing can be refused.
#include <cuda.h>
#include <sched.h>
#include <utility>

#include "backends/cuda/steps.hpp"
#include "state.hpp"

namespace vaspace::cuda {

// A tag's first pool is as all memory is; later ones are as the tag's others.
std::uint32_t StreamAllocator::State::suspension_of(Tag tag) noexcept {
  std::optional<std::uint32_t> others;
  for_each_pool([&](Pool& pool) {
    if (pool.tag() != tag || others) return;
    const SpinGuard guard(pool.lock);
    others = pool.suspended;
  });
  return others.value_or(all_suspended_);
}

// The pools of the tag that are not (or are) suspended; whoever is about to allocate in them has finished
// when this returns. Errors: wrong_state where there are none.
Result<void> StreamAllocator::State::hold(std::optional<Tag> tag, bool suspended,
                                          HostArray<Pool*>& pools) noexcept {
  {
    const std::lock_guard no_new_ones(growing_);
    if (!pools.reserve(pools_.view().size())) return fail(ErrorCode::out_of_host_memory);
    for_each_pool([&](Pool& pool) {
      if (tag && pool.tag() != *tag) return;
      const Pool::StateChange change(pool);
      if ((pool.suspended != 0) != suspended) return;
      if (!suspended) pool.suspended = suspensions_;
      pools.push_back_reserved(&pool);
    });
    // All memory may have come back tag by tag.
    const bool nothing_left = suspended && !tag && all_suspended_ != 0;
    if (pools.empty() && !nothing_left) return fail(ErrorCode::wrong_state);
    if (!tag && !suspended) all_suspended_ = suspensions_;
  }
  for (Pool* pool : pools) {
    const auto busy = [&] {
      const SpinGuard guard(pool->lock);
      return pool->slow_calls != 0;
    };
    while (busy())
      (void)sched_yield();
  }
  return {};
}

// Of what this call of suspend() held, and what came meanwhile and was like that. `before`: which call had
// suspended all by then.
void StreamAllocator::State::let_go(std::uint32_t call, std::uint32_t before) noexcept {
  const std::lock_guard no_new_ones(growing_);
  for_each_pool([&](Pool& pool) {
    const Pool::StateChange change(pool);
    if (pool.suspended == call) pool.suspended = 0;
  });
  if (all_suspended_ == call) all_suspended_ = before;
}

// A pool that came meanwhile has no pages: it goes with the tag's others.
void StreamAllocator::State::let_go_of_all(std::optional<Tag> tag) noexcept {
  const std::lock_guard no_new_ones(growing_);
  for_each_pool([&](Pool& pool) {
    if (tag && pool.tag() != *tag) return;
    const Pool::StateChange change(pool);
    pool.suspended = 0;
  });
  if (!tag) all_suspended_ = 0;
}

// What nobody has is neither copied nor brought back.
void StreamAllocator::State::give_up_unused(Pool& pool) noexcept {
  flush_cache(pool);
  pool.for_each_arena([](ThreadSafeArenaAllocator& arena) { arena.flush(); });
}

// Any stream may use any memory, so all of the device is waited for (C13).
Result<void> StreamAllocator::State::take_away(Suspend how, HostArray<Pool*>& pools) noexcept {
  if (Result<void> idle = device_.wait_idle(); !idle) return idle;
  settle_all(false);
  for (Pool* pool : pools)
    give_up_unused(*pool);
  for (Pool* pool : pools)
    if (Result<void> reaped = pool->pages.reap(); !reaped) return reaped;
  std::size_t count = 0;
  for (const Pool* pool : pools) {
    if (pool->pages.lingers()) return fail(ErrorCode::timed_out, CUDA_ERROR_NOT_READY);
    count += pool->pages.bound_pages();
  }
  HostArray<BindOp> ops(config_.host);
  HostArray<PhysicalId> gone(config_.host);
  HostArray<HostCopy> contents(config_.host);
  if (!ops.reserve(count) || !gone.reserve(count) || !contents.reserve(count))
    return fail(ErrorCode::out_of_host_memory);
  for (Pool* pool : pools) {
    if (how == Suspend::discard) break;
    if (Result<void> made = pool->pages.make_room(contents); !made) return made;
  }
  if (!contents.empty()) {
    if (Result<void> saved = device_.copy_to_host(contents.span()); !saved) return saved;
  }
  for (const Pool* pool : pools)
    pool->pages.list_unbinds(ops);
  if (const Result<TimelinePoint> unbound = device_.bind(ops.span(), {}); !unbound)
    return fail(unbound.error());
  for (Pool* pool : pools)
    pool->pages.let_go(gone);
  store_.destroy(gone.span());
  store_.trim();
  return {};
}

// Mapped pages are nobody's to use: neither idle nor the device's until they are unbound.
Result<void> StreamAllocator::State::take_back_stuck() noexcept {
  if (stuck_.empty()) return {};
  if (const auto gone = insist([&] { return device_.bind(stuck_.span(), {}); }); !gone)
    return fail(gone.error());
  stuck_.clear();
  store_.destroy(stuck_pages_.span());
  stuck_pages_.clear();
  return {};
}

Result<void> StreamAllocator::State::suspend(Suspend how, std::optional<Tag> tag) noexcept {
  if (pinned_ != nullptr) return fail(ErrorCode::not_supported);
  const std::lock_guard one_at_a_time(suspending_);
  if (Result<void> unbound = take_back_stuck(); !unbound) return unbound;
  ++suspensions_;
  const std::uint32_t before = all_suspended_;  // no other call of suspend() or resume() is under way
  HostArray<Pool*> pools(config_.host);
  if (Result<void> held = hold(tag, false, pools); !held) return held;
  const Result<void> gone = take_away(how, pools);
  if (gone) return gone;
  for (Pool* pool : pools)
    pool->pages.cancel_save();
  let_go(suspensions_, before);
  return gone;
}

// What is refused behind the binds takes them back; or, where that is refused too, before the next call.
Result<void> StreamAllocator::State::bring_back(HostArray<Pool*>& pools,
                                                HostArray<PhysicalId>& pages) noexcept {
  HostArray<BindOp> ops(config_.host);
  HostArray<HostCopy> contents(config_.host);
  if (!ops.reserve(pages.size()) || !contents.reserve(pages.size()))
    return fail(ErrorCode::out_of_host_memory);
  std::size_t at = 0;
  for (const Pool* pool : pools) {
    pool->pages.list_binds(ops, pages.span().subspan(at, pool->pages.bound_pages()));
    pool->pages.list_saved(contents);
    at += pool->pages.bound_pages();
  }
  if (const Result<TimelinePoint> bound = device_.bind(ops.span(), {}); !bound) return fail(bound.error());
  if (contents.empty()) return {};
  const Result<void> restored = device_.copy_from_host(contents.span());
  if (restored) return {};
  for (BindOp& op : ops)
    op.physical = {};
  stuck_ = std::move(ops);
  stuck_pages_ = std::move(pages);
  (void)take_back_stuck();
  return restored;
}

Result<void> StreamAllocator::State::resume(std::optional<Tag> tag) noexcept {
  const std::lock_guard one_at_a_time(suspending_);
  if (Result<void> unbound = take_back_stuck(); !unbound) return unbound;
  HostArray<Pool*> pools(config_.host);
  if (Result<void> held = hold(tag, true, pools); !held) return held;
  std::size_t count = 0;
  for (Pool* pool : pools) {
    give_up_unused(*pool);
    count += pool->pages.bound_pages();
  }
  HostArray<PhysicalId> pages(config_.host);
  if (!pages.resize(count)) return fail(ErrorCode::out_of_host_memory);
  const PageStore::Patience patience(store_);
  if (count != 0) {
    if (Result<void> taken = store_.take(pages.span(), nullptr); !taken) return taken;
  }
  if (Result<void> back = bring_back(pools, pages); !back) {
    store_.destroy(pages.span());
    return back;
  }
  std::size_t at = 0;
  for (Pool* pool : pools) {
    const std::size_t share = pool->pages.bound_pages();
    pool->pages.take_up(pages.span().subspan(at, share));
    at += share;
  }
  let_go_of_all(tag);
  return {};
}

}  // namespace vaspace::cuda
