// What a heap keeps of every allocation that it placed itself, rather than an arena allocator.
//
// Always true: an index with a generation names one record as long as it lives; the generation rises when the
// record ends, so that a stale handle is told until it has wrapped after 2^32 lives (R6). A record does not
// move. Making one asks for host memory, ending one does not (R7). Externally synchronised.
#pragma once

#include "arena/notes.hpp"
#include "heap/block_space.hpp"

namespace vaspace {

struct Record {
  // lent: its own handle was freed, its aliases live on.
  enum class State : std::uint8_t { free, live, retired, lent };

  State state = State::free;
  ResourceKind kind = ResourceKind::linear;
  bool movable = false;
  std::uint8_t mover = 0;  // by whom
  bool aliasable = false;
  bool exportable = false;
  bool persistent = false;  // mapped as long as it lives
  std::uint8_t memory_type = 0;
  std::uint32_t generation = 1;
  std::uint32_t next_free = 0;
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
};

class RecordTable {
 public:
  RecordTable(const HostAllocator& host, std::uint32_t first_generation) noexcept
      : chunks_(host), notes_(host), first_generation_(first_generation) {}
  RecordTable(const RecordTable&) = delete;
  RecordTable& operator=(const RecordTable&) = delete;
  ~RecordTable() {
    const HostAllocator& host = chunks_.host();
    for (Record* chunk : chunks_)
      host.deallocate(host.user, chunk, sizeof(Record) * kChunk, alignof(Record));
  }

  // A free record, with room for a note; it stays free until begin(). 0: no host memory.
  [[nodiscard]] std::uint32_t prepare(bool noted) noexcept;
  // A prepared one was not used.
  void give_up(std::uint32_t index) noexcept { link(index); }
  void begin(std::uint32_t index, const Record& record, Note&& note) noexcept;
  void end(std::uint32_t index) noexcept;

  [[nodiscard]] Record& operator[](std::uint32_t index) noexcept {
    return chunks_[index / kChunk][index % kChunk];
  }
  [[nodiscard]] const Record& operator[](std::uint32_t index) const noexcept {
    return chunks_[index / kChunk][index % kChunk];
  }
  // The record that `id` names. Errors: unknown_handle, stale_handle.
  [[nodiscard]] Result<std::uint32_t> find(AllocationId id) const noexcept;
  // Null, or its name and user data, which may be empty.
  [[nodiscard]] const Note* note_of(std::uint32_t index) const noexcept { return notes_.find(index); }
  // One past the last index; 0 is no record.
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint32_t live() const noexcept { return live_; }

 private:
  static constexpr std::uint32_t kChunk = 64;

  void link(std::uint32_t index) noexcept;

  HostArray<Record*> chunks_;
  NoteTable notes_;
  std::uint32_t first_generation_;
  std::uint32_t size_ = 0;
  std::uint32_t first_free_ = 0;
  std::uint32_t live_ = 0;
};

}  // namespace vaspace
