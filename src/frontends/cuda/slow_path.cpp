// Where a stream's cache does not help: the arena, and what is left to do when there is no memory.
#include <array>
#include <cuda.h>
#include <utility>

#include "state.hpp"

namespace vaspace::cuda {
namespace {

[[nodiscard]] bool is_lack(ErrorCode code) noexcept {
  return code == ErrorCode::out_of_device_memory || code == ErrorCode::out_of_space ||
         code == ErrorCode::out_of_mappings || code == ErrorCode::out_of_address_space;
}

// StreamPages::bind: memory is still mapped there.
[[nodiscard]] bool is_in_the_way(ErrorCode code) noexcept {
  return code == ErrorCode::timed_out;
}

}  // namespace

Result<StreamAllocator::State::Taken> StreamAllocator::State::take_from(Pool& pool, std::uint32_t arena,
                                                                        Bytes size,
                                                                        Alignment alignment) noexcept {
  const Result<Allocation> taken = pool.arenas[arena]->allocate({.size = size, .alignment = alignment});
  return taken ? Result<Taken>({*taken, arena}) : fail(taken.error());
}

// In the next arena, where memory is still mapped in the one before; in the first, where that is so in all of
// them: then the stream is waited for.
Result<StreamAllocator::State::Taken> StreamAllocator::State::take_somewhere(Pool& pool, Bytes size,
                                                                             Alignment alignment) noexcept {
  for (std::uint32_t arena = 0; arena < Pool::kMostArenas; ++arena) {
    if (arena >= pool.arena_count.load(std::memory_order_acquire)) {
      const std::lock_guard one_at_a_time(growing_);
      if (arena >= pool.arena_count.load(std::memory_order_relaxed) && !add_arena(pool, arena)) break;
    }
    const Result<Taken> taken = take_from(pool, arena, size, alignment);
    if (taken || !is_in_the_way(taken.error().code)) return taken;
  }
  const PageStore::Patience patience(store_);
  return take_from(pool, 0, size, alignment);
}

// First what there is; then, where memory is lacking, what streams have freed and will pass. What was
// reserved and bound for a request that fails in the end goes back, for which its stream is waited for like
// any.
Result<StreamAllocator::State::Taken> StreamAllocator::State::take(Pool& pool, Bytes size,
                                                                   Alignment alignment) noexcept {
  Result<Taken> taken = take_somewhere(pool, size, alignment);
  if (taken || taken.error().code == ErrorCode::too_large) return taken;
  const PageStore::Patience patience(store_);
  const auto flush = [&] { pool.for_each_arena([](ThreadSafeArenaAllocator& arena) { arena.flush(); }); };
  if (is_lack(taken.error().code)) {
    settle_all(true);
    for_each_pool([&](Pool& other) { flush_cache(other); });
    collect(nullptr, SIZE_MAX, true);
    flush();
    taken = take_from(pool, 0, size, alignment);
  }
  if (!taken) {
    flush();
    store_.trim();
  }
  return taken;
}

Result<Address> StreamAllocator::State::allocate_slow(Pool& pool, const StreamRequest& request,
                                                      Bytes size) noexcept {
  if (pool.waits_always) {
    settle(pool, false);
  } else if (const Result<Address> waiting = take_waiting(pool, request, size); waiting) {
    // Freed on this very stream, though it was allocated on another: reused at once.
    return waiting;
  }
  const Result<Taken> taken = take(pool, size, request.alignment);
  if (!taken) {
    const bool lack = taken.error().native == 0 &&
                      (is_lack(taken.error().code) || taken.error().code == ErrorCode::too_large);
    return fail(taken.error().code, lack ? CUDA_ERROR_OUT_OF_MEMORY : taken.error().native);
  }
  return enter(pool, request, *taken);
}

Result<Address> StreamAllocator::State::enter(Pool& pool, const StreamRequest& request,
                                              const Taken& taken) noexcept {
  {
    const SpinGuard guard(pool.lock);
    if (pool.blocks.reserve_one()) {
      Block block;
      block.address = taken.allocation.address;
      block.size = taken.allocation.size;
      block.asked = request.size;
      block.place = {taken.allocation.id, taken.arena};
      block.state = Block::State::live;
      (void)pool.blocks.add(block);
      pool.live += request.size;
      ++pool.live_count;
      return taken.allocation.address;
    }
  }
  pool.give_back({taken.allocation.id, taken.arena});
  return fail(ErrorCode::out_of_host_memory);
}

// What has not come again for long makes way for what does: a few blocks at a time.
void StreamAllocator::State::park_crowded(Pool& pool, std::uint32_t number) noexcept {
  constexpr std::size_t kWays = 4;
  std::array<Block::Place, kWays + 1> gone{};
  std::size_t count = 0;
  const auto drop = [&](std::uint32_t dropped) noexcept {
    gone[count++] = pool.blocks[dropped].place;
    pool.blocks.remove(dropped);
  };
  const Bytes size = pool.blocks[number].size;
  const Bytes limit = pool.cache_limit(pool.live);
  do {
    const std::uint32_t other = count < kWays ? pool.cache.pop_for(pool.blocks, size, limit) : Block::kNone;
    drop(other == Block::kNone ? number : other);
    if (other == Block::kNone) break;
  } while (!pool.cache.push(pool.blocks, number, limit));
  pool.lock.unlock();
  for (std::size_t i = 0; i < count; ++i)
    pool.give_back(gone[i]);
}

void StreamAllocator::State::flush_cache(Pool& pool) noexcept {
  for (;;) {
    Block::Place place;
    {
      const SpinGuard guard(pool.lock);
      const std::uint32_t number = pool.cache.pop_any(pool.blocks);
      if (number == Block::kNone) return;
      place = pool.blocks[number].place;
      pool.blocks.remove(number);
    }
    pool.give_back(place);
  }
}

Error StreamAllocator::State::released() noexcept {
  return {ErrorCode::wrong_state, CUDA_ERROR_INVALID_HANDLE};
}

Error StreamAllocator::State::unknown(Address address) noexcept {
  const std::uint32_t owner = store_.owner_of(address);
  if (owner == PageStore::kNobody) return {ErrorCode::unknown_address, CUDA_ERROR_INVALID_VALUE};
  bool interior = false;
  pools_.view()[owner]->for_each_arena([&](ThreadSafeArenaAllocator& arena) {
    const Result<AllocationInfo> found = arena.find(address);
    interior = interior || (!found && found.error().code == ErrorCode::interior_address);
  });
  return {interior ? ErrorCode::interior_address : ErrorCode::unknown_address, CUDA_ERROR_INVALID_VALUE};
}

// A little more than what is live may be held before anybody's cache is emptied: where sizes take turns,
// pages would go to and fro between them.
bool StreamAllocator::State::holds_little(std::size_t more) noexcept {
  constexpr std::uint64_t kSpare = 8;
  Bytes live{};
  for_each_pool([&](Pool& pool) {
    const SpinGuard guard(pool.lock);
    live += pool.live;
  });
  const Bytes held = store_.page() * (store_.held() + more);
  return held <= live + Bytes{live.value / 32} + store_.page() * kSpare;
}

void StreamAllocator::State::reclaim(void* user, const PageTaker* taker, std::size_t pages,
                                     bool wait) noexcept {
  auto& self = *static_cast<State*>(user);
  if (!wait && self.holds_little(pages)) return;
  self.settle_all(wait);
  self.collect(taker, pages, wait);
}

// What a pool has emptied: unbound, and where the stream has passed, the store's. Where a pool has less than
// a page more bound than is live on it, there is nothing to be had. A collection gives back so much at a
// time: `enough` is asked whether that does.
template <class Enough>
void StreamAllocator::State::empty(Pool& pool, bool wait, Enough&& enough) noexcept {
  {
    const SpinGuard guard(pool.lock);
    if (pool.suspended != 0 || pool.pages.bound() < pool.live + store_.page()) return;
    ++pool.slow_calls;
  }
  flush_cache(pool);
  std::uint64_t before = 0;
  do {
    before = pool.pages.bound_now();
    pool.for_each_arena([&](ThreadSafeArenaAllocator& arena) {
      if (wait) {
        arena.flush();
      } else if (!enough()) {
        arena.collect();
      }
    });
  } while (!enough() && pool.pages.bound_now() < before);
  (void)pool.pages.reap();
  const SpinGuard guard(pool.lock);
  --pool.slow_calls;
}

// Of all streams that have passed; then of the one that asks, which has not: its arena has used its empty
// pages where they are, but not what its cache holds, and not at other addresses.
void StreamAllocator::State::collect(const PageTaker* taker, std::size_t pages, bool wait) noexcept {
  const std::uint64_t least = store_.idle() + pages < pages ? UINT64_MAX : store_.idle() + pages;
  const auto enough = [&] { return store_.idle() >= least; };
  Pool* mine = nullptr;
  for_each_pool([&](Pool& pool) {
    if (enough()) return;
    if (pool.pages.passed(wait)) {
      (void)pool.pages.reap();
      empty(pool, wait, enough);
    } else if (&pool.pages == taker) {
      mine = &pool;
    }
  });
  if (mine == nullptr) return;
  const auto mine_too = [&] { return store_.idle() + mine->pages.own() >= least; };
  if (mine_too()) return;
  const StreamPages::Stealing stealing(mine->pages);
  empty(*mine, false, mine_too);
}

void StreamAllocator::State::trim(bool wait) noexcept {
  std::optional<PageStore::Patience> patience;
  if (wait) patience.emplace(store_);
  settle_all(wait);
  for_each_pool([&](Pool& pool) {
    flush_cache(pool);
    {
      const SpinGuard guard(pool.lock);
      if (pool.suspended != 0) return;
      ++pool.slow_calls;
    }
    if (pool.pages.passed(wait)) pool.for_each_arena([](ThreadSafeArenaAllocator& arena) { arena.flush(); });
    (void)pool.pages.reap();
    const SpinGuard guard(pool.lock);
    --pool.slow_calls;
  });
  store_.trim();
}

}  // namespace vaspace::cuda
