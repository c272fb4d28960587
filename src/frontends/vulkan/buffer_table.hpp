// Which VkBuffer stands behind which addresses of a pool, readable without a lock.
//
// Always true: slot i owns the addresses [(i + 1) * 2^40, (i + 2) * 2^40); an entry is written before an
// address in it is handed out, and read only by who holds such an address.
#pragma once

#include "vaspace/base/published_array.hpp"
#include "vaspace/base/units.hpp"

namespace vaspace::vulkan {

class BufferTable {
 public:
  struct Entry {
    std::uint64_t buffer = 0;
    std::uint64_t device_address = 0;
    std::byte* mapped = nullptr;
    std::uint32_t memory_type = 0;
  };

  explicit BufferTable(const HostAllocator& host) noexcept
      : buffers_(host), addresses_(host), mapped_(host), memory_types_(host) {}

  [[nodiscard]] static std::uint32_t slot_of(Address address) noexcept {
    return static_cast<std::uint32_t>((address.value >> 40U) - 1);
  }
  [[nodiscard]] static Address begin_of(std::uint32_t slot) noexcept {
    return Address{(std::uint64_t{slot} + 1) << 40U};
  }
  [[nodiscard]] static Bytes offset_of(Address address) noexcept {
    return Bytes{address.value & ((std::uint64_t{1} << 40U) - 1)};
  }

  // For one writer at a time. False: no host memory.
  [[nodiscard]] bool reserve_slot(std::uint32_t slot) noexcept {
    while (buffers_.size() <= slot) {
      if (!buffers_.reserve_more(1) || !addresses_.reserve_more(1) || !mapped_.reserve_more(1) ||
          !memory_types_.reserve_more(1))
        return false;
      buffers_.push_back_reserved(0);
      addresses_.push_back_reserved(0);
      mapped_.push_back_reserved(0);
      memory_types_.push_back_reserved(0);
    }
    return true;
  }
  void set(std::uint32_t slot, const Entry& entry) noexcept {
    buffers_.set(slot, entry.buffer);
    addresses_.set(slot, entry.device_address);
    mapped_.set(slot, reinterpret_cast<std::uintptr_t>(entry.mapped));
    memory_types_.set(slot, entry.memory_type);
  }
  [[nodiscard]] Entry at(Address address) const noexcept {
    const std::uint32_t slot = slot_of(address);
    return {buffers_.view()[slot], addresses_.view()[slot],
            reinterpret_cast<std::byte*>(mapped_.view()[slot]), memory_types_.view()[slot]};
  }

 private:
  PublishedArray<std::uint64_t> buffers_;
  PublishedArray<std::uint64_t> addresses_;
  PublishedArray<std::uintptr_t> mapped_;
  PublishedArray<std::uint32_t> memory_types_;
};

}  // namespace vaspace::vulkan
