// One vkAllocateMemory with all that is chained to it.
//
// Always true: only what the traits ask for, and the device has enabled, is chained.
#pragma once

#include "driver.hpp"

namespace vaspace::vulkan {

// Not copied: the structures point at each other.
class MemoryOrder {
 public:
  MemoryOrder(Bytes size, std::uint32_t memory_type, const MemoryTraits& traits,
              const DeviceFeatures& features) noexcept;
  MemoryOrder(const MemoryOrder&) = delete;
  MemoryOrder& operator=(const MemoryOrder&) = delete;

  // The memory that the descriptor names; it becomes the driver's if allocate() succeeds (V17).
  void import_fd(int fd) noexcept;
  // The host's own memory (V17).
  void import_host_pointer(void* pointer) noexcept;

  [[nodiscard]] Result<VkDeviceMemory> allocate(const Driver& driver) const noexcept;

 private:
  template <class T>
  void chain(T& structure) noexcept {
    *last_ = &structure;
    last_ = &structure.pNext;
  }

  VkMemoryAllocateInfo info_{};
  VkMemoryAllocateFlagsInfo flags_{};
  VkMemoryDedicatedAllocateInfo dedicated_{};
  VkExportMemoryAllocateInfo exported_{};
  VkMemoryPriorityAllocateInfoEXT priority_{};
  VkImportMemoryFdInfoKHR import_fd_{};
  VkImportMemoryHostPointerInfoEXT import_host_{};
  const void** last_ = &info_.pNext;
};

}  // namespace vaspace::vulkan
