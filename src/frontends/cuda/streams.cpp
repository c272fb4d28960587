// Streams that end and begin, and what there is to tell.
#include <cuda.h>

#include "state.hpp"

namespace vaspace::cuda {

// Whoever uses the stream from now on is refused; then what was freed on it and waits gets its event, while
// there is a stream to record it on.
Result<void> StreamAllocator::State::close(Pool& pool) noexcept {
  if (Result<void> marked = mark_fresh(pool); !marked) return marked;
  if (Result<void> closed = pool.pages.close(); !closed) return closed;
  flush_cache(pool);
  return {};
}

// Where one of its tags is refused, those before it are open again: on the same stream, in its order.
Result<void> StreamAllocator::State::release_stream(Stream named) noexcept {
  const Result<Stream> stream = known_stream(named);
  if (!stream) return fail(stream.error());
  std::unique_lock one_at_a_time(growing_);
  if (is_released(*stream)) return fail(ErrorCode::wrong_state, CUDA_ERROR_INVALID_HANDLE);
  {
    const std::lock_guard lock(strangers_mutex_);
    if (!released_.reserve(released_.size() + 1)) return fail(ErrorCode::out_of_host_memory);
  }
  // From here on nothing is freed on it: what has been is found.
  set_released(*stream, true);
  const Pool::Link strangers = take_strangers(*stream);
  if (Pool* on = strangers.any() ? pool_to_wait_on(*stream) : nullptr; on != nullptr) {
    add_fresh(*on, strangers);
  } else if (strangers.any()) {
    one_at_a_time.unlock();
    return release_stranger(*stream, strangers);
  }
  set_closed(*stream, true);
  bool any = false;
  Result<void> closed;
  for_each_pool([&](Pool& pool) {
    if (pool.stream() != *stream || !is_closed_now(pool) || !closed) return;
    any = true;
    closed = close(pool);
  });
  if (any && closed) {
    device_.forget(*stream);
    return {};
  }
  set_released(*stream, false);
  if (!any) return fail(ErrorCode::unknown_handle, CUDA_ERROR_INVALID_HANDLE);
  for_each_pool([&](Pool& pool) {
    if (pool.stream() == *stream) pool.pages.reopen(*stream);
  });
  set_closed(*stream, false);
  return closed;
}

void StreamAllocator::State::set_released(Stream stream, bool released) noexcept {
  const std::lock_guard lock(strangers_mutex_);
  if (released) {
    released_.insert({key_of(stream), key_of(stream) + 1, {}});
  } else {
    released_.erase(key_of(stream));
  }
}

void StreamAllocator::State::set_closed(Stream stream, bool closed) noexcept {
  for_each_pool([&](Pool& pool) {
    if (pool.stream() != stream) return;
    const Pool::StateChange change(pool);
    pool.closed = closed;
  });
}

// A stream that begins after all that another has left in the pool: what the pool holds is given out on the
// new one at once, and its next event stands for the old one's too.
Result<void> StreamAllocator::State::order_behind(Pool& pool, Stream stream) noexcept {
  if (Result<void> behind = device_.order_after(stream, pool.pages.last_point()); !behind) return behind;
  TimelinePoint marked{};
  {
    const std::lock_guard lock(pool.waiting_mutex);
    if (pool.marked.any()) marked = pool.marked_until;
  }
  return device_.order_after(stream, marked);
}

// The driver is asked without the lock: what comes to wait meanwhile is seen after.
bool StreamAllocator::State::has_passed(Pool& pool) noexcept {
  const auto nothing_waits = [&] {
    const std::lock_guard lock(pool.waiting_mutex);
    return !pool.fresh.any() && !pool.marked.any();
  };
  settle(pool, false);
  return nothing_waits() && pool.pages.passed(false) && nothing_waits();
}

// The tag's own, so that what it holds is suspended as the tag is.
Result<Pool*> StreamAllocator::State::adopt_pool(Stream stream, Tag tag, bool passed) noexcept {
  Pool* found = nullptr;
  for_each_pool([&](Pool& pool) {
    if (found == nullptr && pool.tag() == tag && is_closed_now(pool) && (!passed || has_passed(pool)))
      found = &pool;
  });
  if (found == nullptr) return nullptr;
  if (Result<void> behind = order_behind(*found, stream); !behind) return fail(behind.error());
  found->pages.reopen(stream);
  enter_table(*found, stream, tag);
  const Pool::StateChange change(*found);
  found->closed = false;
  return found;
}

// Whoever looks for a pool meanwhile passes over what is in its way as before: no slot becomes empty.
void StreamAllocator::State::enter_table(Pool& pool, Stream stream, Tag tag) noexcept {
  pool.name(stream, tag);
  std::size_t slot = home_of(stream, tag);
  while (table_[slot] != nullptr && table_[slot] != &pool && table_[slot]->slot == slot)
    slot = (slot + 1) & (table_.size() - 1);
  pool.slot = slot;
  std::atomic_ref<Pool*>(table_[slot]).store(&pool, std::memory_order_release);
  newest_.store(&pool, std::memory_order_release);
}

// Whose pools are other streams' by now begins with others.
Result<void> StreamAllocator::State::add_stream(Stream named) noexcept {
  const Result<Stream> stream = known_stream(named);
  if (!stream) return fail(stream.error());
  const std::lock_guard one_at_a_time(growing_);
  if (Result<void> own = check_own(*stream); !own) return own;
  if (!is_released(*stream)) {
    const Result<Pool*> made = make_pool(*stream, 0);
    return made ? Result<void>{} : fail(made.error());
  }
  bool any = false;
  Result<void> ordered;
  for_each_pool([&](Pool& pool) {
    if (pool.stream() != *stream || !ordered) return;
    any = true;
    ordered = order_behind(pool, *stream);
  });
  if (!ordered) return ordered;
  set_released(*stream, false);
  if (any) {
    for_each_pool([&](Pool& pool) {
      if (pool.stream() == *stream) pool.pages.reopen(*stream);
    });
    set_closed(*stream, false);
    return {};
  }
  const Result<Pool*> made = make_pool(*stream, 0);
  if (made) return {};
  set_released(*stream, true);
  return fail(made.error());
}

Result<Bytes> StreamAllocator::State::size_of(Address address) noexcept {
  const std::uint32_t number = store_.owner_of(address);
  if (number == PageStore::kNobody) return fail(unknown(address));
  Pool& pool = *pools_.view()[number];
  {
    const SpinGuard guard(pool.lock);
    const std::uint32_t found = pool.blocks.find(address);
    if (found != Block::kNone && pool.blocks[found].is_live()) return pool.blocks[found].asked;
  }
  return fail(unknown(address));
}

StreamReport StreamAllocator::State::report() noexcept {
  StreamReport report;
  for_each_pool([&](Pool& pool) {
    report.suspended += pool.pages.suspended();
    ++report.pools;
    const SpinGuard guard(pool.lock);
    report.live_allocations += pool.live_count;
    report.live += pool.live;
    report.parked += pool.cache.bytes();
    report.waiting += pool.waiting;
  });
  report.idle = store_.page() * store_.idle();
  report.physical = store_.page() * store_.held();
  if (pinned_ != nullptr) report.physical = pinned_->budget(0)->usage;
  return report;
}

const char* StreamAllocator::State::validate() noexcept {
  const char* wrong = nullptr;
  for_each_pool([&](Pool& pool) {
    pool.for_each_arena([&](ThreadSafeArenaAllocator& arena) {
      if (wrong == nullptr) wrong = arena.validate();
    });
    const SpinGuard guard(pool.lock);
    if (wrong == nullptr) wrong = pool.blocks.validate();
    if (wrong == nullptr) wrong = pool.cache.validate(pool.blocks);
    Bytes live{};
    Bytes parked{};
    Bytes waiting{};
    std::uint64_t live_count = 0;
    for (std::uint32_t number = 0; number < pool.blocks.records(); ++number) {
      const Block& block = pool.blocks[number];
      if (block.is_live()) live += block.asked;
      if (block.is_live()) ++live_count;
      if (block.state == Block::State::parked) parked += block.size;
      if (block.state == Block::State::waiting) waiting += block.size;
    }
    if (wrong == nullptr && live != pool.live) wrong = "live bytes are miscounted";
    if (wrong == nullptr && live_count != pool.live_count) wrong = "live blocks are miscounted";
    if (wrong == nullptr && waiting != pool.waiting) wrong = "waiting bytes are miscounted";
    if (wrong == nullptr && parked != pool.cache.bytes()) wrong = "parked bytes are miscounted";
  });
  return wrong;
}

}  // namespace vaspace::cuda
