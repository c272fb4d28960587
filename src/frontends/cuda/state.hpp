// The allocator's state: its pools, found by stream and tag without a lock.
//
// Always true: a pool stays until the end and keeps its index; one of a stream that was released is another
// stream's later, with what it holds. `table` finds each by its stream and tag: a pool counts in its own
// slot, and what else points to it there is passed over. While nobody has `growing_`, a stream's pools are
// all closed or all open, and a tag's all suspended or none.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "vaspace/backends/cuda_pinned.hpp"
#include "vaspace/base/published_array.hpp"

#include "pool.hpp"
#include "slot_sizes.hpp"

namespace vaspace::cuda {

class StreamAllocator::State {
 public:
  State(Backend& device, const StreamConfig& config, Bytes page) noexcept;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  // Once, before all else. Errors: as StreamAllocator::create.
  [[nodiscard]] Result<void> open() noexcept;

  // The steady state: as StreamAllocator says.
  [[nodiscard]] Address take_parked(Bytes size, Alignment alignment, Tag tag, Stream stream) noexcept {
    Pool* pool = find_pool(stream, tag);
    return pool != nullptr ? pool->take_at_once(sizes_.round(size), alignment, size) : Address{};
  }
  [[nodiscard]] bool park(Address address, Stream stream) noexcept {
    Pool* pool = find_pool(stream, 0);
    return pool != nullptr && pool->park_at_once(address);
  }
  [[nodiscard]] Result<Address> allocate(const StreamRequest& request, Stream stream) noexcept;
  [[nodiscard]] Result<void> free(Address address, Stream stream) noexcept;
  [[nodiscard]] Result<Bytes> size_of(Address address) noexcept;
  [[nodiscard]] Result<void> record_stream(Address address, Stream stream) noexcept;
  [[nodiscard]] Result<void> release_stream(Stream stream) noexcept;
  [[nodiscard]] Result<void> add_stream(Stream stream) noexcept;
  [[nodiscard]] Result<void> suspend(Suspend how, std::optional<Tag> tag) noexcept;
  [[nodiscard]] Result<void> resume(std::optional<Tag> tag) noexcept;
  void trim(bool wait) noexcept;
  [[nodiscard]] StreamReport report() noexcept;
  [[nodiscard]] const char* validate() noexcept;

 private:
  using SpinGuard = std::lock_guard<LeaningLock>;
  // Of allocate and free, which the lock leans for.
  class WorkGuard {
   public:
    explicit WorkGuard(LeaningLock& lock) noexcept : lock_(lock) { lock_.lock_at_work(); }
    WorkGuard(const WorkGuard&) = delete;
    WorkGuard& operator=(const WorkGuard&) = delete;
    ~WorkGuard() { lock_.unlock(); }

   private:
    LeaningLock& lock_;
  };

  // Pools.
  [[nodiscard]] Pool* find_pool(Stream stream, Tag tag) const noexcept {
    // Many programs have one stream.
    Pool* newest = newest_.load(std::memory_order_acquire);
    if (newest != nullptr && newest->stream() == stream && newest->tag() == tag) return newest;
    std::size_t slot = home_of(stream, tag);
    for (std::size_t looks = table_.size(); looks != 0; --looks, slot = (slot + 1) & (table_.size() - 1)) {
      // Acquire: who sees a pool sees it made.
      Pool* pool =
          std::atomic_ref<Pool*>(const_cast<Pool*&>(table_.data()[slot])).load(std::memory_order_acquire);
      if (pool == nullptr || (pool->stream() == stream && pool->tag() == tag)) return pool;
    }
    return nullptr;
  }
  [[nodiscard]] std::size_t home_of(Stream stream, Tag tag) const noexcept {
    const std::uint64_t key = (reinterpret_cast<std::uintptr_t>(stream) >> 3U) + tag * 0x9e3779b1ULL;
    return (key * 0x9e3779b97f4a7c15ULL >> 40U) & (table_.size() - 1);
  }
  [[nodiscard]] Result<Pool*> pool_of(Stream stream, Tag tag) noexcept;
  // growing_ is held. Not `may_wait`: a released stream's pool only where that has passed.
  [[nodiscard]] Result<Pool*> make_pool(Stream stream, Tag tag, bool may_wait = true) noexcept;
  // Errors: invalid_argument: it is another device's or context's; and what the driver says.
  [[nodiscard]] Result<void> check_own(Stream stream) noexcept;
  [[nodiscard]] Result<void> add_arena(Pool& pool, std::uint32_t number) noexcept;
  // Of a stream that was released, with what it holds. Null: there is none; or none that has passed.
  [[nodiscard]] Result<Pool*> adopt_pool(Stream stream, Tag tag, bool passed) noexcept;  // likewise
  [[nodiscard]] bool has_passed(Pool& pool) noexcept;
  void enter_table(Pool& pool, Stream stream, Tag tag) noexcept;  // likewise
  [[nodiscard]] bool is_released(Stream stream) const noexcept {  // likewise
    return released_.containing(key_of(stream)) != nullptr;
  }
  [[nodiscard]] static std::uint64_t key_of(Stream stream) noexcept {
    return reinterpret_cast<std::uintptr_t>(stream);
  }
  [[nodiscard]] static bool is_closed_now(Pool& pool) noexcept {
    const SpinGuard guard(pool.lock);
    return pool.closed;
  }
  [[nodiscard]] std::uint32_t suspension_of(Tag tag) noexcept;  // likewise
  template <class Visit>
  void for_each_pool(Visit&& visit) noexcept {
    const auto pools = pools_.view();
    const std::uint32_t count = pools.size();
    for (std::uint32_t i = 0; i < count; ++i)
      visit(*pools[i]);
  }

  // Allocating where the cache has nothing.
  [[nodiscard]] Result<Address> allocate_slow(Pool& pool, const StreamRequest& request, Bytes size) noexcept;
  struct Taken {
    Allocation allocation{};
    std::uint32_t arena = 0;
  };
  [[nodiscard]] Result<Taken> take(Pool& pool, Bytes size, Alignment alignment) noexcept;
  [[nodiscard]] Result<Taken> take_from(Pool& pool, std::uint32_t arena, Bytes size,
                                        Alignment alignment) noexcept;
  [[nodiscard]] Result<Taken> take_somewhere(Pool& pool, Bytes size, Alignment alignment) noexcept;
  [[nodiscard]] Result<Address> enter(Pool& pool, const StreamRequest& request, const Taken& taken) noexcept;
  [[nodiscard]] Result<Address> take_waiting(Pool& pool, const StreamRequest& request, Bytes size) noexcept;
  [[nodiscard]] Address lend(Pool& pool, Pool::Link waiting, const StreamRequest& request, Bytes size,
                             Pool::Link& next) noexcept;
  void link(Pool::Link before, Pool::Link behind) noexcept;

  // Freeing.
  [[nodiscard]] Result<void> free_on(Pool& on, Address address) noexcept;
  [[nodiscard]] Result<void> free_elsewhere(Pool& on, Address address) noexcept;
  // The block is live and pool.lock is held, which is let go of.
  void park_there(Pool& pool, std::uint32_t block) noexcept;
  void park_crowded(Pool& pool, std::uint32_t block) noexcept;
  void flush_cache(Pool& pool) noexcept;
  void wait_on(Pool& on, Pool& owner, std::uint32_t block) noexcept;
  [[nodiscard]] bool hand_on(Pool& owner, std::uint32_t block) noexcept;
  // Gives what has passed back to its owners, and records an event for what is new.
  void settle(Pool& on, bool wait) noexcept;
  void settle_all(bool wait) noexcept;
  [[nodiscard]] bool take_passed(Pool& on, bool wait) noexcept;
  [[nodiscard]] Result<void> mark_fresh(Pool& on) noexcept;
  [[nodiscard]] Pool::Link join(Pool::Link list, Pool::Link behind) noexcept;
  void give_back(Pool::Link list) noexcept;
  [[nodiscard]] Error unknown(Address address) noexcept;
  [[nodiscard]] static Error released() noexcept;

  static void reclaim(void* user, const PageTaker* taker, std::size_t pages, bool wait) noexcept;
  void collect(const PageTaker* taker, std::size_t pages, bool wait) noexcept;
  template <class Enough>
  void empty(Pool& pool, bool wait, Enough&& enough) noexcept;
  [[nodiscard]] bool holds_little(std::size_t more) noexcept;

  // Freed on streams without a pool that it could wait on.
  [[nodiscard]] Result<void> free_without_pool(Address address, Stream named) noexcept;
  void add_stranger(Pool& owner, std::uint32_t block, Stream stream) noexcept;
  [[nodiscard]] Pool::Link take_strangers(Stream stream) noexcept;
  void put_strangers(Pool::Link list) noexcept;
  [[nodiscard]] std::optional<Stream> a_stranger() noexcept;
  [[nodiscard]] Pool* pool_to_wait_on(Stream stream) noexcept;  // growing_ is held; null: there is none
  void add_fresh(Pool& on, Pool::Link list) noexcept;
  void settle_strangers() noexcept;
  void wait_for_strangers() noexcept;
  [[nodiscard]] Result<void> release_stranger(Stream stream, Pool::Link list) noexcept;

  // Streams that end.
  [[nodiscard]] Result<void> close(Pool& pool) noexcept;
  [[nodiscard]] Result<void> order_behind(Pool& pool, Stream stream) noexcept;
  void set_closed(Stream stream, bool closed) noexcept;
  void set_released(Stream stream, bool released) noexcept;  // growing_ is held, and room is reserved

  // Suspending.
  [[nodiscard]] Result<void> hold(std::optional<Tag> tag, bool suspended, HostArray<Pool*>& pools) noexcept;
  void let_go(std::uint32_t call, std::uint32_t before) noexcept;
  void let_go_of_all(std::optional<Tag> tag) noexcept;
  void give_up_unused(Pool& pool) noexcept;
  [[nodiscard]] Result<void> take_away(Suspend how, HostArray<Pool*>& pools) noexcept;
  [[nodiscard]] Result<void> bring_back(HostArray<Pool*>& pools, HostArray<PhysicalId>& pages) noexcept;
  [[nodiscard]] Result<void> take_back_stuck() noexcept;  // suspending_ is held

  Backend& device_;
  const StreamConfig config_;
  HostArray<SizeClass> classes_;
  SlotSizes sizes_;
  const AsymmetricFence fence_;  // of all pools' locks
  PageStore store_;
  HostObject<PinnedBackend> pinned_;
  std::mutex growing_;             // pools are made, closed and opened one at a time; taken after suspending_
  std::mutex suspending_;          // and so it is with suspending
  std::uint32_t suspensions_ = 0;  // calls so far; under suspending_
  // What resume() has bound and the driver did not unbind again: likewise.
  HostArray<BindOp> stuck_;
  HostArray<PhysicalId> stuck_pages_;
  std::uint32_t all_suspended_ = 0;  // by which call, of tags that have no pools yet; under growing_
  // Taken after growing_, before any pool's `lock`; never over a driver's call.
  std::mutex strangers_mutex_;
  Pool::Link strangers_;  // blocks that wait for streams without a pool
  IntervalTreap<char>
      released_;  // streams, by number, until they are added again; changed under growing_ too
  std::atomic<std::uint64_t> handed_on_{0};  // blocks, from one stream that they wait for to the next
  HostArray<Pool*> table_;
  std::atomic<Pool*> newest_{nullptr};
  PublishedArray<Pool*> pools_;
};

}  // namespace vaspace::cuda
