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
  const std::lock_guard one_at_a_time(growing_);
  if (is_closed(*stream)) return fail(ErrorCode::wrong_state, CUDA_ERROR_INVALID_HANDLE);
  set_closed(*stream, true);
  bool any = false;
  Result<void> closed;
  for_each_pool([&](Pool& pool) {
    if (pool.stream != *stream || !closed) return;
    any = true;
    closed = close(pool);
  });
  if (!any) return fail(ErrorCode::unknown_handle, CUDA_ERROR_INVALID_HANDLE);
  if (closed) {
    device_.forget(*stream);
    return {};
  }
  for_each_pool([&](Pool& pool) {
    if (pool.stream == *stream) pool.pages.reopen();
  });
  set_closed(*stream, false);
  return closed;
}

void StreamAllocator::State::set_closed(Stream stream, bool closed) noexcept {
  for_each_pool([&](Pool& pool) {
    if (pool.stream != stream) return;
    const SpinGuard guard(pool.lock);
    pool.closed = closed;
  });
}

bool StreamAllocator::State::is_closed(Stream stream) noexcept {
  bool closed = false;
  for_each_pool([&](Pool& pool) {
    if (pool.stream != stream) return;
    const SpinGuard guard(pool.lock);
    closed = closed || pool.closed;
  });
  return closed;
}

// The new stream of the number begins after all that the old one has left in the pool: what the pool holds
// is given out on the new one at once, and its next event stands for the old one's too.
Result<void> StreamAllocator::State::order_behind(const Pool& pool) noexcept {
  if (Result<void> behind = device_.order_after(pool.stream, pool.pages.last_point()); !behind) return behind;
  return device_.order_after(pool.stream, pool.marked_until);
}

Result<void> StreamAllocator::State::add_stream(Stream named) noexcept {
  const Result<Stream> stream = known_stream(named);
  if (!stream) return fail(stream.error());
  const std::lock_guard one_at_a_time(growing_);
  if (!is_closed(*stream)) {
    const Result<Pool*> made = make_pool(*stream, 0);
    return made ? Result<void>{} : fail(made.error());
  }
  Result<void> ordered;
  for_each_pool([&](Pool& pool) {
    if (pool.stream == *stream && ordered) ordered = order_behind(pool);
  });
  if (!ordered) return ordered;
  for_each_pool([&](Pool& pool) {
    if (pool.stream == *stream) pool.pages.reopen();
  });
  set_closed(*stream, false);
  return {};
}

Result<Bytes> StreamAllocator::State::size_of(Address address) noexcept {
  const std::uint32_t number = store_.owner_of(address);
  if (number == PageStore::kNobody) return fail(unknown(address));
  Pool& pool = *pools_.view()[number];
  {
    const SpinGuard guard(pool.lock);
    const std::uint32_t found = pool.blocks.find(address);
    if (found != Block::kNone && pool.blocks[found].state == Block::State::live)
      return pool.blocks[found].asked;
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
    if (wrong == nullptr) wrong = pool.arena->validate();
    const SpinGuard guard(pool.lock);
    if (wrong == nullptr) wrong = pool.blocks.validate();
    Bytes live{};
    Bytes parked{};
    Bytes waiting{};
    for (std::uint32_t number = 0; number < pool.blocks.records(); ++number) {
      const Block& block = pool.blocks[number];
      if (block.state == Block::State::live) live += block.asked;
      if (block.state == Block::State::parked) parked += block.size;
      if (block.state == Block::State::waiting) waiting += block.size;
    }
    if (wrong == nullptr && live != pool.live) wrong = "live bytes are miscounted";
    if (wrong == nullptr && waiting != pool.waiting) wrong = "waiting bytes are miscounted";
    if (wrong == nullptr && parked != pool.cache.bytes()) wrong = "parked bytes are miscounted";
  });
  return wrong;
}

}  // namespace vaspace::cuda
