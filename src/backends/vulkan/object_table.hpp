// The memory objects that a backend holds, each in a slot of the synthetic address space.
//
// Always true:
//  - Slot i owns the addresses [(i + 1) * 2^40, (i + 2) * 2^40), and a memory object begins at the first.
//  - A slot is free, pending (a driver call for it is under way) or live; what is not free counts against the
//    limit (V4).
//  - first_free_ is at or below the lowest free slot.
//  - A handle names slot, generation and table; the generation wraps after 2^24 reuses of a slot (R6).
//
// Externally synchronised; makes no driver call.
#pragma once

#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/device/backend.hpp"

namespace vaspace::vulkan {

inline constexpr Bytes kSlotSize = 1_TiB;
inline constexpr std::uint32_t kMaxSlots = (1U << 24U) - 1;

struct MemoryObject {
  enum class State : std::uint8_t { free, pending, live };

  std::uint64_t memory = 0;  // VkDeviceMemory
  Bytes size{};
  std::byte* mapped = nullptr;
  std::uint32_t maps = 0;
  std::uint32_t memory_type = 0;
  std::uint32_t generation = 0;
  State state = State::free;
  bool exportable = false;
};

// A range inside a live memory object.
struct ObjectRange {
  std::uint32_t slot = 0;
  Bytes offset{};
};

class ObjectTable {
 public:
  ObjectTable(const HostAllocator& host, std::uint32_t limit, std::uint32_t identity) noexcept
      : objects_(host), limit_(limit), tag_(static_cast<std::uint16_t>(identity)) {}

  [[nodiscard]] std::uint32_t held() const noexcept { return held_; }

  // Takes the lowest free slot, which becomes pending. Errors: out_of_address_space (V4), out_of_host_memory.
  [[nodiscard]] Result<std::uint32_t> claim() noexcept;
  // A pending slot becomes free again; handles to what it held become stale.
  void vacate(std::uint32_t slot) noexcept;
  // A pending slot becomes live.
  [[nodiscard]] Reservation publish(std::uint32_t slot, std::uint64_t memory, Bytes size,
                                    std::uint32_t memory_type) noexcept;
  // A live slot becomes pending, with what it holds.
  void retract(std::uint32_t slot) noexcept;

  // The slot of exactly this live reservation. Errors: invalid_argument.
  [[nodiscard]] Result<std::uint32_t> find(const Reservation& reservation) const noexcept;
  // The live object that contains all of the range; a size of 0 asks for the address alone. Errors:
  // unknown_address, invalid_argument (it begins inside, but leaves).
  [[nodiscard]] Result<ObjectRange> at(Address address, Bytes size) const noexcept;
  // Valid until the next claim().
  [[nodiscard]] MemoryObject& operator[](std::uint32_t slot) noexcept { return objects_[slot]; }
  // Slots that were ever used: those above are free.
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(objects_.size()); }

 private:
  [[nodiscard]] std::uint64_t handle_of(std::uint32_t slot) const noexcept;

  HostArray<MemoryObject> objects_;
  std::uint32_t first_free_ = 0;
  std::uint32_t held_ = 0;
  std::uint32_t limit_;
  std::uint16_t tag_;
};

}  // namespace vaspace::vulkan
