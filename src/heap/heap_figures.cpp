// What is known of allocations with records and of blocks, and whether it is consistent.
#include "heap/heap_state.hpp"

namespace vaspace {

using Lock = std::lock_guard<std::mutex>;

HeapAllocationInfo HeapState::info_of(std::uint32_t index) const noexcept {
  const Record& record = records_[index];
  const Note* note = records_.note_of(index);
  return {.allocation = handle_of(index),
          .used = record.cut.range.size,
          .kind = record.kind,
          .dedicated = record.space == nullptr,
          .name = note == nullptr ? std::string_view{} : note->name(),
          .user_data = note == nullptr ? 0 : note->user_data()};
}

Result<HeapAllocationInfo> HeapState::find(const HeapAllocation& allocation) const noexcept {
  const Lock lock(mutex_);
  if (!names_record(allocation)) return fail(why_no_record(allocation));
  return info_of(allocation.id.index);
}

void HeapState::for_each(void (*visit)(void* user, const HeapAllocationInfo& info) noexcept,
                         void* user) const noexcept {
  const Lock lock(mutex_);
  const KeptPlaces::Pause pause(places_);
  for (std::uint32_t index = 1; index < records_.size(); ++index) {
    const RecordState state = records_.state_of(index);
    if (state == RecordState::live || state == RecordState::held || state == RecordState::retired)
      visit(user, info_of(index));
  }
}

void HeapState::add_to(HeapReport& report) noexcept {
  give_back_kept();
  const DeviceProfile& profile = gate_.profile();
  report.memory_type_count = profile.memory_type_count;
  report.heap_count = profile.heap_count;
  for (std::uint32_t heap = 0; heap < profile.heap_count; ++heap)
    report.heaps[heap] = gate_.estimate(heap);
  for_each_space([&](const BlockSpace& space) {
    const SpaceFigures figures = space.figures();
    HeapFigures& type = report.memory_types[space.config().memory_type];
    type.blocks += figures.blocks;
    type.empty_blocks += figures.empty_blocks;
    type.committed += figures.committed;
    type.used += figures.used;
  });
  gate_.blocks().for_each([&](const Block& block) {
    if (!block.exclusive) return;
    HeapFigures& type = report.memory_types[block.memory_type];
    ++type.blocks;
    type.committed += block.size();
    type.used += block.size();
    ++report.dedicated;
  });
  const GateFigures gate = gate_.figures();
  for (std::uint32_t t = 0; t < profile.memory_type_count; ++t) {
    report.memory_types[t].guests = gate.guest_bytes[t];
    report.memory_types[t].committed += gate.guest_bytes[t];
  }
  report.memory_objects = gate.objects;
  report.device_reserves = gate.reserves;
  report.guest_reserves = gate.guest_reserves;
  report.device_releases = gate.releases;
  report.refused_by_driver = gate.refused_by_driver;
  report.refused_by_budget = gate.refused_by_budget;
  report.retired = retired_.count();
  report.retired_bytes = retired_.bytes();
  report.lost_timeline_questions = retired_.lost_questions();
  const Lock lock(mutex_);
  const std::array<Tally, kMaxMemoryTypes> tallies = this->tallies(KeptPlaces::Pause(places_));
  report.moves_open = open_moves_;
  for (std::uint32_t t = 0; t < profile.memory_type_count; ++t) {
    report.memory_types[t].allocations += tallies[t].allocations;
    report.memory_types[t].live += tallies[t].live;
  }
}

const char* HeapState::validate() const noexcept {
  if (const char* wrong = gate_.validate(); wrong != nullptr) return wrong;
  if (const char* wrong = retired_.validate(); wrong != nullptr) return wrong;
  const char* wrong = nullptr;
  for_each_space([&](const BlockSpace& space) {
    if (wrong == nullptr) wrong = space.validate();
  });
  if (wrong != nullptr) return wrong;
  const Lock lock(mutex_);
  const KeptPlaces::Pause pause(places_);
  std::array<Tally, kMaxMemoryTypes> tallies{};
  for (std::uint32_t index = 1; index < records_.size(); ++index) {
    const Record& record = records_[index];
    const RecordState state = records_.state_of(index);
    if (state == RecordState::free || state == RecordState::kept) continue;
    Tally& tally = tallies[record.memory_type];
    ++tally.allocations;
    if (record.owner == 0) tally.live += record.size;
    if (!is_aligned(record.cut.offset, record.alignment)) return "an allocation is not at its alignment (V7)";
    if (record.cut.offset + record.cut.range.size > record.cut.block->size())
      return "an allocation leaves its block (V7)";
    if (record.cut.block->memory_type != record.memory_type)
      return "an allocation is in memory of another type";
    if (record.space == nullptr && !record.cut.block->exclusive) return "an own block is shared (V8)";
    if (record.move != 0 && moves_[record.move - 1].record != index) return "a move is another allocation's";
    if (record.move != 0 && moves_[record.move - 1].phase == OpenMove::Phase::none)
      return "an allocation waits for a move that is over";
  }
  const std::array<Tally, kMaxMemoryTypes> counted = this->tallies(pause);
  for (std::uint32_t t = 0; t < kMaxMemoryTypes; ++t) {
    if (tallies[t].allocations != counted[t].allocations || tallies[t].live != counted[t].live)
      return "allocations with records are miscounted";
  }
  std::uint64_t open = 0;
  for (const OpenMove& move : moves_)
    open += move.phase == OpenMove::Phase::planned ? 1 : 0;
  return open == open_moves_ ? nullptr : "open moves are miscounted";
}

}  // namespace vaspace
