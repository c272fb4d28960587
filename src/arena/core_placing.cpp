// Allocating where something is missing: room, pages, a note.
#include <algorithm>
#include <utility>

#include "arena/core.hpp"

namespace vaspace {

template <class Policy>
Result<Allocation> AllocatorCore<Policy>::allocate_slow(std::uint32_t k,
                                                        const AllocationRequest& request) noexcept {
  Note note(config_.common.host);
  if (!note.set(request.name, request.user_data)) return refuse(k, request, {ErrorCode::out_of_host_memory});
  const Result<Placed> placed = k == class_count_ ? place_alone(request) : place(k, request);
  if (!placed) {
    // A window may have been opened, and a block to cut it out of, that are of no use now.
    if (!config_.fixed) windows_.close_empty(*arenas_[k], paging());
    windows_.source().trim(Bytes{});
    return refuse(k, request, placed.error());
  }
  if (Result<void> committed = commit(*placed); !committed) {
    take_apart(*placed);
    return refuse(k, request, committed.error());
  }
  ArenaOf& arena = *arenas_[placed->arena];
  const Lock lock(arena.mutex);
  arena.notes.put(placed->range.id.index, std::move(note));
  return publish(arena, placed->arena, placed->range, request);
}

// A range in arena `k` as it is, with room for a note and its pages touched.
template <class Policy>
auto AllocatorCore<Policy>::place_in(std::uint32_t k, const AllocationRequest& request) noexcept
    -> Result<Placed> {
  ArenaOf& arena = *arenas_[k];
  const Lock lock(arena.mutex);
  const Result<Range> range = arena.spans.allocate({request.size, request.alignment});
  if (!range) return fail(range.error());
  const bool plain = request.name.empty() && request.user_data == 0;
  const bool noted = plain || arena.notes.prepare(range->id.index);
  if (!noted ||
      (arena.pages && arena.pages->touch(range->offset, range->size) == PageTable::Touch::no_host)) {
    const Result<Freed> freed = arena.spans.release(range->id);
    if (freed->span_empty && !config_.fixed) arena.queue_window(arena.spans.window_of(range->offset));
    return fail(ErrorCode::out_of_host_memory);
  }
  return Placed{k, *range};
}

template <class Policy>
auto AllocatorCore<Policy>::place(std::uint32_t k, const AllocationRequest& request) noexcept
    -> Result<Placed> {
  bool flushed = false;
  for (;;) {
    Result<Placed> placed = place_in(k, request);
    if (placed || placed.error().code != ErrorCode::out_of_space || config_.fixed) return placed;
    const Result<void> opened = windows_.open(*arenas_[k], {request.size, request.alignment}, false);
    if (opened) continue;
    if (flushed) {
      placed = place_elsewhere(k, request);
      return placed ? placed : Result<Placed>(fail(opened.error()));
    }
    flush();
    flushed = true;
  }
}

// The device gives no more: whatever object arena still has a hole that holds it.
template <class Policy>
auto AllocatorCore<Policy>::place_elsewhere(std::uint32_t k, const AllocationRequest& request) noexcept
    -> Result<Placed> {
  for (std::uint32_t other = 0; other < class_count_; ++other) {
    if (other == k || !serves_others(other, request)) continue;
    if (Result<Placed> placed = place_in(other, request); placed) return placed;
  }
  return fail(ErrorCode::out_of_space);
}

// A reservation of its own. All others of this arena are full, as each was made for what lives in it, or
// empty and about to be given back.
template <class Policy>
auto AllocatorCore<Policy>::place_alone(const AllocationRequest& request) noexcept -> Result<Placed> {
  constexpr int kTries = 4;  // another thread may take the window that this one has opened
  ArenaOf& arena = *arenas_[class_count_];
  const AllocationRequest plain{request.size, {}, request.name, request.user_data};
  Result<Placed> placed = fail(ErrorCode::out_of_space);
  for (int attempt = 0; attempt < kTries; ++attempt) {
    windows_.close_empty(arena, paging());
    Result<void> opened = windows_.open(arena, {request.size, request.alignment}, true);
    if (!opened) {
      flush();
      opened = windows_.open(arena, {request.size, request.alignment}, true);
    }
    if (!opened) return fail(opened.error());
    placed = place_in(class_count_, plain);
    if (!placed) continue;
    const Lock lock(arena.mutex);
    if (is_aligned(arena.spans.address_of(placed->range.offset), request.alignment)) return placed;
    if (arena.pages) arena.pages->release(placed->range.offset, placed->range.size);
    (void)arena.spans.release(placed->range.id);
    arena.queue_window(arena.spans.window_of(placed->range.offset));
    placed = fail(ErrorCode::out_of_space);
  }
  return placed;
}

// DESIGN, decision 9: what is retained anywhere is taken before the device is asked for more.
template <class Policy>
void AllocatorCore<Policy>::pool_retained(ArenaOf& arena, const Range& range) noexcept {
  std::uint64_t missing = 0;
  {
    const Lock lock(arena.mutex);
    missing = arena.pages->missing(range.offset, range.size);
  }
  const std::uint64_t pooled = pool_->pooled();
  missing -= std::min(missing, pooled);
  for_each_arena([&](ArenaOf& other, std::uint32_t) {
    if (missing != 0) missing -= paging_->give_back(other, missing, kUnlimited);
  });
}

// Where memory or mappings run out, what lies about unused is given back first.
template <class Policy>
Result<void> AllocatorCore<Policy>::commit(const Placed& placed) noexcept {
  if (!paging_) return {};
  ArenaOf& arena = *arenas_[placed.arena];
  pool_retained(arena, placed.range);
  const Result<void> committed = paging_->commit(arena, placed.range);
  if (committed || (committed.error().code != ErrorCode::out_of_device_memory &&
                    committed.error().code != ErrorCode::out_of_mappings)) {
    return committed;
  }
  flush();
  return paging_->commit(arena, placed.range);
}

// Undoes a placement that is not to be: reserved and committed are no more than before it.
template <class Policy>
void AllocatorCore<Policy>::take_apart(const Placed& placed) noexcept {
  ArenaOf& arena = *arenas_[placed.arena];
  const Range& range = placed.range;
  const std::uint32_t window = arena.spans.window_of(range.offset);
  {
    const Lock lock(arena.mutex);
    arena.pages->release(range.offset, range.size);
    (void)arena.spans.release(range.id);
    // Whoever waits for one of its pages looks again.
    arena.changed.notify_all();
  }
  std::uint64_t all = kUnlimited;
  paging_->drop(arena, range.offset, range.end(), 0, all);
  if (!config_.fixed) windows_.close(arena, window, paging(), 0, all);
}

template Result<Allocation> AllocatorCore<SingleThreaded>::allocate_slow(std::uint32_t,
                                                                         const AllocationRequest&) noexcept;
template Result<Allocation> AllocatorCore<ThreadSafe>::allocate_slow(std::uint32_t,
                                                                     const AllocationRequest&) noexcept;

}  // namespace vaspace
