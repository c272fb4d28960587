#include "heap/records.hpp"

#include <utility>

namespace vaspace {

RecordTable::~RecordTable() {
  const HostAllocator& host = chunks_.host();
  for (std::uint32_t i = 0; i < chunks_.size(); ++i)
    host.deallocate(host.user, chunks_[i], sizeof(Slot) * kChunk, alignof(Slot));
}

std::uint32_t RecordTable::prepare(bool noted) noexcept {
  if (first_free_ == 0) {
    if (size_ % kChunk == 0) {
      const HostAllocator& host = chunks_.host();
      if (!chunks_.reserve_more(1)) return 0;
      auto* chunk = static_cast<Slot*>(host.allocate(host.user, sizeof(Slot) * kChunk, alignof(Slot)));
      if (chunk == nullptr) return 0;
      for (std::uint32_t i = 0; i < kChunk; ++i) {
        ::new (static_cast<void*>(chunk + i)) Slot{};
        chunk[i].life = life(first_generation_, RecordState::free);
      }
      chunks_.push_back_reserved(chunk);
      if (size_ == 0) size_ = 1;  // 0 is no record
    }
    link(size_++);
  }
  const std::uint32_t index = first_free_;
  if (noted && !notes_.prepare(index)) return 0;
  first_free_ = slot_of(index).next_free;
  return index;
}

void RecordTable::link(std::uint32_t index) noexcept {
  slot_of(index).next_free = first_free_;
  first_free_ = index;
}

void RecordTable::begin(std::uint32_t index, const Record& record, Note&& note) noexcept {
  Record& mine = (*this)[index];
  mine = record;
  mine.plain = record.plain && note.empty();
  notes_.put(index, std::move(note));
  set_state(index, RecordState::live);
}

void RecordTable::end(std::uint32_t index) noexcept {
  life_of(index).store(life(next(generation_of(index)), RecordState::free), std::memory_order_release);
  notes_.remove(index);
  link(index);
}

void RecordTable::end_kept(std::uint32_t index) noexcept {
  set_state(index, RecordState::free);
  link(index);
}

bool RecordTable::hold(AllocationId id) noexcept {
  if (!is_live(id)) return false;
  std::uint64_t now = life(id.generation, RecordState::live);
  const std::uint64_t held = life(id.generation, RecordState::held);
  return life_of(id.index).compare_exchange_strong(now, held, std::memory_order_acq_rel,
                                                   std::memory_order_relaxed) ||
         now == held;
}

Error RecordTable::why_not(AllocationId id) const noexcept {
  if (id.index == 0 || id.index / kChunk >= chunks_.view().size()) return {ErrorCode::unknown_handle};
  const std::uint32_t generation = generation_of(id.index);
  // What comes before this life and after the first was given out and is over.
  const RecordState state = state_of(id.index);
  const bool begun = state == RecordState::retired || state == RecordState::lent;
  const bool ended = generation == id.generation && begun;
  const bool was = ended || id.generation - first_generation_ < generation - first_generation_;
  return {was ? ErrorCode::stale_handle : ErrorCode::unknown_handle};
}

}  // namespace vaspace
