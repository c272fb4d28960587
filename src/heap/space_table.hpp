// The block spaces of a heap, by what their blocks have in common.
//
// Always true: a space is made when it is first asked for and stays until the heap ends; it is found without
// a lock.
//
// Kinds share blocks where bufferImageGranularity is so small that whole granules of it cost little; above
// that each kind has blocks of its own, and memory of unknown kind has whole pages of the granularity (V1,
// V2).
#pragma once

#include <array>
#include <atomic>

#include "heap/block_space.hpp"

namespace vaspace {

// What decides which memory a request may share.
struct Sharing {
  std::uint32_t memory_type = 0;
  ResourceKind kind = ResourceKind::linear;
  bool device_address = false;  // V9
  std::uint32_t priority = 4;   // in eighths
};

inline constexpr std::uint32_t kPriorities = 9;

[[nodiscard]] inline std::uint32_t priority_of(float priority) noexcept {
  return static_cast<std::uint32_t>(priority * 8.0F + 0.5F);
}
[[nodiscard]] inline MemoryTraits traits_of(const Sharing& sharing) noexcept {
  return {.device_address = sharing.device_address, .priority = static_cast<float>(sharing.priority) / 8.0F};
}

class SpaceTable {
 public:
  // Above this, blocks are not shared by kinds.
  static constexpr std::uint64_t kSharedGranularity = 4096;

  // on_full: of every space.
  SpaceTable(DeviceGate& gate, const HeapConfig& config, const PressureHandler& on_full) noexcept;
  SpaceTable(const SpaceTable&) = delete;
  SpaceTable& operator=(const SpaceTable&) = delete;
  ~SpaceTable();

  // Null: nobody has asked for it yet.
  [[nodiscard]] BlockSpace* find(const Sharing& sharing) const noexcept {
    return spaces_[key_of(sharing)].load(std::memory_order_acquire);
  }
  // Errors: out_of_host_memory, invalid_configuration (a device whose largest block holds no granule).
  [[nodiscard]] Result<BlockSpace*> get(const Sharing& sharing) noexcept;
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& space : spaces_) {
      if (BlockSpace* there = space.load(std::memory_order_acquire)) visit(*there);
    }
  }

  // Of a memory type: what a block may grow to, and what the first is.
  [[nodiscard]] Bytes largest_block(std::uint32_t memory_type) const noexcept {
    return largest_blocks_[memory_type];
  }
  [[nodiscard]] Bytes first_block(std::uint32_t memory_type) const noexcept;
  // The unit in which allocations of different kinds may lie side by side; the atom's, where memory is not
  // coherent.
  [[nodiscard]] Alignment granule(std::uint32_t memory_type, bool mixes_kinds) const noexcept;
  [[nodiscard]] bool shares_kinds() const noexcept {
    return config_.buffer_image_granularity.value <= kSharedGranularity;
  }

 private:
  static constexpr std::uint32_t kKinds = 3;

  [[nodiscard]] std::uint32_t key_of(const Sharing& sharing) const noexcept {
    const std::uint32_t kind = shares_kinds() ? 0 : static_cast<std::uint32_t>(sharing.kind);
    const std::uint32_t traits = sharing.priority * 2 + (sharing.device_address ? 1U : 0U);
    return (sharing.memory_type * kKinds + kind) * kPriorities * 2 + traits;
  }

  [[nodiscard]] Bytes find_largest_block(std::uint32_t memory_type) const noexcept;

  DeviceGate& gate_;
  const HeapConfig& config_;
  PressureHandler on_full_;
  std::array<Bytes, kMaxMemoryTypes> largest_blocks_{};
  std::mutex mutex_;  // makers
  std::array<std::atomic<BlockSpace*>, kMaxMemoryTypes * kKinds * kPriorities * 2> spaces_{};
};

}  // namespace vaspace
