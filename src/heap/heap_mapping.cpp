// What the host sees of allocations with records and without, and guards that look at it.
#include <algorithm>
#include <cstring>

#include "heap/heap_state.hpp"

namespace vaspace {

using Lock = std::lock_guard<std::mutex>;

namespace {

constexpr int kFresh = 0xCD;
constexpr int kGone = 0xDD;
constexpr int kMargin = 0xFD;

// Of a handle that an arena allocator gave out, only the block is known: whether it lies in it.
[[nodiscard]] Result<Block*> block_around(const DeviceGate& gate, const HeapAllocation& allocation) noexcept {
  Block* block = gate.blocks().find(allocation.block);
  if (block == nullptr || !block->live || allocation.address < block->reservation.address ||
      allocation.end() > block->reservation.end())
    return fail(ErrorCode::unknown_handle);
  return block;
}

}  // namespace

Result<std::byte*> HeapState::map(const HeapAllocation& allocation) noexcept {
  Block* block = nullptr;
  if (allocation.shelf == 0) {
    const Lock lock(mutex_);
    if (!hold_record(allocation)) return fail(why_no_record(allocation));
    Record& record = records_[allocation.id.index];
    if (!gate_.profile().memory_types[record.memory_type].host_visible) return fail(ErrorCode::not_supported);
    block = record.cut.block;
    ++record.maps;  // before the driver is asked: what is mapped is not moved
    cancel_move(record);
  } else {
    const Result<Block*> found = block_around(gate_, allocation);
    if (!found) return fail(found.error());
    block = *found;
  }
  const Result<std::byte*> mapped = gate_.map(*block);
  if (mapped) return *mapped + (allocation.address - block->reservation.address).value;
  if (allocation.shelf == 0) {
    const Lock lock(mutex_);
    if (names_record(allocation)) --records_[allocation.id.index].maps;
  }
  return fail(mapped.error());
}

Result<void> HeapState::unmap(const HeapAllocation& allocation) noexcept {
  if (allocation.shelf != 0) {
    const Result<Block*> block = block_around(gate_, allocation);
    if (!block) return fail(block.error());
    return gate_.unmap(**block);
  }
  Block* block = nullptr;
  {
    const Lock lock(mutex_);
    if (!hold_record(allocation)) return fail(why_no_record(allocation));
    Record& record = records_[allocation.id.index];
    if (record.maps == 0) return fail(ErrorCode::wrong_state);
    --record.maps;  // before the driver is asked: of two who unmap at once, one has none left
    block = record.cut.block;
  }
  const Result<void> unmapped = gate_.unmap(*block);
  if (unmapped) return unmapped;
  const Lock lock(mutex_);
  if (names_record(allocation)) ++records_[allocation.id.index].maps;
  return unmapped;
}

// One driver call for [begin, end) of the block that `allocation` lies in.
Result<void> HeapState::flush_range(const HeapAllocation& allocation, Bytes begin, Bytes end,
                                    Sync direction) noexcept {
  const Result<Block*> found = block_around(gate_, allocation);
  if (!found) return fail(found.error());
  Block& block = **found;
  if (gate_.pointer_to(block) == nullptr) return fail(ErrorCode::wrong_state);
  const Alignment atom = config_.non_coherent_atom;
  const Bytes from = align_down(begin, atom);
  const Bytes to = std::min(align_up(end, atom), block.size());
  const Address address = block.reservation.address + from;
  return direction == Sync::flush ? gate_.backend().flush(address, to - from)
                                  : gate_.backend().invalidate(address, to - from);
}

Result<void> HeapState::synchronise(std::span<const MappedRange> ranges, Sync direction) noexcept {
  const DeviceProfile& profile = gate_.profile();
  const MappedRange* open = nullptr;  // what is gathered lies in its block
  Bytes begin{};
  Bytes end{};
  const auto send = [&]() -> Result<void> {
    if (open == nullptr) return {};
    return flush_range(open->allocation, begin, end, direction);
  };
  for (const MappedRange& range : ranges) {
    const HeapAllocation& allocation = range.allocation;
    if (range.offset > allocation.size) return fail(ErrorCode::invalid_argument);
    const Bytes rest = allocation.size - range.offset;
    const Bytes size = range.size == kMaxBytes ? rest : range.size;
    if (size > rest || allocation.memory_type >= profile.memory_type_count)
      return fail(ErrorCode::invalid_argument);
    const MemoryType& type = profile.memory_types[allocation.memory_type];
    if (!type.host_visible) return fail(ErrorCode::not_supported);
    if (type.host_coherent || size == Bytes{}) continue;
    const Bytes from = allocation.offset + range.offset;
    const Bytes apart = align_up(end, config_.non_coherent_atom);
    if (open != nullptr && open->allocation.block == allocation.block && from >= begin && from <= apart) {
      end = std::max(end, from + size);
      continue;
    }
    if (const Result<void> sent = send(); !sent) return sent;
    open = &range;
    begin = from;
    end = from + size;
  }
  return send();
}

void HeapState::prepare_guards(const Record& record) noexcept {
  std::byte* const mapped = record.cut.block->mapped.load(std::memory_order_acquire);
  if (mapped == nullptr || (record.guarded == Bytes{} && !config_.guards.fill)) return;
  std::byte* const begin = mapped + record.cut.offset.value;
  if (config_.guards.fill) std::memset(begin, kFresh, record.size.value);
  if (record.guarded != Bytes{})
    std::memset(begin + record.guarded.value, kMargin, config_.guards.margin.value);
  const MemoryType& type = gate_.profile().memory_types[record.memory_type];
  if (type.host_coherent) return;
  const HeapAllocation around{.address = record.cut.block->reservation.address + record.cut.offset,
                              .size = record.size,
                              .block = record.cut.block->number};
  (void)flush_range(around, record.cut.offset, record.cut.offset + with_margin(record.size), Sync::flush);
}

bool HeapState::is_margin_intact(const Record& record) const noexcept {
  std::byte* const mapped = record.cut.block->mapped.load(std::memory_order_acquire);
  if (mapped == nullptr || record.guarded == Bytes{}) return true;
  const std::byte* const margin = mapped + (record.cut.offset + record.guarded).value;
  return std::all_of(margin, margin + config_.guards.margin.value,
                     [](std::byte b) { return b == std::byte{kMargin}; });
}

bool HeapState::inspect_guards(const Record& record) const noexcept {
  if (record.guarded == Bytes{} && !config_.guards.fill) return true;
  if (record.owner != 0 || record.shares != 0) return true;
  const bool intact = is_margin_intact(record);
  std::byte* const mapped = record.cut.block->mapped.load(std::memory_order_acquire);
  if (config_.guards.fill && mapped != nullptr && record.space != nullptr)
    std::memset(mapped + record.cut.offset.value, kGone, record.size.value);
  return intact;
}

// The driver is asked under no lock (T2): a share holds the place meanwhile. What is in a move is taken as
// the host sees it, since a commit would leave the place.
Result<HeapAllocationInfo> HeapState::check_corruption() noexcept {
  if (config_.guards.margin == Bytes{}) return fail(ErrorCode::not_supported);
  for (std::uint32_t index = 1;; ++index) {
    HeapAllocation held;
    Bytes at{};
    {
      const Lock lock(mutex_);
      if (index >= records_.size()) return HeapAllocationInfo{};
      Record& record = records_[index];
      if (records_.state_of(index) == RecordState::free || record.guarded == Bytes{} || record.owner != 0)
        continue;
      const bool coherent = gate_.profile().memory_types[record.memory_type].host_coherent;
      const bool mapped = record.cut.block->mapped.load(std::memory_order_acquire) != nullptr;
      if (coherent || !mapped || record.move != 0) {
        if (!is_margin_intact(record)) return info_of(index);
        continue;
      }
      ++record.shares;
      held = handle_of(index);
      at = record.cut.offset + record.guarded;
    }
    const Result<void> seen = flush_range(held, at, at + config_.guards.margin, Sync::invalidate);
    Leaving leaving;
    HeapAllocationInfo broken;
    {
      const Lock lock(mutex_);
      if (seen && !is_margin_intact(records_[index])) broken = info_of(index);
      drop_share(index, leaving);
      if (leaving.cut) broken = {};  // it was freed meanwhile
    }
    unsettle(leaving);
    if (!seen) return fail(seen.error());
    if (broken.allocation) return broken;
  }
}

}  // namespace vaspace
