// The memory of one stream and tag: an arena over the stream's pages, the blocks taken from it, and a cache
// of freed ones.
//
// Always true: a block is live, parked in the cache, waiting (until other streams have passed), or the
// arena's again; live and live_count are those of live blocks. What `lock` guards is never touched across a
// driver call (T2). `lock` leans to nobody while the pool is closed or suspended, or the host reads it.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <optional>

#include "vaspace/arena/arena_allocator.hpp"

#include "block_cache.hpp"
#include "leaning_lock.hpp"
#include "stream_pages.hpp"

namespace vaspace::cuda {

struct Pool {
  Pool(Backend& device, vaspace::Backend& memory, PageStore& page_store, Stream of, Tag named,
       std::uint32_t number, bool host_reads, const AsymmetricFence& fence,
       const HostAllocator& host) noexcept
      : index(number),
        pages(device, memory, page_store, of, number, host),
        lock(fence),
        blocks(host),
        waits_always(host_reads) {
    name(of, named);
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  // Nobody uses the pool any more; and the device is idle, or the pages are abandoned.
  ~Pool() {
    (void)pages.reap();
    for (auto& arena : arenas)
      arena.reset();
  }

  // Who is found by them without a lock sees both as they belong together: the stream is set last and read
  // first.
  [[nodiscard]] Stream stream() const noexcept { return stream_.load(std::memory_order_acquire); }
  [[nodiscard]] Tag tag() const noexcept { return tag_.load(std::memory_order_relaxed); }
  void name(Stream stream, Tag tag) noexcept {
    tag_.store(tag, std::memory_order_relaxed);
    stream_.store(stream, std::memory_order_release);
  }

  const std::uint32_t index;
  static constexpr std::size_t kNoSlot = ~std::size_t{0};
  std::size_t slot = kNoSlot;  // of the allocator's table
  StreamPages pages;
  // The first; and further ones, of other addresses, for what would come to lie in the first where a page is
  // still mapped that is used elsewhere by now.
  static constexpr std::uint32_t kMostArenas = 4;
  std::array<std::optional<ThreadSafeArenaAllocator>, kMostArenas> arenas;
  std::atomic<std::uint32_t> arena_count{0};
  template <class Visit>
  void for_each_arena(Visit&& visit) noexcept {
    const std::uint32_t count = arena_count.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < count; ++i)
      visit(*arenas[i]);
  }
  void give_back(const Block::Place& place) noexcept { arenas[place.arena]->free(place.id); }

  // What has been freed on this stream and waits for it, because it belongs to others or the host may write
  // it: in two lists; `fresh` has come since the event was recorded that `marked` waits for. Blocks are
  // linked by their own records.
  struct Link {
    std::uint32_t pool = Block::kNone;
    std::uint32_t block = Block::kNone;
    [[nodiscard]] bool any() const noexcept { return block != Block::kNone; }
  };
  std::mutex marking_mutex;  // held while `fresh` becomes `marked`, over the driver's call; taken first
  std::mutex waiting_mutex;  // of what follows; taken before any pool's `lock`, never over a driver's call
  Link fresh;
  Link marked;
  TimelinePoint marked_until{};

  // The way of most calls: alone on its cache lines.
  alignas(64) LeaningLock lock;  // of what follows
  // Not side by side: two that one instruction would load together are stored one by one, and waited for.
  Bytes live{};
  Bytes park{};  // what the cache may hold whatever is live
  std::uint64_t live_count = 0;
  BlockTable blocks;
  BlockCache cache;
  Bytes waiting{};               // of its blocks, on whichever streams
  std::uint32_t slow_calls = 0;  // allocations that are with the arena
  // What an unusual pool is: changed by StateChange alone.
  const bool waits_always;      // memory that the host writes out of the stream's order: nothing is parked
  bool closed = false;          // the stream was released
  std::uint32_t suspended = 0;  // by which call; 0: it is not

  // Has `lock` while it lives; then it leans again where the pool is a usual one: open, not suspended, of
  // memory that its stream alone orders. So who enters by lean() asks for none of these.
  class StateChange {
   public:
    explicit StateChange(Pool& pool) noexcept : pool_(pool) { pool_.lock.lock_upright(); }
    StateChange(const StateChange&) = delete;
    StateChange& operator=(const StateChange&) = delete;
    ~StateChange() {
      pool_.lock.let_lean(!pool_.waits_always && !pool_.closed && pool_.suspended == 0);
      pool_.lock.unlock();
    }

   private:
    Pool& pool_;
  };

  // The steady state, by the thread to which `lock` leans: a parked block, live again; no address: there is
  // none, or this is another thread, or no usual pool.
  [[nodiscard]] Address take_at_once(Bytes size, Alignment alignment, Bytes asked) noexcept {
    if (!lock.lean()) return {};
    const Address taken = make_live(cache.pop_exact(blocks, size, alignment), asked);
    lock.leave();
    return taken;
  }
  // Likewise: a live block of this pool is parked. False: nothing has changed.
  [[nodiscard]] bool park_at_once(Address address) noexcept {
    if (!lock.lean()) return false;
    const bool parked = park_now(blocks.find(address));
    lock.leave();
    return parked;
  }
  // `lock` is held. A block of the cache, live again; no address: it has none.
  [[nodiscard]] Address take_parked(Bytes size, Alignment alignment, Bytes asked) noexcept {
    return make_live(cache.pop(blocks, size, alignment), asked);
  }
  // `lock` is held: a live block is not any more, and is nobody's before others have passed.
  void begin_waiting(std::uint32_t number) noexcept {
    Block& block = blocks[number];
    live -= block.asked;
    --live_count;
    waiting += block.size;
    block.shared = block.state == Block::State::recorded || block.users != Block::kNone;
    block.state = Block::State::waiting;
  }
  // Where so much is live.
  [[nodiscard]] Bytes cache_limit(Bytes living) const noexcept { return park + Bytes{living.value >> 8U}; }

 private:
  [[nodiscard]] bool park_now(std::uint32_t number) noexcept {
    if (number == Block::kNone) return false;
    Block& block = blocks[number];
    const Bytes left = live - block.asked;
    if (block.state != Block::State::live || !cache.push_exact(block, number, cache_limit(left)))
      return false;
    pages.freed();
    block.state = Block::State::parked;
    live = left;
    --live_count;
    return true;
  }
  [[nodiscard]] Address make_live(std::uint32_t number, Bytes asked) noexcept {
    if (number == Block::kNone) return {};
    Block& block = blocks[number];
    block.state = Block::State::live;
    block.asked = asked;
    live += asked;
    ++live_count;
    return block.address;
  }

  std::atomic<Stream> stream_{nullptr};
  std::atomic<Tag> tag_{0};
};

}  // namespace vaspace::cuda
