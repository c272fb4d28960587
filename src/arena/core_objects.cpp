// Object arenas: what allocate and free do where nothing is missing.
//
//   allocate:  a range of this size that the thread kept? --yes--> done, no lock
//                  no: best fit, under the arena's lock; pages bound? --no--> the slow way
//   free:      its record says nobody's; kept? --yes--> done, no lock
//                                            no: a hole, under the arena's lock
//
// A range's record is looked up once on either way.
#include "arena/core.hpp"

namespace vaspace {

// Results are made where they end up: what is stored in halves and copied as a whole waits for the stores.
template <class Policy>
inline Result<Allocation> AllocatorCore<Policy>::hand_out(ArenaOf& arena, std::uint32_t k,
                                                          std::uint32_t index, ObjectRecord& record,
                                                          Bytes requested) noexcept {
  const ObjectRecords& records = arena.spans.records();
  const Address address = arena.spans.address_of(records.offset_of(record));
  const RangeId id = make_id((k << kArenaShift) | index, records.activate(record, requested));
  if (config_.common.observer) [[unlikely]]
    tell(EventKind::allocate, k, {address, requested, {id.index, id.generation}});
  return Allocation{address, requested, std::bit_cast<AllocationId>(id)};
}

template <class Policy>
Result<Allocation> AllocatorCore<Policy>::allocate_object(std::uint32_t k,
                                                          const AllocationRequest& request) noexcept {
  ArenaOf& arena = *arenas_[k];
  ObjectRecord* record = nullptr;
  if (const std::uint32_t index = take_kept(arena, k, request, record); index != 0)
    return hand_out(arena, k, index, *record, request.size);
  {
    const Lock lock(arena.mutex);
    const Result<Range> range = arena.spans.object().allocate({request.size, request.alignment});
    if (range) [[likely]] {
      record = arena.spans.records().place(range->id.index, range->offset, range->size);
      if (record != nullptr && touch_bound(arena, *range)) [[likely]] {
        arena.count_in(request.size, range->size);
        settle(arena, range->size);
        return hand_out(arena, k, range->id.index, *record, request.size);
      }
      (void)arena.spans.object().give(range->id.index);
    }
  }
  return allocate_slow(k, request);
}

// The index of a range that this thread kept from an earlier free, which is the caller's now; or 0.
template <class Policy>
inline std::uint32_t AllocatorCore<Policy>::take_kept(ArenaOf& arena, std::uint32_t k,
                                                      const AllocationRequest& request,
                                                      ObjectRecord*& record) noexcept {
  if (!has_fronts_) return 0;
  fronts_.join();
  const FrontInHand<Policy> front(fronts_);
  if (!front) [[unlikely]]
    return 0;
  const ObjectRecords& records = arena.spans.records();
  KeptRanges& kept = front->kept(kept_of_[k]);
  const std::uint32_t index = kept.take(records.granules(request.size), [&](std::uint32_t top) {
    record = records.find(top);
    return is_aligned(records.offset_of(*record), request.alignment) ? records.size_of(*record) : Bytes{};
  });
  if (index == 0) return 0;
  kept.live_count.add(1);
  kept.live_bytes.add(request.size.value);
  kept.used_bytes.add(records.size_of(*record).value);
  return index;
}

template <class Policy>
Result<void> AllocatorCore<Policy>::free_object(std::uint32_t k, RangeId id,
                                                const Address* address) noexcept {
  ArenaOf& arena = *arenas_[k];
  Spans& spans = arena.spans;
  const ObjectRecords& records = spans.records();
  ObjectRecord* record = records.find(id.index);
  if (address != nullptr && (record == nullptr || !spans.is_at(records.offset_of(*record), *address)))
      [[unlikely]]
    return not_at(arena, id);
  const Bytes requested =
      record != nullptr ? records.template park<Policy::kShared>(*record, id.generation) : Bytes{};
  if (requested == Bytes{}) [[unlikely]]
    return fail(spans.why_not(id));
  const Offset offset = records.offset_of(*record);
  const Bytes size = records.size_of(*record);
  if (config_.common.observer) [[unlikely]]
    tell(EventKind::free, k,
         {spans.address_of(offset), requested, {(k << kArenaShift) | id.index, id.generation}});
  if (keep(k, size, requested, id.index)) return {};
  const Lock lock(arena.mutex);
  arena.count_out(requested, size);
  give_back(arena, {offset, size, id});
  return {};
}

// The range is parked. False: not kept.
template <class Policy>
inline bool AllocatorCore<Policy>::keep(std::uint32_t k, Bytes size, Bytes requested,
                                        std::uint32_t index) noexcept {
  if (!keeps_ranges(k)) return false;
  const FrontInHand<Policy> front(fronts_);
  if (!front) [[unlikely]]
    return false;
  KeptRanges& kept = front->kept(kept_of_[k]);
  if (!kept.put(arenas_[k]->spans.records().granules(size), size, index)) return false;
  kept.live_count.add(~std::uint64_t{0});
  kept.live_bytes.add(0 - requested.value);
  kept.used_bytes.add(0 - size.value);
  return true;
}

// What is defined here.
template class AllocatorCore<SingleThreaded>;
template class AllocatorCore<ThreadSafe>;

}  // namespace vaspace
