// Where a stream's cache does not help: the arena, memory freed on other streams, and what is left to do when
// there is none.
#include <array>
#include <cuda.h>
#include <utility>

#include "state.hpp"

namespace vaspace::cuda {
namespace {

constexpr std::uint64_t kForever = ~std::uint64_t{0};
constexpr int kLooks = 32;  // at waiting blocks for one that fits

[[nodiscard]] bool is_lack(ErrorCode code) noexcept {
  return code == ErrorCode::out_of_device_memory || code == ErrorCode::out_of_space ||
         code == ErrorCode::out_of_mappings || code == ErrorCode::out_of_address_space;
}

}  // namespace

// First what there is; then, where memory is lacking, what streams have freed and will pass. What was
// reserved and bound for a request that fails in the end goes back, for which its stream is waited for like
// any.
Result<Allocation> StreamAllocator::State::take(Pool& pool, Bytes size, Alignment alignment) noexcept {
  Result<Allocation> taken = pool.arena->allocate({.size = size, .alignment = alignment});
  if (taken || taken.error().code == ErrorCode::too_large) return taken;
  const PageStore::Patience patience(store_);
  if (is_lack(taken.error().code)) {
    for_each_pool([&](Pool& other) { settle(other, true); });
    for_each_pool([&](Pool& other) { flush_cache(other); });
    collect(SIZE_MAX, true);
    pool.arena->flush();
    taken = pool.arena->allocate({.size = size, .alignment = alignment});
  }
  if (!taken) {
    pool.arena->flush();
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
  const Result<Allocation> taken = take(pool, size, request.alignment);
  if (!taken) {
    const bool lack = taken.error().native == 0 && is_lack(taken.error().code);
    return fail(taken.error().code, lack ? CUDA_ERROR_OUT_OF_MEMORY : taken.error().native);
  }
  return enter(pool, request, *taken);
}

Result<Address> StreamAllocator::State::enter(Pool& pool, const StreamRequest& request,
                                              const Allocation& taken) noexcept {
  {
    const SpinGuard guard(pool.lock);
    if (pool.blocks.reserve_one()) {
      Block block;
      block.address = taken.address;
      block.size = taken.size;
      block.asked = request.size;
      block.id = taken.id;
      block.state = Block::State::live;
      (void)pool.blocks.add(block);
      pool.live += request.size;
      ++pool.live_count;
      return taken.address;
    }
  }
  pool.arena->free(taken.id);
  return fail(ErrorCode::out_of_host_memory);
}

// One that is at most an eighth larger. It stays its owner's: freed there or here, it goes home in time.
Result<Address> StreamAllocator::State::take_waiting(Pool& pool, const StreamRequest& request,
                                                     Bytes size) noexcept {
  const std::lock_guard lock(pool.waiting_mutex);
  const auto pools = pools_.view();
  for (Pool::Link* list : {&pool.fresh, &pool.marked}) {
    Pool::Link before;
    Pool::Link at = *list;
    for (int looks = 0; at.any() && looks < kLooks; ++looks) {
      Pool& owner = *pools[at.pool];
      const SpinGuard guard(owner.lock);
      Block& block = owner.blocks[at.block];
      const Pool::Link next{block.next_pool, block.next};
      const bool fits = block.size >= size && block.size.value <= size.value + size.value / 8 &&
                        is_aligned(block.address, request.alignment) && owner.tag == request.tag &&
                        owner.suspended == 0;
      // The one before it is another pool's perhaps, whose lock is not held: only a list's head is taken out.
      if (fits && !before.any()) {
        *list = next;
        block.state = Block::State::live;
        block.asked = request.size;
        owner.waiting -= block.size;
        owner.live += request.size;
        ++owner.live_count;
        return block.address;
      }
      before = at;
      at = next;
    }
  }
  return fail(ErrorCode::out_of_space);
}

// The block is live and pool.lock is held; it is let go of here. What has not come again for long makes way
// for what does: a few blocks at a time.
void StreamAllocator::State::park(Pool& pool, std::uint32_t number) noexcept {
  constexpr std::size_t kWays = 4;
  std::array<AllocationId, kWays + 1> gone{};
  std::size_t count = 0;
  const auto drop = [&](std::uint32_t dropped) noexcept {
    gone[count++] = pool.blocks[dropped].id;
    pool.blocks.remove(dropped);
  };
  Block& block = pool.blocks[number];
  pool.live -= block.asked;
  --pool.live_count;
  block.state = Block::State::parked;
  const Bytes size = block.size;
  const Bytes limit = pool.cache_limit();
  while (!pool.cache.push(pool.blocks, number, limit)) {
    const std::uint32_t other = count < kWays ? pool.cache.pop_for(pool.blocks, size, limit) : Block::kNone;
    drop(other == Block::kNone ? number : other);
    if (other == Block::kNone) break;
  }
  pool.lock.unlock();
  for (std::size_t i = 0; i < count; ++i)
    pool.arena->free(gone[i]);
}

void StreamAllocator::State::flush_cache(Pool& pool) noexcept {
  for (;;) {
    AllocationId id;
    {
      const SpinGuard guard(pool.lock);
      const std::uint32_t number = pool.cache.pop_any(pool.blocks);
      if (number == Block::kNone) return;
      id = pool.blocks[number].id;
      pool.blocks.remove(number);
    }
    pool.arena->free(id);
  }
}

Error StreamAllocator::State::unknown(Address address) noexcept {
  const std::uint32_t owner = store_.owner_of(address);
  if (owner == PageStore::kNobody) return {ErrorCode::unknown_address, CUDA_ERROR_INVALID_VALUE};
  const Result<AllocationInfo> found = pools_.view()[owner]->arena->find(address);
  const bool interior = !found && found.error().code == ErrorCode::interior_address;
  return {interior ? ErrorCode::interior_address : ErrorCode::unknown_address, CUDA_ERROR_INVALID_VALUE};
}

// Of another tag of this stream; or of another stream, or memory that the host writes: then it waits until
// this stream has passed.
Result<void> StreamAllocator::State::free_elsewhere(Pool& on, Address address) noexcept {
  const std::uint32_t number = store_.owner_of(address);
  if (number == PageStore::kNobody) return fail(unknown(address));
  Pool& owner = *pools_.view()[number];
  const bool at_once = owner.stream == on.stream && !owner.waits_always;
  const std::unique_lock waiting =
      at_once ? std::unique_lock<std::mutex>() : std::unique_lock(on.waiting_mutex);
  if (!at_once) {
    // Whoever releases the stream says so first and looks at what waits then.
    const SpinGuard guard(on.lock);
    if (on.closed) return fail(ErrorCode::wrong_state, CUDA_ERROR_INVALID_HANDLE);
  }
  owner.lock.lock();
  if (at_once && owner.closed) {
    owner.lock.unlock();
    return fail(ErrorCode::wrong_state, CUDA_ERROR_INVALID_HANDLE);
  }
  const std::uint32_t found = owner.blocks.find(address);
  if (found == Block::kNone || owner.blocks[found].state != Block::State::live) {
    owner.lock.unlock();
    return fail(unknown(address));
  }
  if (at_once) {
    owner.pages.freed();
    park(owner, found);
    return {};
  }
  Block& block = owner.blocks[found];
  owner.live -= block.asked;
  --owner.live_count;
  owner.waiting += block.size;
  block.state = Block::State::waiting;
  block.next_pool = on.fresh.pool;
  block.next = on.fresh.block;
  on.fresh = {owner.index, found};
  owner.lock.unlock();
  return {};
}

// Of two lists, one: their tails are in whichever pools. Where they wait is locked.
Pool::Link StreamAllocator::State::join(Pool::Link list, Pool::Link behind) noexcept {
  if (!list.any()) return behind;
  const auto pools = pools_.view();
  for (Pool::Link last = list;;) {
    Pool& owner = *pools[last.pool];
    const SpinGuard guard(owner.lock);
    Block& block = owner.blocks[last.block];
    const Pool::Link next{block.next_pool, block.next};
    if (!next.any()) {
      block.next_pool = behind.pool;
      block.next = behind.block;
      return list;
    }
    last = next;
  }
}

// False: what is marked has not passed. Nothing is held while the stream is waited for (T2); whoever has
// taken the list meanwhile has done it.
bool StreamAllocator::State::take_passed(Pool& on, bool wait) noexcept {
  TimelinePoint until;
  {
    const std::lock_guard lock(on.waiting_mutex);
    if (!on.marked.any()) return true;
    until = on.marked_until;
  }
  const Result<bool> over =
      wait ? device_.wait(until, kForever).map([] { return true; }) : device_.completed(until);
  if (!over || !*over) return false;
  Pool::Link passed;
  {
    const std::lock_guard lock(on.waiting_mutex);
    if (on.marked_until == until) std::swap(passed, on.marked);
  }
  give_back(passed);
  return true;
}

// What is freed meanwhile is fresh. It joins what is marked already, with the later event; a stream that has
// nothing to do needs none.
Result<void> StreamAllocator::State::mark_fresh(Pool& on) noexcept {
  const std::lock_guard one_at_a_time(on.marking_mutex);
  Pool::Link list;
  {
    const std::lock_guard lock(on.waiting_mutex);
    std::swap(list, on.fresh);
  }
  if (!list.any()) return {};
  if (device_.idle(on.stream).value_or(false)) {
    give_back(list);
    return {};
  }
  const Result<TimelinePoint> point = device_.mark(on.stream);
  const std::lock_guard lock(on.waiting_mutex);
  if (!point) {
    on.fresh = join(list, on.fresh);
    return fail(point.error());
  }
  on.marked = join(list, on.marked);
  on.marked_until = *point;
  return {};
}

// An event is recorded for what is new once what it replaces has passed: there is one at a time.
void StreamAllocator::State::settle(Pool& on, bool wait) noexcept {
  if (!take_passed(on, wait) || !mark_fresh(on)) return;
  (void)take_passed(on, wait);
}

// Its owner's stream is behind by what its own event says; this stream has passed.
void StreamAllocator::State::give_back(Pool::Link list) noexcept {
  const auto pools = pools_.view();
  while (list.any()) {
    Pool& owner = *pools[list.pool];
    AllocationId id;
    {
      const SpinGuard guard(owner.lock);
      Block& block = owner.blocks[list.block];
      const Pool::Link next{block.next_pool, block.next};
      id = block.id;
      owner.waiting -= block.size;
      owner.blocks.remove(list.block);
      list = next;
    }
    owner.pages.freed();
    owner.arena->free(id);
  }
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

void StreamAllocator::State::reclaim(void* user, std::size_t pages, bool wait) noexcept {
  auto& self = *static_cast<State*>(user);
  if (!wait && self.holds_little(pages)) return;
  self.for_each_pool([&](Pool& pool) { self.settle(pool, wait); });
  self.collect(pages, wait);
}

// Of all streams, the one that asks too: its arena has used its empty pages, but not what its cache holds.
// Where a pool has less than a page more bound than is live on it, there is nothing to be had.
void StreamAllocator::State::collect(std::size_t pages, bool wait) noexcept {
  const std::uint64_t enough = store_.idle() + pages < pages ? UINT64_MAX : store_.idle() + pages;
  for_each_pool([&](Pool& pool) {
    if (store_.idle() >= enough) return;
    {
      const SpinGuard guard(pool.lock);
      if (pool.suspended != 0 || pool.pages.bound() < pool.live + store_.page()) return;
      ++pool.slow_calls;
    }
    if (pool.pages.passed(wait)) {
      flush_cache(pool);
      if (wait) {
        pool.arena->flush();
      } else {
        pool.arena->collect();
      }
    }
    const SpinGuard guard(pool.lock);
    --pool.slow_calls;
  });
}

void StreamAllocator::State::trim(bool wait) noexcept {
  std::optional<PageStore::Patience> patience;
  if (wait) patience.emplace(store_);
  for_each_pool([&](Pool& pool) { settle(pool, wait); });
  for_each_pool([&](Pool& pool) {
    flush_cache(pool);
    {
      const SpinGuard guard(pool.lock);
      if (pool.suspended != 0) return;
      ++pool.slow_calls;
    }
    if (pool.pages.passed(wait)) pool.arena->flush();
    const SpinGuard guard(pool.lock);
    --pool.slow_calls;
  });
  store_.trim();
}

}  // namespace vaspace::cuda
