// What a slab allocator knows of each slot, in a word: 2 bytes, or 4 where slots can be parked.
//
//   GenerationRecord   | generation 16 |
//   TrackedRecord      | generation 16 | bytes not asked for, or kNobody 16 |
//
// Always true: a record's generation changes when its slot is freed or parked; a tracked slot is live exactly
// when its lower half is not kNobody; of several who park the same live slot at once, one does (R6).
#pragma once

#include <atomic>
#include <cstdint>

#include "vaspace/base/published_array.hpp"
#include "vaspace/base/units.hpp"

namespace vaspace {

struct GenerationRecord {
  using Word = std::uint16_t;
  static constexpr bool kTracked = false;
};
// Generation above, and below it the bytes of the slot that were not asked for, or kNobody while it is not
// live.
struct TrackedRecord {
  using Word = std::uint32_t;
  static constexpr bool kTracked = true;
  static constexpr Word kNobody = 0xffff;
};

// The way in and out of the parked state, which takes no more than the slot's record.
struct SlotRecords {
  using Word = TrackedRecord::Word;
  static constexpr unsigned kChunkBits = 10;  // records of a chunk
  static constexpr std::uint32_t kChunkMask = (1U << kChunkBits) - 1;

  const PublishedArray<Word*>* chunks = nullptr;
  std::uint64_t slot_size = 0;
  std::uint32_t tag = 0;

  // Whether there is, or was, such a slot.
  [[nodiscard]] bool knows(std::uint32_t slot) const noexcept {
    const auto all = chunks->view();
    return slot >> kChunkBits < all.size() && all[slot >> kChunkBits] != nullptr;
  }
  // The parked slot, which is the caller's, is live from now on; its generation.
  [[nodiscard]] std::uint32_t activate(std::uint32_t slot, Bytes requested) const noexcept {
    const std::atomic_ref<Word> record(chunks->view()[slot >> kChunkBits][slot & kChunkMask]);
    // Relaxed: the slot is this thread's alone, and what hands its id to another orders the rest.
    const Word now = record.load(std::memory_order_relaxed);
    record.store((now & ~TrackedRecord::kNobody) | static_cast<Word>(slot_size - requested.value),
                 std::memory_order_relaxed);
    return tag | (now >> 16U);
  }
  // The live slot is parked, and is the caller's now; what was asked for of it. Or 0: it is not live.
  // kShared: others may park the same slot at this moment, and one of them gets it. Any `slot` may be asked
  // for.
  template <bool kShared>
  [[nodiscard]] std::uint64_t park(std::uint32_t slot, std::uint32_t generation) const noexcept {
    const auto all = chunks->view();
    if (slot >> kChunkBits >= all.size()) [[unlikely]]
      return 0;
    Word* chunk = all[slot >> kChunkBits];
    if (chunk == nullptr) [[unlikely]]
      return 0;
    // Relaxed: who frees was handed the id by who allocated, and that has ordered the two; among several who
    // free the same id it is only to be settled which one does.
    const std::atomic_ref<Word> record(chunk[slot & kChunkMask]);
    Word now = record.load(std::memory_order_relaxed);
    const Word slack = now & TrackedRecord::kNobody;
    if ((tag | (now >> 16U)) != generation || slack == TrackedRecord::kNobody) [[unlikely]]
      return 0;
    const Word parked = (now + (TrackedRecord::kNobody + 1)) | TrackedRecord::kNobody;
    if constexpr (kShared) {
      if (!record.compare_exchange_strong(now, parked, std::memory_order_relaxed)) [[unlikely]]
        return 0;
    } else {
      record.store(parked, std::memory_order_relaxed);
    }
    return slot_size - slack;
  }
};

}  // namespace vaspace
