// The memory of one stream and tag: an arena over the stream's pages, the blocks taken from it, and a cache
// of freed ones.
//
// Always true: a block is live, parked in the cache, waiting (freed on another stream), or the arena's again;
// live and live_count are those of live blocks. What `lock` guards is never touched across a driver call
// (T2).
#pragma once

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
      : stream(of),
        tag(named),
        index(number),
        pages(device, memory, page_store, of, number, host),
        lock(fence),
        waits_always(host_reads),
        blocks(host) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  // The device is idle, and nobody uses the pool any more.
  ~Pool() {
    pages.end();
    arena.reset();
  }

  const Stream stream;
  const Tag tag;
  const std::uint32_t index;
  StreamPages pages;
  std::optional<ThreadSafeArenaAllocator> arena;

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
  const bool waits_always;       // memory that the host writes out of the stream's order: nothing is parked
  bool closed = false;           // the stream was released
  std::uint32_t suspended = 0;   // by which call; 0: it is not
  std::uint32_t slow_calls = 0;  // allocations that are with the arena
  std::uint64_t live_count = 0;
  Bytes live{};
  Bytes waiting{};  // of its blocks, on whichever streams
  Bytes park{};     // what the cache may hold whatever is live
  BlockCache cache;
  BlockTable blocks;

  [[nodiscard]] Bytes cache_limit() const noexcept { return park + Bytes{live.value >> 8U}; }
};

}  // namespace vaspace::cuda
