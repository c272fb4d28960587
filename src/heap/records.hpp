// What a heap keeps of every allocation that it placed itself, rather than an arena allocator.
//
//   free --begin--> live --hold--> held --retire, lend--> retired, lent --end--> free
//                   |  ^            '--end--> free
//              park v  | revive
//                  kept --end_kept--> free
//
// Always true: an index with a generation names one record as long as it lives; the generation rises when the
// record ends or is parked, so that a stale handle is told until it has wrapped after 2^32 lives (R6). A
// record does not move. Making one asks for host memory, ending one does not (R7).
//
// hold, park, revive, is_live and why_not are thread-safe; all else is the owner's lock's. What a record says
// of its place and size does not change while it is live or kept; what may change is that of a held one, and
// so only under the lock.
#pragma once

#include <atomic>

#include "vaspace/base/published_array.hpp"

#include "arena/notes.hpp"
#include "heap/block_space.hpp"

namespace vaspace {

struct Record {
  ResourceKind kind = ResourceKind::linear;
  bool movable = false;
  std::uint8_t mover = 0;  // by whom
  bool aliasable = false;
  bool exportable = false;
  bool persistent = false;  // mapped as long as it lives
  bool mapping_asked = false;
  bool plain = false;  // when it ends its place may be kept
  std::uint8_t memory_type = 0;
  // Where it lies: a piece of a space, or, without one, a block of its own.
  BlockSpace* space = nullptr;
  Cut cut{};
  Bytes size{};
  Alignment alignment{};
  std::uint32_t pool = 0;    // index + 1
  std::uint32_t owner = 0;   // of an alias: the record whose memory it shares
  std::uint32_t shares = 0;  // of an owner: aliases that live, and who looks at its margin just now
  std::uint32_t pins = 0;
  std::uint32_t maps = 0;  // counted ones, through it
  std::uint32_t move = 0;  // index + 1 of the move that it is in, until that one's points have passed
  Bytes guarded{};         // bytes from its begin to its margin; 0: no margin
  // Of a movable one, among those of its block; 0 is none.
  std::uint32_t next_resident = 0;
  std::uint32_t previous_resident = 0;
};

// held: live, and more is known of it than a free without the lock could take away. lent: its own handle was
// freed, its aliases live on. kept: nobody's, but its place is taken for whoever asks for as much again.
enum class RecordState : std::uint8_t { free, live, held, retired, lent, kept };

class RecordTable {
 public:
  RecordTable(const HostAllocator& host, std::uint32_t first_generation) noexcept
      : chunks_(host), notes_(host), first_generation_(first_generation) {}
  RecordTable(const RecordTable&) = delete;
  RecordTable& operator=(const RecordTable&) = delete;
  ~RecordTable();

  // A free record, with room for a note; it stays free until begin(). 0: no host memory.
  [[nodiscard]] std::uint32_t prepare(bool noted) noexcept;
  // A prepared one was not used.
  void give_up(std::uint32_t index) noexcept { link(index); }
  void begin(std::uint32_t index, const Record& record, Note&& note) noexcept;
  void end(std::uint32_t index) noexcept;
  void end_kept(std::uint32_t index) noexcept;
  // Of one that is held.
  void set_state(std::uint32_t index, RecordState state) noexcept {
    life_of(index).store(life(generation_of(index), state), std::memory_order_release);
  }

  // False: `id` names none that is live or held. Then its owner's lock decides over it.
  [[nodiscard]] bool hold(AllocationId id) noexcept;
  // From live to kept; false: it was not live. Whoever parks it may revive it, or end it under the lock.
  [[nodiscard]] bool park(AllocationId id) noexcept {
    std::uint64_t now = life(id.generation, RecordState::live);
    return life_of(id.index).compare_exchange_strong(now, life(next(id.generation), RecordState::kept),
                                                     std::memory_order_acq_rel, std::memory_order_relaxed);
  }
  // Of one that has just been parked: it lives on under the same id.
  void unpark(AllocationId id) noexcept {
    life_of(id.index).store(life(id.generation, RecordState::live), std::memory_order_release);
  }
  void revive(std::uint32_t index) noexcept {
    life_of(index).store(life(generation_of(index), RecordState::live), std::memory_order_release);
  }
  // Whether `id` names a record that is live or held; if not, why not: unknown_handle, stale_handle. Any id
  // may be asked for.
  [[nodiscard]] bool is_live(AllocationId id) const noexcept {
    if (id.index == 0 || id.index / kChunk >= chunks_.view().size()) return false;
    const std::uint64_t now = life_of(id.index).load(std::memory_order_acquire);
    return now == life(id.generation, RecordState::live) || now == life(id.generation, RecordState::held);
  }
  [[nodiscard]] Error why_not(AllocationId id) const noexcept;

  [[nodiscard]] RecordState state_of(std::uint32_t index) const noexcept {
    return static_cast<RecordState>(life_of(index).load(std::memory_order_acquire) & 0xFFU);
  }
  [[nodiscard]] std::uint32_t generation_of(std::uint32_t index) const noexcept {
    return static_cast<std::uint32_t>(life_of(index).load(std::memory_order_relaxed) >> 32U);
  }
  [[nodiscard]] Record& operator[](std::uint32_t index) noexcept { return slot_of(index).record; }
  [[nodiscard]] const Record& operator[](std::uint32_t index) const noexcept { return slot_of(index).record; }
  // Null, or its name and user data, which may be empty.
  [[nodiscard]] const Note* note_of(std::uint32_t index) const noexcept { return notes_.find(index); }
  // One past the last index; 0 is no record.
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }

 private:
  static constexpr std::uint32_t kChunk = 64;

  // Lines of its own: threads that free side by side write none in common.
  struct alignas(64) Slot {
    std::uint64_t life = 0;  // generation, state
    std::uint32_t next_free = 0;
    Record record{};
  };

  [[nodiscard]] static constexpr std::uint64_t life(std::uint32_t generation, RecordState state) noexcept {
    return (std::uint64_t{generation} << 32U) | static_cast<std::uint64_t>(state);
  }
  [[nodiscard]] static constexpr std::uint32_t next(std::uint32_t generation) noexcept {
    return generation + 1 == 0 ? 1 : generation + 1;
  }
  [[nodiscard]] Slot& slot_of(std::uint32_t index) const noexcept {
    return chunks_.view()[index / kChunk][index % kChunk];
  }
  [[nodiscard]] std::atomic_ref<std::uint64_t> life_of(std::uint32_t index) const noexcept {
    return std::atomic_ref(slot_of(index).life);
  }
  void link(std::uint32_t index) noexcept;

  PublishedArray<Slot*> chunks_;
  NoteTable notes_;
  std::uint32_t first_generation_;
  std::uint32_t size_ = 0;
  std::uint32_t first_free_ = 0;
};

}  // namespace vaspace
