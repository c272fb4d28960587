// Allocations with records: where they go, and how they end.
#include <algorithm>
#include <utility>

#include "heap/heap_state.hpp"

namespace vaspace {

using Lock = std::lock_guard<std::mutex>;

Result<std::uint32_t> HeapState::prepare_record(bool noted) noexcept {
  const Lock lock(mutex_);
  const std::uint32_t index = records_.prepare(noted);
  if (index == 0) return fail(ErrorCode::out_of_host_memory);
  return index;
}

Result<HeapAllocation> HeapState::begin_record(std::uint32_t index, const Record& record,
                                               Note&& note) noexcept {
  const Lock lock(mutex_);
  records_.begin(index, record, std::move(note));
  return count_in(index);
}

// It lives from now on. The result is made where it ends up: what is stored in parts and then copied as a
// whole waits for the stores.
Result<HeapAllocation> HeapState::count_in(std::uint32_t index) noexcept {
  const Record& record = records_[index];
  Tally& tally = tallies_[record.memory_type];
  ++tally.allocations;
  if (record.owner == 0) tally.live += record.size;
  Result<HeapAllocation> handle;
  write_handle(*handle, index);
  return handle;
}

Result<HeapAllocation> HeapState::place(const HeapRequest& request, std::uint32_t memory_type,
                                        BudgetPolicy policy) noexcept {
  Note note(config_.host);
  if (!note.set(request.name, request.user_data)) return fail(ErrorCode::out_of_host_memory);
  // What is aliased may hold one of either kind later, or both at once.
  Record record{.kind = request.aliasable ? ResourceKind::unknown : request.kind,
                .aliasable = request.aliasable,
                .exportable = request.exportable,
                .memory_type = static_cast<std::uint8_t>(memory_type),
                .size = request.requirements.size,
                .alignment = request.requirements.alignment};
  if (Result<void> settled = settle(record, request, policy); !settled) return fail(settled.error());
  const auto give_up = [&](Error error) {
    unsettle({record.space, record.cut, record.pool, record.size});
    return fail(error);
  };
  if (const Result<void> seen = make_visible(record, request); !seen) return give_up(seen.error());
  record.movable = request.movable && record.space != nullptr && record.pool == 0;
  record.mover = request.mover;
  record.mapping_asked = request.mapping != Mapping::none;
  record.plain = may_keep(record);
  if (record.plain) places_.join();
  prepare_guards(record);
  {
    const Lock lock(mutex_);
    if (const std::uint32_t index = records_.prepare(!note.empty()); index != 0) {
      records_.begin(index, record, std::move(note));
      enter_block(index);
      return count_in(index);
    }
  }
  return give_up({ErrorCode::out_of_host_memory});
}

bool HeapState::wants_own_block(const MemoryRequirements& needs, const HeapRequest& request,
                                std::uint32_t memory_type) const noexcept {
  const Bytes largest = spaces_.largest_block(memory_type);
  if (request.exportable || request.dedicated == DedicatedWish::required ||
      with_margin(needs.size).value > largest.value / 2)
    return true;
  // Preferred (V8) is weighed: a memory object is dear, so it is spent on what is large, and the last quarter
  // of them on those that cannot do without.
  const Bytes from = config_.dedicated_from != Bytes{} ? config_.dedicated_from : Bytes{largest.value / 16};
  return request.dedicated == DedicatedWish::preferred && !request.aliasable && needs.size >= from &&
         gate_.figures().objects < gate_.max_objects() / 4 * 3;
}

Result<void> HeapState::settle(Record& record, const HeapRequest& request, BudgetPolicy policy) noexcept {
  if (request.pool) return settle_in_pool(record, request, policy);
  if (wants_own_block(request.requirements, request, record.memory_type)) {
    const Result<void> alone = settle_alone(record, request, policy);
    const bool must = request.exportable || request.dedicated == DedicatedWish::required ||
                      with_margin(record.size) > spaces_.largest_block(record.memory_type);
    if (alone || must || !is_no_room(alone.error().code)) return alone;
  }
  return settle_in_space(record, request, policy);
}

Result<void> HeapState::settle_alone(Record& record, const HeapRequest& request,
                                     BudgetPolicy policy) noexcept {
  gate_.release_leaving();  // the driver is about to be called anyway
  // What stands alone for its size is its resource's too, but where others are to lie there, or a margin
  // that nobody gave up by asking.
  const bool asked = request.dedicated != DedicatedWish::none;
  const bool may = request.aliasable ? request.dedicated == DedicatedWish::required
                                     : asked || config_.guards.margin == Bytes{};
  const bool dedicates = may && request.resource.type != MemoryTraits::Dedicated::none &&
                         request.resource.handle != 0 && gate_.profile().capabilities.dedicated;
  MemoryTraits traits = traits_of({.memory_type = record.memory_type,
                                   .kind = record.kind,
                                   .device_address = request.device_address,
                                   .priority = priority_of(request.priority)});
  traits.exportable = request.exportable;
  if (dedicates) {
    traits.dedicated = request.resource.type;
    traits.resource = request.resource.handle;
  }
  // What is dedicated has its resource's size, and no margin.
  const Result<Block*> block = gate_.reserve({.size = dedicates ? record.size : with_margin(record.size),
                                              .alignment = record.alignment,
                                              .memory_type = record.memory_type,
                                              .traits = traits,
                                              .policy = policy,
                                              .exclusive = true});
  if (!block) return fail(block.error());
  if (!dedicates && config_.guards.margin != Bytes{}) record.guarded = record.size;
  record.cut = {.block = *block, .range = {.size = (*block)->size()}};
  exclusive_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

Result<void> HeapState::settle_in_space(Record& record, const HeapRequest& request,
                                        BudgetPolicy policy) noexcept {
  const Result<BlockSpace*> space = spaces_.get({.memory_type = record.memory_type,
                                                 .kind = record.kind,
                                                 .device_address = request.device_address,
                                                 .priority = priority_of(request.priority)});
  if (!space) return fail(space.error());
  const Result<Cut> cut = (*space)->take({with_margin(record.size), record.alignment}, policy);
  if (!cut) return fail(cut.error());
  record.space = *space;
  record.cut = *cut;
  if (config_.guards.margin != Bytes{}) record.guarded = record.size;
  return {};
}

Result<void> HeapState::settle_in_pool(Record& record, const HeapRequest& request,
                                       BudgetPolicy policy) noexcept {
  HeapRequest asked = request;
  asked.kind = record.kind;
  const Result<Pool> pool = pools_.enter(asked);
  if (!pool) return fail(pool.error());
  if (pool->budget == BudgetPolicy::within) policy = BudgetPolicy::within;
  const Result<Cut> cut = pool->space->take({with_margin(record.size), record.alignment}, policy);
  if (!cut) {
    pools_.leave(request.pool.index, record.size);
    return fail(cut.error());
  }
  record.memory_type = static_cast<std::uint8_t>(pool->memory_type);
  record.space = pool->space;
  record.cut = *cut;
  record.pool = request.pool.index + 1;
  record.persistent = pool->mapped;
  if (config_.guards.margin != Bytes{}) record.guarded = record.size;
  return {};
}

// Guards look at memory, so that with them whatever the host can see is mapped, if it can be.
Result<void> HeapState::make_visible(Record& record, const HeapRequest& request) noexcept {
  const bool asked = request.mapping != Mapping::none || record.persistent;
  const bool guarded = record.guarded != Bytes{} || config_.guards.fill;
  if (!gate_.profile().memory_types[record.memory_type].host_visible) {
    if (request.mapping == Mapping::required) return fail(ErrorCode::not_supported);
    return {};
  }
  if (!asked && !guarded) return {};
  const Result<std::byte*> mapped = gate_.map_for_good(*record.cut.block);
  if (!mapped && (request.mapping == Mapping::required || record.persistent)) return fail(mapped.error());
  record.persistent = asked && mapped.has_value();
  return {};
}

void HeapState::unsettle(const Leaving& leaving) noexcept {
  if (leaving.space != nullptr) {
    leaving.space->give(leaving.cut);
  } else if (leaving.cut) {
    exclusive_.fetch_sub(1, std::memory_order_relaxed);
    gate_.release_later(*leaving.cut.block);
  }
  if (leaving.pool != 0) pools_.leave(leaving.pool - 1, leaving.size);
}

void HeapState::write_handle(HeapAllocation& handle, std::uint32_t index) const noexcept {
  const Record& record = records_[index];
  const Block& block = *record.cut.block;
  std::byte* mapped = record.persistent ? block.mapped.load(std::memory_order_acquire) : nullptr;
  handle.address = block.reservation.address + record.cut.offset;
  handle.size = record.size;
  handle.id = {index, records_.generation_of(index)};
  handle.block = block.number;
  handle.shelf = 0;
  handle.memory_type = record.memory_type;
  handle.native = block.native;
  handle.offset = record.cut.offset;
  handle.mapped = mapped == nullptr ? nullptr : mapped + record.cut.offset.value;
}

Error HeapState::why_no_record(const HeapAllocation& allocation) const noexcept {
  const bool elsewhere = allocation.shelf != 0 || records_.is_live(allocation.id);
  return elsewhere ? Error{ErrorCode::unknown_handle} : records_.why_not(allocation.id);
}

void HeapState::end_record(std::uint32_t index, Leaving& leaving) noexcept {
  Record& record = records_[index];
  if (record.maps != 0) gate_.forget_maps(*record.cut.block, std::exchange(record.maps, 0));
  if (const std::uint32_t owner = record.owner; owner != 0) {
    --tallies_[record.memory_type].allocations;
    records_.end(index);
    return drop_share(owner, leaving);
  }
  if (record.shares == 0) return finish_record(index, leaving);
  records_.set_state(index, RecordState::lent);
}

void HeapState::drop_share(std::uint32_t index, Leaving& leaving) noexcept {
  Record& record = records_[index];
  if (--record.shares == 0 && records_.state_of(index) == RecordState::lent) finish_record(index, leaving);
}

void HeapState::finish_record(std::uint32_t index, Leaving& leaving) noexcept {
  const Record& record = records_[index];
  Tally& tally = tallies_[record.memory_type];
  --tally.allocations;
  tally.live -= record.size;
  if (record.move == 0) {
    leaving = {record.space, record.cut, record.pool, record.size};
  } else {
    // Both places belong to the move now, until it has been ended and its points have passed (T3).
    OpenMove& move = moves_[record.move - 1];
    move.record = 0;
    if (move.phase == OpenMove::Phase::landed) give_both(move);
  }
  leave_block(index);
  records_.end(index);
}

Result<void> HeapState::try_free(const HeapAllocation& allocation) noexcept {
  const Result<bool> intact = free_inspected(allocation);
  if (!intact) return fail(intact.error());
  if (!*intact) config_.on_misuse(overwritten(allocation, "Heap::try_free"));
  return {};
}

Result<bool> HeapState::free_inspected(const HeapAllocation& allocation) noexcept {
  if (keep(allocation)) return true;
  Leaving leaving;
  bool intact = true;
  {
    const Lock lock(mutex_);
    if (!hold_record(allocation)) [[unlikely]]
      return fail(why_no_record(allocation));
    intact = inspect_guards(records_[allocation.id.index]);
    end_record(allocation.id.index, leaving);
  }
  unsettle(leaving);
  return intact;
}

// Of a move that is under way, both places wait for these points as well as for the move's.
Result<void> HeapState::retire(const HeapAllocation& allocation,
                               std::span<const TimelinePoint> points) noexcept {
  const Lock lock(mutex_);
  if (!hold_record(allocation)) return fail(why_no_record(allocation));
  if (Result<void> added = retired_.add({.allocation = allocation}, points); !added) return added;
  records_.set_state(allocation.id.index, RecordState::retired);
  return {};
}

void HeapState::free_retired(const Retiree& retiree) noexcept {
  Leaving leaving;
  bool intact = true;
  {
    const Lock lock(mutex_);
    if (retiree.move != 0) return land_move(retiree.move - 1);
    intact = inspect_guards(records_[retiree.allocation.id.index]);
    end_record(retiree.allocation.id.index, leaving);
  }
  unsettle(leaving);
  if (!intact) config_.on_misuse(overwritten(retiree.allocation, "Heap::collect"));
}

namespace {

// What is dedicated to a resource is nobody else's (V8).
[[nodiscard]] Error why_not(const Record& memory, const MemoryType& type,
                            const HeapRequest* wanted) noexcept {
  const MemoryTraits& traits = memory.cut.block->traits;
  if (!memory.aliasable || traits.dedicated != MemoryTraits::Dedicated::none)
    return {ErrorCode::not_supported};
  if (wanted == nullptr) return {};
  const MemoryRequirements& needs = wanted->requirements;
  const bool fits = needs.size <= memory.size && needs.alignment.valid() &&
                    is_aligned(memory.cut.offset, needs.alignment) &&
                    (needs.memory_type_bits >> memory.memory_type & 1U) != 0;
  if (!fits) return {ErrorCode::invalid_argument};
  const bool able = (!wanted->device_address || traits.device_address) &&
                    (!wanted->exportable || traits.exportable) && (!wanted->coherent || type.host_coherent) &&
                    wanted->dedicated != DedicatedWish::required && !wanted->movable;
  return able ? Error{} : Error{ErrorCode::not_supported};
}

}  // namespace

Result<HeapAllocation> HeapState::alias(const HeapAllocation& allocation,
                                        const HeapRequest* wanted) noexcept {
  Note note(config_.host);
  if (wanted != nullptr && !note.set(wanted->name, wanted->user_data))
    return fail(ErrorCode::out_of_host_memory);
  const Result<std::uint32_t> index = prepare_record(!note.empty());
  if (!index) return fail(index.error());
  Record record;
  {
    const Lock lock(mutex_);
    const bool held = hold_record(allocation);
    const std::uint32_t found = allocation.id.index;
    const auto type_of = [&](const Record& of) { return gate_.profile().memory_types[of.memory_type]; };
    const Error refused =
        held ? why_not(records_[found], type_of(records_[found]), wanted) : why_no_record(allocation);
    if (refused != Error{}) {
      records_.give_up(*index);
      return fail(refused);
    }
    const Record& original = records_[found];
    const std::uint32_t owner = original.owner != 0 ? original.owner : found;
    record = {.kind = original.kind,
              .aliasable = true,
              .persistent = original.persistent,
              .memory_type = original.memory_type,
              .space = original.space,
              .cut = original.cut,
              .size = original.size,
              .alignment = original.alignment,
              .owner = owner};
    ++records_[owner].shares;
  }
  // Under no lock: the share holds the memory.
  if (wanted == nullptr) return begin_record(*index, record, std::move(note));
  if (const Result<void> seen = make_visible(record, *wanted); !seen) {
    Leaving leaving;
    {
      const Lock lock(mutex_);
      records_.give_up(*index);
      drop_share(record.owner, leaving);
    }
    unsettle(leaving);
    return fail(seen.error());
  }
  return begin_record(*index, record, std::move(note));
}

Result<Block*> HeapState::exportable_block(const HeapAllocation& allocation) const noexcept {
  const Lock lock(mutex_);
  if (!names_record(allocation)) return fail(why_no_record(allocation));
  const Record& record = records_[allocation.id.index];
  if (!record.exportable) return fail(ErrorCode::not_supported);
  return record.cut.block;
}

}  // namespace vaspace
