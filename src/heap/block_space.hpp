// Blocks of one memory type and one set of traits, and one cutter over all of them.
//
//   block 1   |--a--|==b==|......|   4 MiB
//   block 7   |-c-|.........|        twice the square root of the MiB that are held then, at most an eighth
//   of the heap
//
// Always true:
//  - What is handed out lies in one block, is a multiple of the granule and begins at one: with a granule
//    that is a multiple of bufferImageGranularity and of the atom, no two allocations share a page of either
//    (V1, V13).
//  - Bytes of blocks never pass the limit. An empty block is kept until somebody gives it back: giving a
//    piece back never calls the driver.
//
// Thread-safe. Who needs a new block waits for another's that is being made; no other lock is held during a
// driver call (T2).
#pragma once

#include "heap/cutter.hpp"
#include "heap/device_gate.hpp"

namespace vaspace {

struct SpaceConfig {
  PoolStrategy strategy = PoolStrategy::object;
  Alignment granule{256};
  Bytes slot_size{};
  std::uint32_t memory_type = 0;
  MemoryTraits traits{};
  Bytes first_block{};
  Bytes largest_block{};
  Bytes fixed_block{};  // every block has this size; 0: they grow
  Bytes limit = kMaxBytes;
  Bytes keep{};
  std::uint32_t keep_percent = 0;
  // Who holds pieces that nobody uses gives them back before a block more is asked for. Called with no lock
  // of the space held.
  PressureHandler on_full{};
  HostAllocator host{};
};

// A piece of a block.
struct Cut {
  Block* block = nullptr;
  Range range{};   // in the cutter's offsets
  Bytes offset{};  // in the block

  [[nodiscard]] explicit operator bool() const noexcept { return block != nullptr; }
};

struct SpaceFigures {
  std::uint32_t blocks = 0;
  std::uint32_t empty_blocks = 0;
  Bytes committed{};
  Bytes used{};
};

class BlockSpace {
 public:
  // Errors: invalid_configuration, out_of_host_memory.
  [[nodiscard]] static Result<HostObject<BlockSpace>> create(DeviceGate& gate,
                                                             const SpaceConfig& config) noexcept;

  BlockSpace(DeviceGate& gate, const SpaceConfig& config, Cutter&& cutter) noexcept;
  BlockSpace(const BlockSpace&) = delete;
  BlockSpace& operator=(const BlockSpace&) = delete;
  // Gives back all blocks, with whatever lives in them.
  ~BlockSpace();

  [[nodiscard]] const SpaceConfig& config() const noexcept { return config_; }

  // Errors: invalid_size, invalid_alignment, too_large, out_of_space (the limit; a slab of smaller slots), as
  // DeviceGate::reserve.
  [[nodiscard]] Result<Cut> take(RangeRequest request, BudgetPolicy policy) noexcept;
  // The same of what is there. Errors: also out_of_space.
  [[nodiscard]] Result<Cut> take_present(RangeRequest request) noexcept;
  void give(const Cut& cut) noexcept;

  // One block more, of the size that comes next. Errors: as take.
  [[nodiscard]] Result<void> open(BudgetPolicy policy) noexcept;

  // Gives back empty blocks above what the configuration keeps.
  void collect() noexcept;
  // Gives back empty blocks until `enough` bytes are given back; how many were.
  Bytes give_back(Bytes enough) noexcept;

  [[nodiscard]] SpaceFigures figures() const noexcept;
  // Bytes in use in a block of this space.
  [[nodiscard]] Bytes used_in(const Block& block) const noexcept;
  // Calls visit(Block&, Bytes used) in the order of windows, under the lock.
  template <class Visit>
  void for_each_block(Visit&& visit) const {
    const std::lock_guard lock(mutex_);
    for (const Entry& entry : entries_) {
      if (entry.block != nullptr) visit(*entry.block, entry.used);
    }
  }
  [[nodiscard]] const char* validate() const noexcept;

 private:
  struct Entry {
    Block* block = nullptr;
    Bytes used{};
  };

  [[nodiscard]] Result<Cut> take_locked(RangeRequest request) noexcept;
  [[nodiscard]] Bytes size_of_next(Bytes need) const noexcept;
  [[nodiscard]] Result<void> grow(RangeRequest request, BudgetPolicy policy) noexcept;
  [[nodiscard]] Result<void> enter(Block& block) noexcept;
  [[nodiscard]] Block* take_empty(Bytes keep) noexcept;
  [[nodiscard]] Bytes kept() const noexcept;
  [[nodiscard]] std::uint32_t window_of(Offset offset) const noexcept {
    return static_cast<std::uint32_t>(offset.value >> window_bits_);
  }

  DeviceGate& gate_;
  SpaceConfig config_;
  unsigned window_bits_;
  std::mutex growing_;        // one grower at a time
  mutable std::mutex mutex_;  // of what follows
  Cutter cutter_;
  HostArray<Entry> entries_;  // by window
  Bytes committed_{};
  Bytes empty_{};  // bytes of empty blocks
  Bytes used_{};
};

}  // namespace vaspace
