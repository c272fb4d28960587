// The short way: a free that keeps its place, and an allocate that takes it again.
#include <algorithm>
#include <utility>

#include "heap/heap_state.hpp"

namespace vaspace {

using Lock = std::lock_guard<std::mutex>;

namespace {

// Every space's granule is a multiple of it.
[[nodiscard]] std::uint64_t units_of(Bytes used) noexcept {
  return used.value / 256;
}

// As a record that was made for this would say; the size is looked at elsewhere.
[[nodiscard]] bool is_alike(const Record& record, const MemoryRequirements& needs,
                            const HeapRequest& request) noexcept {
  return record.size == needs.size && record.alignment == needs.alignment && record.kind == request.kind &&
         record.movable == request.movable && record.mover == request.mover &&
         record.mapping_asked == (request.mapping != Mapping::none);
}

}  // namespace

// Guards look at what is freed when it goes back.
bool HeapState::may_keep(const Record& record) const noexcept {
  return record.space != nullptr && record.pool == 0 && !record.aliasable &&
         config_.guards.margin == Bytes{} && !config_.guards.fill;
}

bool HeapState::may_place_again(const MemoryRequirements& needs, const HeapRequest& request) const noexcept {
  const bool plain =
      (static_cast<unsigned>(request.exportable) | static_cast<unsigned>(request.aliasable) |
       static_cast<unsigned>(request.movable && request.device_address) | request.pool.generation) == 0;
  const bool named = request.resource.type == MemoryTraits::Dedicated::none || request.resource.handle != 0;
  const bool noted = !request.name.empty() || request.user_data != 0;
  return plain && named && !noted && needs.size.value - 1 < Block::kLargest.value &&
         needs.alignment.valid() && request.priority >= 0.0F && request.priority <= 1.0F &&
         request.intent != Intent::protected_device;
}

Result<HeapAllocation> HeapState::place_again(const MemoryRequirements& needs,
                                              const HeapRequest& request) noexcept {
  constexpr Error kNone{ErrorCode::out_of_space};
  KeptPlaces::Shard* const shard = places_.mine();
  if (shard == nullptr || shard->kept.count() == 0 || !may_place_again(needs, request)) return fail(kNone);
  const TypeRanking& ranking = ranking_of(request);
  const auto* type = std::find_if(ranking.begin(), ranking.end(),
                                  [&](std::uint8_t t) { return (needs.memory_type_bits >> t & 1U) != 0; });
  if (type == ranking.end() || wants_own_block(needs, request, *type)) return fail(kNone);
  const BlockSpace* const space = spaces_.find({.memory_type = *type,
                                                .kind = request.kind,
                                                .device_address = request.device_address,
                                                .priority = priority_of(request.priority)});
  if (space == nullptr) return fail(kNone);
  const Bytes used = align_up(needs.size, space->config().granule);
  std::uint32_t index = 0;
  {
    const Lock lock(shard->mutex);
    index = shard->kept.take(units_of(used), [&](std::uint32_t top) {
      const Record& record = records_[top];
      return record.space == space && is_alike(record, needs, request) ? used : Bytes{};
    });
    if (index == 0) return fail(kNone);
    Tally& tally = shard->tallies[*type];
    ++tally.allocations;
    tally.live += needs.size;
    records_.revive(index);
    // Still under the lock, which a plan of moves waits for: later the place may be another.
    Result<HeapAllocation> handle;
    write_handle(*handle, index);
    return handle;
  }
}

// It is parked before it is looked at: what is parked is nobody else's to change.
bool HeapState::keep(const HeapAllocation& allocation) noexcept {
  KeptPlaces::Shard* const shard = places_.mine();
  const AllocationId id = allocation.id;
  if (shard == nullptr || allocation.shelf != 0 || !records_.is_live(id)) return false;
  const Lock lock(shard->mutex);
  if (!records_.park(id)) return false;
  const Record& record = records_[id.index];
  const Bytes used = record.cut.range.size;
  if (!record.plain || !is_at(record, allocation) || !shard->kept.put(units_of(used), used, id.index)) {
    records_.unpark(id);
    return false;
  }
  Tally& tally = shard->tallies[record.memory_type];
  --tally.allocations;
  tally.live = Bytes{tally.live.value - record.size.value};
  return true;
}

void HeapState::give_back_kept(const KeptPlaces::Pause& pause) noexcept {
  pause.for_each([this](KeptPlaces::Shard& shard) {
    shard.kept.take_all([this](std::uint32_t index) {
      const Record& record = records_[index];
      record.space->give(record.cut);
      leave_block(index);
      records_.end_kept(index);
    });
  });
}

void HeapState::give_back_kept() noexcept {
  const Lock lock(mutex_);
  give_back_kept(KeptPlaces::Pause(places_));
}

// With the records' lock held.
std::array<Tally, kMaxMemoryTypes> HeapState::tallies(const KeptPlaces::Pause& pause) const noexcept {
  std::array<Tally, kMaxMemoryTypes> sums = tallies_;
  pause.for_each([&](const KeptPlaces::Shard& shard) {
    for (std::uint32_t type = 0; type < kMaxMemoryTypes; ++type) {
      sums[type].allocations += shard.tallies[type].allocations;
      sums[type].live = Bytes{sums[type].live.value + shard.tallies[type].live.value};
    }
  });
  return sums;
}

}  // namespace vaspace
