#include "heap/records.hpp"

#include <utility>

namespace vaspace {

std::uint32_t RecordTable::prepare(bool noted) noexcept {
  if (first_free_ == 0) {
    if (size_ % kChunk == 0) {
      const HostAllocator& host = chunks_.host();
      if (!chunks_.reserve_more(1)) return 0;
      auto* chunk = static_cast<Record*>(host.allocate(host.user, sizeof(Record) * kChunk, alignof(Record)));
      if (chunk == nullptr) return 0;
      for (std::uint32_t i = 0; i < kChunk; ++i) {
        ::new (static_cast<void*>(chunk + i)) Record{};
        chunk[i].generation = first_generation_;
      }
      chunks_.push_back_reserved(chunk);
      if (size_ == 0) size_ = 1;  // 0 is no record
    }
    link(size_++);
  }
  const std::uint32_t index = first_free_;
  if (noted && !notes_.prepare(index)) return 0;
  first_free_ = (*this)[index].next_free;
  return index;
}

void RecordTable::link(std::uint32_t index) noexcept {
  (*this)[index].next_free = first_free_;
  first_free_ = index;
}

void RecordTable::begin(std::uint32_t index, const Record& record, Note&& note) noexcept {
  Record& mine = (*this)[index];
  const std::uint32_t generation = mine.generation;
  mine = record;
  mine.generation = generation;
  mine.state = Record::State::live;
  notes_.put(index, std::move(note));
  ++live_;
}

void RecordTable::end(std::uint32_t index) noexcept {
  Record& mine = (*this)[index];
  const std::uint32_t generation = mine.generation;
  mine = Record{};
  mine.generation = generation + 1 == 0 ? 1 : generation + 1;
  notes_.remove(index);
  link(index);
  --live_;
}

Result<std::uint32_t> RecordTable::find(AllocationId id) const noexcept {
  if (id.index == 0 || id.index >= size_) return fail(ErrorCode::unknown_handle);
  const Record& record = (*this)[id.index];
  if (record.generation == id.generation && record.state == Record::State::live) return id.index;
  // What comes before this life and after the first was given out and is over.
  const bool ended = record.generation == id.generation && record.state != Record::State::free;
  const bool was = ended || id.generation - first_generation_ < record.generation - first_generation_;
  return fail(was ? ErrorCode::stale_handle : ErrorCode::unknown_handle);
}

}  // namespace vaspace
