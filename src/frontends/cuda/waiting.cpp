// Memory that was freed, but is nobody's before other streams have passed: freed elsewhere than on its own
// stream, used on others too (record_stream), or written by the host.
//
//   freed on S ─► S's list `fresh` ─► an event of S ─► `marked` ─► passed ─► the next stream that used it, or
//   home
#include <cuda.h>
#include <utility>

#include "state.hpp"

namespace vaspace::cuda {
namespace {

constexpr int kLooks = 32;  // at waiting blocks for one that fits

// Why a stream has no pool that its users could wait on, but can be asked itself.
[[nodiscard]] bool does_without_pool(const Error& error) noexcept {
  return error.native == CUDA_ERROR_INVALID_CONTEXT || error.code == ErrorCode::out_of_space ||
         error.code == ErrorCode::out_of_host_memory || error.code == ErrorCode::driver_error;
}

}  // namespace

// One that is at most an eighth larger. It stays its owner's: freed here, it goes home in time; freed there,
// it waits for this stream, which has used it before and perhaps not since: an allocation counts as a use.
// What yet other streams have used is not in this stream's order. The list is locked. No address: it does not
// fit.
Address StreamAllocator::State::lend(Pool& pool, Pool::Link waiting, const StreamRequest& request, Bytes size,
                                     Pool::Link& next) noexcept {
  Pool& owner = *pools_.view()[waiting.pool];
  const SpinGuard guard(owner.lock);
  Block& block = owner.blocks[waiting.block];
  next = {block.next_pool, block.next};
  const bool fits = block.size >= size && block.size.value <= size.value + size.value / 8 &&
                    is_aligned(block.address, request.alignment) && !block.shared &&
                    owner.tag() == request.tag && owner.suspended == 0;
  if (!fits || !owner.blocks.add_user(waiting.block, {pool.index, nullptr})) return {};
  block.state = Block::State::lent;
  block.asked = request.size;
  owner.waiting -= block.size;
  owner.live += request.size;
  ++owner.live_count;
  return block.address;
}

Result<Address> StreamAllocator::State::take_waiting(Pool& pool, const StreamRequest& request,
                                                     Bytes size) noexcept {
  const std::lock_guard lock(pool.waiting_mutex);
  for (Pool::Link* list : {&pool.fresh, &pool.marked}) {
    Pool::Link before;
    Pool::Link at = *list;
    for (int looks = 0; at.any() && looks < kLooks; ++looks) {
      Pool::Link next;
      const Address taken = lend(pool, at, request, size, next);
      if (taken != Address{}) {
        before.any() ? link(before, next) : void(*list = next);
        return taken;
      }
      before = std::exchange(at, next);
    }
  }
  return fail(ErrorCode::out_of_space);
}

// The list is locked.
void StreamAllocator::State::link(Pool::Link before, Pool::Link behind) noexcept {
  Pool& owner = *pools_.view()[before.pool];
  const SpinGuard guard(owner.lock);
  owner.blocks[before.block].next_pool = behind.pool;
  owner.blocks[before.block].next = behind.block;
}

// It will wait on the stream's pool without a tag; or, where there is none to be had, until the stream itself
// is found idle: for want of memory or room, of another device's or context's, or because the driver does not
// say whose it is. What home is needs no waiting for, but the block may have been given out on another
// stream, which is not to have it again at once.
Result<void> StreamAllocator::State::record_stream(Address address, Stream named) noexcept {
  const std::uint32_t number = store_.owner_of(address);
  if (number == PageStore::kNobody) return fail(unknown(address));
  const Result<Pool*> on = pool_of(named, 0);
  if (!on && !does_without_pool(on.error())) return fail(on.error());
  if (on && is_closed_now(**on)) return fail(released());
  const Stream stream = *known_stream(named);
  Pool& owner = *pools_.view()[number];
  {
    const SpinGuard guard(owner.lock);
    const std::uint32_t found = owner.blocks.find(address);
    if (found != Block::kNone && owner.blocks[found].is_live()) {
      const BlockTable::User user =
          on ? BlockTable::User{(*on)->index, nullptr} : BlockTable::User{Block::kNone, stream};
      if (owner.stream() != stream && !owner.blocks.add_user(found, user))
        return fail(ErrorCode::out_of_host_memory);
      owner.blocks[found].state = Block::State::recorded;
      return {};
    }
  }
  return fail(unknown(address));
}

// The list of `on` is locked, and its owner.
void StreamAllocator::State::wait_on(Pool& on, Pool& owner, std::uint32_t number) noexcept {
  Block& block = owner.blocks[number];
  block.next_pool = on.fresh.pool;
  block.next = on.fresh.block;
  on.fresh = {owner.index, number};
}

// Of another tag of this stream; or of another stream, one that others have used too, or memory that the host
// writes: then it waits until all of these have passed.
Result<void> StreamAllocator::State::free_elsewhere(Pool& on, Address address) noexcept {
  const std::uint32_t number = store_.owner_of(address);
  if (number == PageStore::kNobody) return fail(unknown(address));
  Pool& owner = *pools_.view()[number];
  const bool at_home = owner.stream() == on.stream() && !owner.waits_always;
  std::unique_lock waiting(on.waiting_mutex);
  // Whoever releases the stream says so first and looks at what waits then.
  if (is_closed_now(on)) return fail(released());
  owner.lock.lock();
  const std::uint32_t found = owner.blocks.find(address);
  if (found == Block::kNone || !owner.blocks[found].is_live()) {
    owner.lock.unlock();
    return fail(unknown(address));
  }
  // Waiting for this stream is what follows.
  owner.blocks.drop_user(found, {on.index, nullptr});
  Block& block = owner.blocks[found];
  if (at_home && block.users == Block::kNone) {
    park_there(owner, found);
    return {};
  }
  owner.begin_waiting(found);
  if (!at_home) wait_on(on, owner, found);
  owner.lock.unlock();
  waiting.unlock();
  if (at_home) (void)hand_on(owner, found);
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
// nothing to do needs none, and one that was released has its last.
Result<void> StreamAllocator::State::mark_fresh(Pool& on) noexcept {
  const std::lock_guard one_at_a_time(on.marking_mutex);
  Pool::Link list;
  {
    const std::lock_guard lock(on.waiting_mutex);
    std::swap(list, on.fresh);
  }
  if (!list.any()) return {};
  const Result<TimelinePoint> point = on.pages.now();
  if (point && *point == TimelinePoint{}) {
    give_back(list);
    return {};
  }
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

// What one stream has passed may wait for another then: again, as long as that happens.
void StreamAllocator::State::settle_all(bool wait) noexcept {
  std::uint64_t before = 0;
  do {
    before = handed_on_.load(std::memory_order_relaxed);
    settle_strangers();
    if (wait) wait_for_strangers();
    for_each_pool([&](Pool& pool) { settle(pool, wait); });
  } while (handed_on_.load(std::memory_order_relaxed) != before);
}

// To the next stream that has used it; false: there is none. This one has passed.
bool StreamAllocator::State::hand_on(Pool& owner, std::uint32_t number) noexcept {
  std::optional<BlockTable::User> user;
  {
    const SpinGuard guard(owner.lock);
    user = owner.blocks.take_user(number);
  }
  if (!user) return false;
  if (user->pool == Block::kNone) {
    const std::lock_guard lock(strangers_mutex_);
    const SpinGuard guard(owner.lock);
    add_stranger(owner, number, user->stream);
  } else {
    Pool& on = *pools_.view()[user->pool];
    const std::lock_guard lock(on.waiting_mutex);
    const SpinGuard guard(owner.lock);
    wait_on(on, owner, number);
  }
  handed_on_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// Its owner's stream is behind by what its own event says; this stream has passed.
void StreamAllocator::State::give_back(Pool::Link list) noexcept {
  const auto pools = pools_.view();
  while (list.any()) {
    const Pool::Link gone = list;
    Pool& owner = *pools[gone.pool];
    {
      const SpinGuard guard(owner.lock);
      const Block& block = owner.blocks[gone.block];
      list = {block.next_pool, block.next};
    }
    if (hand_on(owner, gone.block)) continue;
    Block::Place place;
    {
      const SpinGuard guard(owner.lock);
      Block& block = owner.blocks[gone.block];
      place = block.place;
      owner.waiting -= block.size;
      owner.blocks.remove(gone.block);
    }
    owner.pages.freed();
    owner.give_back(place);
  }
}

}  // namespace vaspace::cuda
