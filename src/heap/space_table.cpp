#include "heap/space_table.hpp"

#include <algorithm>

namespace vaspace {

SpaceTable::SpaceTable(DeviceGate& gate, const HeapConfig& config, const PressureHandler& on_full) noexcept
    : gate_(gate), config_(config), on_full_(on_full) {
  for (std::uint32_t type = 0; type < gate.profile().memory_type_count; ++type)
    largest_blocks_[type] = find_largest_block(type);
}

SpaceTable::~SpaceTable() {
  for_each([&](BlockSpace& space) { HostDelete<BlockSpace>{config_.host}(&space); });
}

Bytes SpaceTable::find_largest_block(std::uint32_t memory_type) const noexcept {
  const DeviceProfile& profile = gate_.profile();
  const Bytes heap = profile.heaps[profile.memory_types[memory_type].heap].size;
  const Bytes wanted =
      config_.largest_block != Bytes{} ? config_.largest_block : std::min(Bytes{heap.value / 8}, 256_MiB);
  const Bytes most = std::min({wanted, heap, profile.capabilities.max_reservation_size, Block::kLargest});
  const Alignment unit{profile.reservation_granularity};
  return std::max(align_down(most, unit), Bytes{unit.value});
}

Bytes SpaceTable::first_block(std::uint32_t memory_type) const noexcept {
  const Bytes largest = largest_block(memory_type);
  if (config_.first_block != Bytes{}) return std::min(config_.first_block, largest);
  const Alignment unit{gate_.profile().reservation_granularity};
  return std::min(4_MiB, std::max(align_down(Bytes{largest.value / 4}, unit), Bytes{unit.value}));
}

Alignment SpaceTable::granule(std::uint32_t memory_type, bool mixes_kinds) const noexcept {
  const MemoryType& type = gate_.profile().memory_types[memory_type];
  Alignment granule{256};
  if (type.host_visible && !type.host_coherent) granule = std::max(granule, config_.non_coherent_atom);
  return mixes_kinds ? std::max(granule, config_.buffer_image_granularity) : granule;
}

Result<BlockSpace*> SpaceTable::get(const Sharing& sharing) noexcept {
  std::atomic<BlockSpace*>& place = spaces_[key_of(sharing)];
  if (BlockSpace* there = place.load(std::memory_order_acquire)) return there;
  const std::lock_guard lock(mutex_);
  if (BlockSpace* there = place.load(std::memory_order_relaxed)) return there;
  const bool mixes = shares_kinds() || sharing.kind == ResourceKind::unknown;
  auto space = BlockSpace::create(gate_, {.granule = granule(sharing.memory_type, mixes),
                                          .memory_type = sharing.memory_type,
                                          .traits = traits_of(sharing),
                                          .first_block = first_block(sharing.memory_type),
                                          .largest_block = largest_block(sharing.memory_type),
                                          .keep = config_.keep,
                                          .keep_percent = config_.keep_percent,
                                          .on_full = on_full_,
                                          .host = config_.host});
  if (!space) return fail(space.error());
  BlockSpace* made = space->release();
  place.store(made, std::memory_order_release);
  return made;
}

}  // namespace vaspace
