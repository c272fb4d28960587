// Memory that was freed on a stream on which nothing was allocated, or used on one that can have no pool: a
// free is never refused for that, needs no pool, no host memory and no driver call (R7).
//
//   freed on S ─► `strangers_` ─► S gets a pool: its list `fresh`         (waiting.cpp)
//                             └─► no pool is to be had: S is idle, or was waited for ─► home
#include <cuda.h>

#include "state.hpp"

namespace vaspace::cuda {

// Memory of a tag may be its stream's only one: it waits there as it would on the pool without a tag.
Result<void> StreamAllocator::State::free_without_pool(Address address, Stream named) noexcept {
  const Result<Stream> stream = known_stream(named);
  if (!stream) return fail(stream.error());
  const std::uint32_t number = store_.owner_of(address);
  if (number == PageStore::kNobody) return fail(unknown(address));
  Pool& owner = *pools_.view()[number];
  if (Pool* on = find_pool(*stream, 0); on != nullptr) return free_on(*on, address);
  if (owner.stream() == *stream) return free_on(owner, address);
  {
    const std::lock_guard lock(strangers_mutex_);
    if (is_released(*stream)) return fail(released());
    const SpinGuard guard(owner.lock);
    const std::uint32_t found = owner.blocks.find(address);
    if (found != Block::kNone && owner.blocks[found].is_live()) {
      owner.begin_waiting(found);
      add_stranger(owner, found, *stream);
      return {};
    }
  }
  return fail(unknown(address));
}

// strangers_mutex_ is held, and the owner's lock.
void StreamAllocator::State::add_stranger(Pool& owner, std::uint32_t number, Stream stream) noexcept {
  Block& block = owner.blocks[number];
  block.stream = stream;
  block.next_pool = strangers_.pool;
  block.next = strangers_.block;
  strangers_ = {owner.index, number};
}

// Of one stream; the others keep their places.
Pool::Link StreamAllocator::State::take_strangers(Stream stream) noexcept {
  const auto pools = pools_.view();
  const std::lock_guard lock(strangers_mutex_);
  Pool::Link taken;
  Pool::Link left;
  for (Pool::Link at = strangers_; at.any();) {
    Pool& owner = *pools[at.pool];
    const SpinGuard guard(owner.lock);
    Block& block = owner.blocks[at.block];
    const Pool::Link next{block.next_pool, block.next};
    Pool::Link& list = block.stream == stream ? taken : left;
    block.next_pool = list.pool;
    block.next = list.block;
    list = at;
    at = next;
  }
  strangers_ = left;
  return taken;
}

void StreamAllocator::State::put_strangers(Pool::Link list) noexcept {
  const std::lock_guard lock(strangers_mutex_);
  strangers_ = join(list, strangers_);
}

std::optional<Stream> StreamAllocator::State::a_stranger() noexcept {
  const std::lock_guard lock(strangers_mutex_);
  if (!strangers_.any()) return std::nullopt;
  Pool& owner = *pools_.view()[strangers_.pool];
  const SpinGuard guard(owner.lock);
  return owner.blocks[strangers_.block].stream;
}

// Nothing is put in front of what the stream does, so no pool of a stream that has not passed.
Pool* StreamAllocator::State::pool_to_wait_on(Stream stream) noexcept {
  Pool* found = nullptr;
  for_each_pool([&](Pool& pool) {
    if (found == nullptr && pool.stream() == stream && !is_closed_now(pool)) found = &pool;
  });
  return found != nullptr ? found : make_pool(stream, 0, false).value_or(nullptr);
}

void StreamAllocator::State::add_fresh(Pool& on, Pool::Link list) noexcept {
  if (!list.any()) return;
  const std::lock_guard lock(on.waiting_mutex);
  on.fresh = join(list, on.fresh);
}

// Without waiting. A stream that never gets a pool is home when it is idle: its own query says so, and needs
// no event, of whichever context it is.
void StreamAllocator::State::settle_strangers() noexcept {
  if (!a_stranger()) return;
  const std::lock_guard one_at_a_time(growing_);
  Pool::Link busy;
  while (const std::optional<Stream> stream = a_stranger()) {
    const Pool::Link list = take_strangers(*stream);
    if (Pool* on = pool_to_wait_on(*stream); on != nullptr) {
      add_fresh(*on, list);
    } else if (device_.idle(*stream).value_or(false)) {
      give_back(list);
    } else {
      busy = join(list, busy);
    }
  }
  put_strangers(busy);
}

// Those that settle_strangers() leaves; nothing is held meanwhile (T2).
void StreamAllocator::State::wait_for_strangers() noexcept {
  while (const std::optional<Stream> stream = a_stranger()) {
    const Pool::Link list = take_strangers(*stream);
    if (!device_.wait_for(*stream)) return put_strangers(list);
    give_back(list);
  }
}

// A stream that has no pool has nothing here but these, and no event of it would outlive it. Nothing is held
// meanwhile.
Result<void> StreamAllocator::State::release_stranger(Stream stream, Pool::Link list) noexcept {
  const Result<void> over = device_.wait_for(stream);
  if (over) {
    give_back(list);
    return {};
  }
  const std::lock_guard one_at_a_time(growing_);
  set_released(stream, false);
  put_strangers(list);
  return over;
}

}  // namespace vaspace::cuda
