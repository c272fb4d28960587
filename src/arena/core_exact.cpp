// What object arenas keep of ranges that were freed.
#include "arena/core.hpp"

namespace vaspace {

template <class Policy>
Range AllocatorCore<Policy>::take_kept(ArenaOf& arena, const AllocationRequest& request) noexcept {
  if (!arena.exact || arena.exact->count() == 0) return {};
  const std::uint64_t granules = arena.spans.granules(request.size);
  Range range = arena.exact->take(granules, granules * arena.spans.granule(), request.alignment);
  if (range.id.index != 0) range.id = arena.spans.reissue(range.id, request.size);
  return range;
}

template <class Policy>
bool AllocatorCore<Policy>::keep(ArenaOf& arena, const Range& range) noexcept {
  if (!arena.exact) return false;
  const std::uint64_t granules = arena.spans.granules(range.size);
  if (!arena.exact->wants(granules, range.size)) return false;
  const RangeId nobodys = arena.spans.reissue(range.id, Bytes{});
  arena.exact->put(granules, {range.offset, range.size, nobodys});
  return true;
}

// The arena's lock is held.
template <class Policy>
void AllocatorCore<Policy>::empty_exact(ArenaOf& arena) noexcept {
  if (!arena.exact || arena.exact->count() == 0) return;
  arena.exact->take_all([&](RangeId id) {
    const Result<Freed> freed = arena.spans.release(id);
    if (arena.pages) arena.pages->release(freed->offset, freed->size);
    if (freed->span_empty) arena.queue_window(arena.spans.window_of(freed->offset));
  });
}

// For collect: what pins pages, what nobody used since the last time, and what keeps a window for nothing.
template <class Policy>
void AllocatorCore<Policy>::trim_exact() noexcept {
  for_each_arena([&](ArenaOf& arena, std::uint32_t) {
    const Lock lock(arena.mutex);
    if (!arena.exact) return;
    const bool used = arena.exact->was_used();
    if (arena.pages || !used || arena.count == 0) empty_exact(arena);
  });
}

// What is defined here.
template class AllocatorCore<SingleThreaded>;
template class AllocatorCore<ThreadSafe>;

}  // namespace vaspace
