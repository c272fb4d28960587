// Allocating where something is missing: room, pages, a note.
#include <algorithm>
#include <utility>

#include "arena/core.hpp"

namespace vaspace {

namespace {

[[nodiscard]] bool is_no_memory(ErrorCode code) noexcept {
  return code == ErrorCode::out_of_device_memory || code == ErrorCode::out_of_mappings;
}

}  // namespace

template <class Policy>
Result<Allocation> AllocatorCore<Policy>::allocate_slow(std::uint32_t k,
                                                        const AllocationRequest& request) noexcept {
  Note note(config_.common.host);
  if (!note.set(request.name, request.user_data)) return refuse(k, request, {ErrorCode::out_of_host_memory});
  Result<Placed> placed = k == class_count_ ? place_alone(request) : place(k, request);
  if (!placed) {
    // A window may have been opened, and a block to cut it out of, that are of no use now.
    if (!config_.fixed) windows_.close_empty(*arenas_[k], paging());
    windows_.source().trim(Bytes{});
    return refuse(k, request, placed.error());
  }
  if (Result<void> committed = commit(*placed); !committed) {
    take_apart(*placed);
    const bool no_memory = is_no_memory(committed.error().code);
    placed = no_memory ? place_bound(k, request) : Result<Placed>(fail(committed.error()));
    if (!placed) return refuse(k, request, committed.error());
  }
  ArenaOf& arena = *arenas_[placed->arena];
  const Lock lock(arena.mutex);
  --arena.under_way;
  arena.notes.put(placed->range.id.index, std::move(note));
  if (arena.notes.any()) update_ways(placed->arena);
  return publish(arena, placed->arena, placed->range, request);
}

// A range in arena `k` as it is, with room for a note and its pages touched.
template <class Policy>
auto AllocatorCore<Policy>::place_in(std::uint32_t k, const AllocationRequest& request) noexcept
    -> Result<Placed> {
  ArenaOf& arena = *arenas_[k];
  const Lock lock(arena.mutex);
  return equip(arena, k, arena.spans.take({request.size, request.alignment}, taker_for(arena)), request);
}

// The arena's lock is held.
template <class Policy>
auto AllocatorCore<Policy>::equip(ArenaOf& arena, std::uint32_t k, const Result<Range>& range,
                                  const AllocationRequest& request) noexcept -> Result<Placed> {
  if (!range) return fail(range.error());
  const bool plain = request.name.empty() && request.user_data == 0;
  const bool noted = plain || arena.notes.prepare(range->id.index);
  if (!noted ||
      (arena.pages && arena.pages->touch(range->offset, range->size) == PageTable::Touch::no_host)) {
    arena.spans.untake(*range);
    const std::uint32_t window = arena.spans.window_of(range->offset);
    if (arena.spans.empty(window) && !config_.fixed) arena.queue_window(window);
    return fail(ErrorCode::out_of_host_memory);
  }
  ++arena.under_way;
  return Placed{k, *range};
}

template <class Policy>
auto AllocatorCore<Policy>::place(std::uint32_t k, const AllocationRequest& request) noexcept
    -> Result<Placed> {
  bool flushed = false;
  for (;;) {
    Result<Placed> placed = place_in(k, request);
    if (placed || placed.error().code != ErrorCode::out_of_space || config_.fixed) return placed;
    const bool contended = is_contended(k);
    if (!contended && merge_kept(k, true)) continue;
    const Result<void> opened = windows_.open(*arenas_[k], {request.size, request.alignment}, false);
    if (opened) {
      relax_kept(k);
      continue;
    }
    if (merge_kept(k, true)) continue;
    if (flushed) {
      placed = place_elsewhere(k, request);
      return placed ? placed : Result<Placed>(fail(opened.error()));
    }
    flush();
    flushed = true;
  }
}

// Whether several threads keep taking each other's room: then a window more is cheaper than what they keep.
template <class Policy>
bool AllocatorCore<Policy>::is_contended(std::uint32_t k) noexcept {
  if (!keeps_ranges(k)) return false;
  std::uint32_t short_of_room = 0;
  fronts_.look_at_all([&](Front& front) { short_of_room += front.kept(kept_of_[k]).is_short() ? 1 : 0; });
  return short_of_room > 1;
}

// After a window has been opened.
template <class Policy>
void AllocatorCore<Policy>::relax_kept(std::uint32_t k) noexcept {
  if (!keeps_ranges(k)) return;
  bool limited = false;
  fronts_.look_at_all([&](Front& front) { limited = limited || front.kept(kept_of_[k]).is_limited(); });
  if (limited) fronts_.pause_all([&](Front& front) { front.kept(kept_of_[k]).relax(); });
}

// Whether there was anything kept in the arena that is a hole now.
template <class Policy>
bool AllocatorCore<Policy>::merge_kept(std::uint32_t k, bool missed) noexcept {
  if (!keeps_ranges(k) || parked(k) == 0) return false;
  fronts_.pause_all([&](Front& front) {
    if (missed) front.kept(kept_of_[k]).miss();
    empty(front, k);
  });
  return true;
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

// A reservation of its own, taken whole.
template <class Policy>
auto AllocatorCore<Policy>::place_alone(const AllocationRequest& request) noexcept -> Result<Placed> {
  ArenaOf& arena = *arenas_[class_count_];
  Result<std::uint32_t> window = windows_.open_exact(arena, {request.size, request.alignment});
  if (!window) {
    flush();
    window = windows_.open_exact(arena, {request.size, request.alignment});
  }
  if (!window) return fail(window.error());
  const Lock lock(arena.mutex);
  const Result<Range> range = arena.spans.take_window(*window, request.size);
  if (!range) arena.queue_window(*window);
  return equip(arena, class_count_, range, request);
}

// The device has no page left: a free slot on a page that is there, wherever in the slab that is.
template <class Policy>
auto AllocatorCore<Policy>::place_bound(std::uint32_t k, const AllocationRequest& request) noexcept
    -> Result<Placed> {
  ArenaOf& arena = *arenas_[k];
  const Lock lock(arena.mutex);
  TrackedSlabAllocator* slab = arena.spans.slab();
  if (slab == nullptr || !slab->is_plain({request.size, request.alignment})) {
    return fail(ErrorCode::out_of_space);
  }
  for (std::uint32_t slot = slab->next_free(0); slot != TrackedSlabAllocator::kNone;
       slot = slab->next_free(std::uint64_t{slot} + 1)) {
    const Range range = arena.spans.range_at(slot);
    if (!arena.pages->is_bound(range.offset, range.size)) continue;
    slab->take_at(slot);
    return equip(arena, k, range, request);
  }
  return fail(ErrorCode::out_of_space);
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
  const auto pool_empty = [&] {
    for_each_arena([&](ArenaOf& other, std::uint32_t) {
      if (missing != 0) missing -= paging_->give_back(other, missing, kUnlimited);
    });
  };
  pool_empty();
  if (missing == 0 || !has_fronts_) return;
  std::uint64_t parked_alone = 0;
  fronts_.while_paused([&] { parked_alone = parked_pages(); });
  if (parked_alone == 0) return;
  empty_fronts();
  pool_empty();
}

// Where memory or mappings run out, what lies about unused is given back first.
template <class Policy>
Result<void> AllocatorCore<Policy>::commit(const Placed& placed) noexcept {
  if (!paging_) return {};
  ArenaOf& arena = *arenas_[placed.arena];
  pool_retained(arena, placed.range);
  const Result<void> committed = paging_->commit(arena, placed.range);
  if (committed || !is_no_memory(committed.error().code)) return committed;
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
    --arena.under_way;
    arena.pages->release(range.offset, range.size);
    arena.spans.untake(range);
    // Whoever waits for one of its pages looks again.
    arena.changed.notify_all();
  }
  std::uint64_t all = kUnlimited;
  paging_->drop(arena, range.offset, range.end(), 0, all);
  if (!config_.fixed) windows_.close(arena, window, paging(), 0, all);
}

// What is defined here.
template class AllocatorCore<SingleThreaded>;
template class AllocatorCore<ThreadSafe>;

}  // namespace vaspace
