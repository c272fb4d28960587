// What is known of an object arena's ranges without its lock: by the node's number, where the range lies and
// whether it is live.
//
//   placed --activate--> live --park--> nobody's --activate--> live ...
//                                           '--> given back, under the lock
//
// park and activate write the record's life alone.
//
// Always true: a record's place and size are written under the arena's lock before its range is anybody's,
// and stay until the range is given back; its generation changes when the range is parked, so that a stale
// handle is told until 2^32 reuses have passed (R6); records never move, and outlive their ranges.
#pragma once

#include <atomic>
#include <cstdint>

#include "vaspace/base/published_array.hpp"
#include "vaspace/range/range.hpp"

namespace vaspace {

struct ObjectRecord {
  static constexpr std::uint32_t kNobody = ~std::uint32_t{0};

  std::uint64_t life;      // generation above; below it bytes handed out that were not asked for, or kNobody
  std::uint32_t offset;    // in granules
  std::uint32_t granules;  // its size

  [[nodiscard]] static constexpr std::uint64_t life_of(std::uint32_t generation,
                                                       std::uint32_t slack) noexcept {
    return (std::uint64_t{generation} << 32U) | slack;
  }
};

class ObjectRecords {
 public:
  ObjectRecords(const HostAllocator& host, std::uint32_t first_generation, unsigned granule_bits) noexcept
      : chunks_(host), first_generation_(first_generation), granule_bits_(granule_bits) {}
  ObjectRecords(ObjectRecords&&) noexcept = default;
  ObjectRecords& operator=(ObjectRecords&&) = delete;
  ObjectRecords(const ObjectRecords&) = delete;
  ObjectRecords& operator=(const ObjectRecords&) = delete;
  ~ObjectRecords() {
    const HostAllocator& host = chunks_.host();
    for (std::uint32_t i = 0; i < chunks_.size(); ++i)
      host.deallocate(host.user, chunks_[i], kChunkBytes, 64);
  }

  // Under the arena's lock: node `index` has this range now, which is nobody's. Null: no host memory, or a
  // larger number than a handle has room for.
  [[nodiscard]] ObjectRecord* place(std::uint32_t index, Offset offset, Bytes size) noexcept {
    ObjectRecord* record = find(index);
    if (record == nullptr) [[unlikely]]
      record = add_chunks(index);
    if (record == nullptr) [[unlikely]]
      return nullptr;
    // Relaxed: who holds the range learns of it later; who holds a stale handle may look at any time.
    std::atomic_ref(record->offset)
        .store(static_cast<std::uint32_t>(offset.value >> granule_bits_), std::memory_order_relaxed);
    std::atomic_ref(record->granules)
        .store(static_cast<std::uint32_t>(size.value >> granule_bits_), std::memory_order_relaxed);
    return record;
  }

  // Thread-safe, for the one whose range it is: live from now on; its generation.
  [[nodiscard]] std::uint32_t activate(std::uint32_t index, Bytes requested) const noexcept {
    return activate(*find(index), requested);
  }
  [[nodiscard]] std::uint32_t activate(ObjectRecord& record, Bytes requested) const noexcept {
    const std::atomic_ref<std::uint64_t> life(record.life);
    // Relaxed here and below: what hands the id to another thread orders the rest.
    const auto generation = static_cast<std::uint32_t>(life.load(std::memory_order_relaxed) >> 32U);
    const auto slack = static_cast<std::uint32_t>(size_of(record).value - requested.value);
    life.store(ObjectRecord::life_of(generation, slack), std::memory_order_relaxed);
    return generation;
  }
  // Thread-safe: the live range is the caller's now, and nobody's; what was asked for of it. Or 0: it is not
  // live, why_not() says why. Any number may be asked for.
  template <bool kShared>
  [[nodiscard]] Bytes park(std::uint32_t index, std::uint32_t generation) const noexcept {
    ObjectRecord* record = find(index);
    return record != nullptr ? park<kShared>(*record, generation) : Bytes{};
  }
  template <bool kShared>
  [[nodiscard]] Bytes park(ObjectRecord& record, std::uint32_t generation) const noexcept {
    const std::atomic_ref<std::uint64_t> life(record.life);
    std::uint64_t now = life.load(std::memory_order_relaxed);
    const auto slack = static_cast<std::uint32_t>(now);
    if (now >> 32U != generation || slack == ObjectRecord::kNobody) return {};
    const std::uint64_t parked = ObjectRecord::life_of(generation + 1, ObjectRecord::kNobody);
    if constexpr (kShared) {
      if (!life.compare_exchange_strong(now, parked, std::memory_order_relaxed)) return {};
    } else {
      life.store(parked, std::memory_order_relaxed);
    }
    return size_of(record) - Bytes{slack};
  }

  // Null: no such record. Any number may be asked for.
  [[nodiscard]] ObjectRecord* find(std::uint32_t index) const noexcept {
    const auto chunks = chunks_.view();
    if (index >> kChunkBits >= chunks.size()) [[unlikely]]
      return nullptr;
    return chunks[index >> kChunkBits] + place_of(index);
  }
  // Of a record that was placed.
  [[nodiscard]] Offset offset_of(std::uint32_t index) const noexcept { return offset_of(*find(index)); }
  [[nodiscard]] Offset offset_of(ObjectRecord& record) const noexcept {
    return Offset{std::uint64_t{std::atomic_ref(record.offset).load(std::memory_order_relaxed)}
                  << granule_bits_};
  }
  [[nodiscard]] Bytes size_of(std::uint32_t index) const noexcept { return size_of(*find(index)); }
  [[nodiscard]] Bytes size_of(ObjectRecord& record) const noexcept {
    return Bytes{std::uint64_t{std::atomic_ref(record.granules).load(std::memory_order_relaxed)}
                 << granule_bits_};
  }
  [[nodiscard]] std::uint64_t granules(Bytes size) const noexcept {
    return ((size.value - 1) >> granule_bits_) + 1;
  }
  [[nodiscard]] bool is_placed(std::uint32_t index) const noexcept { return find(index) != nullptr; }

  // The live range's id and what was asked for, seen at one moment; 0 bytes: it is not live.
  struct Seen {
    std::uint32_t generation = 0;
    Bytes requested{};
  };
  [[nodiscard]] Seen see(std::uint32_t index) const noexcept {
    ObjectRecord* record = find(index);
    if (record == nullptr) return {};
    const std::uint64_t now = std::atomic_ref(record->life).load(std::memory_order_relaxed);
    const auto slack = static_cast<std::uint32_t>(now);
    if (slack == ObjectRecord::kNobody) return {};
    return {static_cast<std::uint32_t>(now >> 32U), size_of(*record) - Bytes{slack}};
  }
  [[nodiscard]] ErrorCode why_not(std::uint32_t index, std::uint32_t generation) const noexcept {
    ObjectRecord* record = find(index);
    if (record == nullptr) return ErrorCode::unknown_handle;
    const std::uint64_t life = std::atomic_ref(record->life).load(std::memory_order_relaxed);
    const auto now = static_cast<std::uint32_t>(life >> 32U);
    // Handed out before: a generation between the first and the present one.
    const std::uint32_t age = now - generation;
    return age != 0 && age <= now - first_generation_ ? ErrorCode::stale_handle : ErrorCode::unknown_handle;
  }

 private:
  // Numbers that follow each other have records on different lines, four to a line: two threads that took a
  // range each, one after the other, do not write the same line from then on.
  [[nodiscard]] static constexpr std::uint32_t place_of(std::uint32_t index) noexcept {
    constexpr std::uint32_t kLines = kChunkRecords / 4;
    return (index % kLines) * 4 + index / kLines % 4;
  }

  static constexpr unsigned kChunkBits = 8;
  static constexpr std::uint32_t kChunkRecords = 1U << kChunkBits;
  static constexpr std::size_t kChunkBytes = sizeof(ObjectRecord) * kChunkRecords;
  static constexpr std::uint32_t kMaxRecords = 1U << 27U;

  // So many that there is record `index`, which it answers.
  [[nodiscard, gnu::noinline]] ObjectRecord* add_chunks(std::uint32_t index) noexcept {
    while (index >> kChunkBits >= chunks_.size()) {
      if (index >= kMaxRecords || !add_chunk()) return nullptr;
    }
    return find(index);
  }
  [[nodiscard]] bool add_chunk() noexcept {
    const HostAllocator& host = chunks_.host();
    if (!chunks_.reserve_more(1)) return false;
    auto* records = static_cast<ObjectRecord*>(host.allocate(host.user, kChunkBytes, 64));
    if (records == nullptr) return false;
    for (std::uint32_t i = 0; i < kChunkRecords; ++i) {
      ::new (static_cast<void*>(records + i))
          ObjectRecord{ObjectRecord::life_of(first_generation_, ObjectRecord::kNobody), 0, 0};
    }
    chunks_.push_back_reserved(records);
    return true;
  }

  PublishedArray<ObjectRecord*> chunks_;
  std::uint32_t first_generation_;
  unsigned granule_bits_;
};

}  // namespace vaspace
