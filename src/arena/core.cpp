// Allocating where nothing is missing, freeing, looking up.
#include "arena/core_hot.hpp"

namespace vaspace {

template <class Policy>
std::uint32_t AllocatorCore<Policy>::choose(const AllocationRequest& request) const noexcept {
  if (request.size > device_size_)
    return kMaxArenas;  // no arena's: no device memory could ever lie behind it
  const std::uint32_t size_class = index_.choose(request.size, request.alignment);
  if (size_class >= class_count_) return size_class;
  const std::uint32_t k = homes_.of(size_class);
  const ArenaShape& shape = arenas_[k]->shape;
  const bool alone = request.alignment > shape.base_alignment || request.size > shape.reservation;
  return alone ? class_count_ : k;  // of a fixed reservation there is no such arena
}

template <class Policy>
Result<Allocation> AllocatorCore<Policy>::allocate_locked(const AllocationRequest& request) noexcept {
  if (request.size == Bytes{}) return refuse(0, request, {ErrorCode::invalid_size});
  if (!request.alignment.valid()) return refuse(0, request, {ErrorCode::invalid_alignment});
  const std::uint32_t k = choose(request);
  if (k >= kMaxArenas || !arenas_[k]) return refuse(0, request, {ErrorCode::too_large});
  if (k < class_count_ && request.name.empty() && request.user_data == 0) [[likely]] {
    return arenas_[k]->spans.is_slab() ? allocate_slot(k, request) : allocate_object(k, request);
  }
  return allocate_slow(k, request);
}

template <class Policy>
Result<Allocation> AllocatorCore<Policy>::allocate_slot(std::uint32_t k,
                                                        const AllocationRequest& request) noexcept {
  ArenaOf& arena = *arenas_[k];
  if (has_fronts_) {
    const Result<Allocation> allocation = allocate_refilled(k, request);
    if (allocation) return allocation;
  }
  {
    const Lock lock(arena.mutex);
    const Result<Range> range = arena.spans.take({request.size, request.alignment}, taker_for(arena));
    if (range) {
      if (touch_bound(arena, *range)) return publish(arena, k, *range, request);
      arena.spans.untake(*range);
    }
  }
  return allocate_slow(k, request);
}

// False: pages are missing, and none is touched. Who asked goes the slow way, to the same place.
template <class Policy>
bool AllocatorCore<Policy>::touch_bound(ArenaOf& arena, const Range& range) noexcept {
  return !arena.pages || arena.pages->touch_bound(range.offset, range.size);
}

template <class Policy>
Allocation AllocatorCore<Policy>::publish(ArenaOf& arena, std::uint32_t k, const Range& range,
                                          const AllocationRequest& request) noexcept {
  arena.count_in(request.size, range.size);
  settle(arena, range.size);
  const RangeId id = arena.spans.activate(range.id.index, request.size);
  const Allocation allocation{
      arena.spans.address_of(range.offset), request.size, {(k << kArenaShift) | id.index, id.generation}};
  if (config_.common.observer) [[unlikely]] {
    config_.common.observer({.kind = EventKind::allocate,
                             .arena = static_cast<std::uint8_t>(k),
                             .address = allocation.address,
                             .size = request.size,
                             .id = allocation.id.bits(),
                             .user_data = request.user_data,
                             .name = request.name});
  }
  return allocation;
}

// Of one without a note.
template <class Policy>
void AllocatorCore<Policy>::tell(EventKind kind, std::uint32_t k,
                                 const Allocation& allocation) const noexcept {
  config_.common.observer({.kind = kind,
                           .arena = static_cast<std::uint8_t>(k),
                           .address = allocation.address,
                           .size = allocation.size,
                           .id = allocation.id.bits()});
}

template <class Policy>
tl::unexpected<Error> AllocatorCore<Policy>::refuse(std::uint32_t k, const AllocationRequest& request,
                                                    Error error) const noexcept {
  config_.common.observer({.kind = EventKind::refuse,
                           .arena = static_cast<std::uint8_t>(k),
                           .code = static_cast<std::uint8_t>(error.code),
                           .size = request.size,
                           .user_data = request.user_data,
                           .name = request.name});
  return fail(error);
}

// `range` was found live; the arena's lock is held. Another thread may have freed it since: then nothing has
// changed, and nothing is told.
template <class Policy>
Result<void> AllocatorCore<Policy>::take_back(ArenaOf& arena, std::uint32_t k, const Range& range) noexcept {
  const Bytes requested = arena.spans.template park<true>(range.id);
  if (requested == Bytes{}) return fail(ErrorCode::stale_handle);
  if (config_.common.observer) [[unlikely]] {
    const AllocationInfo info = info_of(arena, k, range, requested);
    config_.common.observer({.kind = EventKind::free,
                             .arena = static_cast<std::uint8_t>(k),
                             .address = info.allocation.address,
                             .size = info.allocation.size,
                             .id = info.allocation.id.bits(),
                             .user_data = info.user_data,
                             .name = info.name});
  }
  arena.count_out(requested, range.size);
  if (arena.notes.any()) [[unlikely]] {
    arena.notes.remove(range.id.index);
    update_ways(k);
  }
  give_back(arena, range);
  return {};
}

template <class Policy>
void AllocatorCore<Policy>::give_back(ArenaOf& arena, const Range& range) noexcept {
  if (arena.shape.index == homes_.shared() && homes_.shares()) [[unlikely]]
    homes_.remove(index_.choose(range.size, {}), range.size);
  if (arena.pages) arena.pages->release(range.offset, range.size);
  if (arena.spans.untake(range) && !config_.fixed) arena.queue_window(arena.spans.window_of(range.offset));
}

// Of a handle whose address is another.
template <class Policy>
tl::unexpected<Error> AllocatorCore<Policy>::not_at(const ArenaOf& arena, RangeId id) noexcept {
  const bool stale = arena.spans.why_not(id) == ErrorCode::stale_handle;
  return fail(stale ? ErrorCode::stale_handle : ErrorCode::unknown_handle);
}

// `address`, where there is one, is what the caller holds beside the id.
template <class Policy>
Result<void> AllocatorCore<Policy>::free_locked(AllocationId id, const Address* address) noexcept {
  const std::uint32_t k = id.index >> kArenaShift;
  if (k >= kMaxArenas || !arenas_[k]) return fail(ErrorCode::unknown_handle);
  ArenaOf& arena = *arenas_[k];
  const RangeId range_id{id.index & kIndexMask, id.generation};
  const bool noted = noted_[k].get();
  if (!noted && !arena.spans.is_slab()) return free_object(k, range_id, address);
  // A handle of an allocator with the same history names another address.
  if (address != nullptr && !arena.spans.is_at(range_id.index, *address)) return not_at(arena, range_id);
  if (!noted && has_fronts_) {
    spill(k);
    if (free_parked_observed(id)) return {};
  }
  const Lock lock(arena.mutex);
  if (!arena.spans.knows(range_id)) return fail(arena.spans.why_not(range_id));
  Range range = arena.spans.range_at(range_id.index);
  range.id = range_id;
  if (take_back(arena, k, range)) return {};
  return fail(arena.spans.why_not(range_id));
}

// The window may have been given back, and another have come in its place, before the arena's lock is taken:
// then nothing is found there, or what lives there now is what the caller asks for.
template <class Policy>
template <class Use>
Result<void> AllocatorCore<Policy>::at(Address address, Use&& use) noexcept {
  const std::optional<Place> place = windows_.locate(address);
  if (!place) return fail(ErrorCode::unknown_address);
  ArenaOf& arena = *arenas_[place->arena];
  const Lock lock(arena.mutex);
  const typename ArenaOf::Window& window = arena.windows[place->window];
  const Reservation& home = window.lease.reservation;
  if (!window.in_use || address < home.address || address >= home.end())
    return fail(ErrorCode::unknown_address);
  const Result<Range> range = arena.spans.find_at(arena.spans.offset_of(place->window, address));
  if (!range) return fail(range.error());
  return use(arena, place->arena, *range);
}

template <class Policy>
Result<void> AllocatorCore<Policy>::try_free(Address address) noexcept {
  return at(address, [this](ArenaOf& arena, std::uint32_t k, const Range& range) -> Result<void> {
    if (take_back(arena, k, range)) return {};
    return fail(ErrorCode::unknown_address);
  });
}

template <class Policy>
Result<AllocationInfo> AllocatorCore<Policy>::find(Address address) noexcept {
  AllocationInfo info;
  const Result<void> found = at(address, [&](ArenaOf& arena, std::uint32_t k, const Range& range) {
    info = info_of(arena, k, range, arena.spans.requested(range.id));
    // Another thread may have freed it since.
    return info.allocation.size == Bytes{} ? Result<void>(fail(ErrorCode::unknown_address)) : Result<void>();
  });
  if (!found) return fail(found.error());
  return info;
}

template <class Policy>
AllocationInfo AllocatorCore<Policy>::info_of(const ArenaOf& arena, std::uint32_t k, const Range& range,
                                              Bytes requested) const noexcept {
  AllocationInfo info{.allocation = {arena.spans.address_of(range.offset),
                                     requested,
                                     {(k << kArenaShift) | range.id.index, range.id.generation}},
                      .used = range.size,
                      .arena = static_cast<std::uint8_t>(k)};
  if (const Note* note = arena.notes.find(range.id.index); note != nullptr) {
    info.name = note->name();
    info.user_data = note->user_data();
  }
  return info;
}

template <class Policy>
bool AllocatorCore<Policy>::can_allocate(const AllocationRequest& request) noexcept {
  if (request.size == Bytes{} || !request.alignment.valid()) return false;
  const std::uint32_t k = choose(request);
  if (k >= kMaxArenas || !arenas_[k]) return false;
  if (k < class_count_ && has_hole(k, request)) return true;
  if (merge_kept(k, false) && has_hole(k, request)) return true;
  // Before it refuses anything, allocate empties the fronts.
  if (has_magazine(k) && parked(k) != 0 &&
      arenas_[k]->spans.slab()->is_plain({request.size, request.alignment}))
    return true;
  if (config_.fixed) return false;
  const Bytes whole = align_up(request.size, Alignment{windows_.source().unit()});
  return device_room() >= whole || can_do_without_device(k, request, whole);
}

template <class Policy>
bool AllocatorCore<Policy>::has_hole(std::uint32_t k, const AllocationRequest& request) noexcept {
  ArenaOf& arena = *arenas_[k];
  const Lock lock(arena.mutex);
  return arena.spans.can_allocate({request.size, request.alignment});
}

template <class Policy>
void AllocatorCore<Policy>::update_ways(std::uint32_t k) noexcept {
  const bool noted = arenas_[k]->notes.any();
  noted_[k].set(noted);
  long_way_[k].set(noted || !has_magazine(k) || config_.common.observer);
}

// What allocate could get from the device, once it has given back what lies about unused.
template <class Policy>
Bytes AllocatorCore<Policy>::device_room() noexcept {
  const Result<Budget> budget =
      backend_.budget(backend_.profile().memory_types[config_.common.memory_type].heap);
  if (!budget || budget->usage > budget->budget) return {};
  Bytes room = budget->budget - budget->usage;
  if (!paging_) return room;
  room += pool_->pooled() * pool_->page_size();
  fronts_.while_paused([&] { room += parked_pages() * pool_->page_size(); });
  for_each_arena([&](ArenaOf& arena, std::uint32_t) {
    const Lock lock(arena.mutex);
    room += arena.pages->empty() * pool_->page_size();
  });
  return room;
}

// Where reserving commits, a full device may still have a block with room, or another arena a hole.
template <class Policy>
bool AllocatorCore<Policy>::can_do_without_device(std::uint32_t k, const AllocationRequest& request,
                                                  Bytes whole) noexcept {
  if (!windows_.source().cuts()) return false;
  const Alignment unit{windows_.source().unit()};
  if (windows_.source().can_cut(whole, std::max(request.alignment, unit))) return true;
  if (k == class_count_) return false;
  for (std::uint32_t other = 0; other < class_count_; ++other) {
    if (other != k && serves_others(other, request) && has_hole(other, request)) return true;
  }
  return false;
}

template <class Policy>
void AllocatorCore<Policy>::free_or_report(AllocationId id, const Address* address) noexcept {
  const Result<void> freed = free_locked(id, address);
  if (!freed) report_misuse(freed.error(), id.bits());
}

template <class Policy>
void AllocatorCore<Policy>::report_misuse(Error error, std::uint64_t subject) const noexcept {
  config_.common.on_misuse({.code = error.code, .function = config_.name, .subject = subject});
}

// What is defined here.
template class AllocatorCore<SingleThreaded>;
template class AllocatorCore<ThreadSafe>;

}  // namespace vaspace
