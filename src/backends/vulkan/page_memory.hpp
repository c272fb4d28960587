// Memory objects that pages are cut out of: many pages in each, so that their count stays low (V4).
//
//   type 0   |block: #..#####....|  |block: ########|      a place: type * 2^58 + slot * 2^40 + offset
//   type 2   |block: ##......|
//
// Always true:
//  - What is taken lies in one block, and lowest places are taken first, so that later blocks become empty.
//  - A block's `used` is the sum of what is taken from it.
//  - A slot is free, pending (a driver call for it is under way) or live; what is not free counts against the
//    limit (V4).
//
// Externally synchronised; makes no driver call.
#pragma once

#include <optional>

#include "vaspace/base/host_array.hpp"
#include "vaspace/device/backend.hpp"
#include "vaspace/device/free_space.hpp"

namespace vaspace::vulkan {

struct PageBlock {
  enum class State : std::uint8_t { free, pending, live };

  std::uint64_t memory = 0;  // VkDeviceMemory
  Bytes size{};
  Bytes used{};
  std::uint32_t memory_type = 0;
  State state = State::free;
};

class PageMemory {
 public:
  static constexpr std::uint32_t kMaxBlocks = (1U << 18U) - 1;

  explicit PageMemory(const HostAllocator& host) noexcept : blocks_(host), free_(host) {}
  void limit_blocks(std::uint32_t count) noexcept { limit_ = count; }

  // Room for `pieces` further take(). False: no host memory.
  [[nodiscard]] bool reserve(std::size_t pieces) noexcept { return free_.reserve(pieces); }
  // Errors in the sense of nothing: no block of this type has room. Needs reserve().
  [[nodiscard]] std::optional<std::uint64_t> take(std::uint32_t memory_type, Bytes size) noexcept;
  void give(std::uint64_t place, Bytes size) noexcept;

  // The lowest free slot becomes pending. Errors: out_of_address_space (V4), out_of_host_memory.
  [[nodiscard]] Result<std::uint32_t> claim() noexcept;
  // A pending slot becomes free.
  void vacate(std::uint32_t slot) noexcept;
  // A pending slot becomes live. False: no host memory, and it is still pending.
  [[nodiscard]] bool publish(std::uint32_t slot, std::uint64_t memory, Bytes size,
                             std::uint32_t memory_type) noexcept;
  // A live block of which nothing is taken becomes pending.
  [[nodiscard]] std::optional<std::uint32_t> retract_empty() noexcept;

  // A memory object that is held elsewhere counts against the limit too. False: the limit is reached.
  [[nodiscard]] bool count_other() noexcept {
    if (count_ >= limit_) return false;
    ++count_;
    return true;
  }
  void uncount_other() noexcept { --count_; }

  [[nodiscard]] const PageBlock& operator[](std::uint32_t slot) const noexcept { return blocks_[slot]; }
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(blocks_.size()); }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint32_t count_left() const noexcept { return limit_ - count_; }
  // Bytes of live blocks.
  [[nodiscard]] Bytes held() const noexcept { return held_; }
  [[nodiscard]] Bytes held_of(std::uint32_t memory_type) const noexcept { return held_of_[memory_type]; }

  [[nodiscard]] static std::uint32_t slot_of(std::uint64_t place) noexcept {
    return static_cast<std::uint32_t>(place >> kOffsetBits) & kMaxBlocks;
  }
  [[nodiscard]] static Bytes offset_of(std::uint64_t place) noexcept {
    return Bytes{place & ((std::uint64_t{1} << kOffsetBits) - 1)};
  }

 private:
  static constexpr unsigned kOffsetBits = 40;
  static constexpr unsigned kTypeBits = 58;
  [[nodiscard]] static std::uint64_t place_of(std::uint32_t memory_type, std::uint32_t slot) noexcept {
    return std::uint64_t{memory_type} << kTypeBits | std::uint64_t{slot} << kOffsetBits;
  }

  HostArray<PageBlock> blocks_;
  FreeSpace free_;
  std::uint32_t limit_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t empty_ = 0;  // live blocks of which nothing is taken
  Bytes held_{};
  Bytes held_of_[kMaxMemoryTypes]{};
};

}  // namespace vaspace::vulkan
