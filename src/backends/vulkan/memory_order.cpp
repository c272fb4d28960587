#include "memory_order.hpp"

#include <algorithm>

namespace vaspace::vulkan {

MemoryOrder::MemoryOrder(Bytes size, std::uint32_t memory_type, const MemoryTraits& traits,
                         const DeviceFeatures& features) noexcept {
  info_.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  info_.allocationSize = size.value;
  info_.memoryTypeIndex = memory_type;
  if (traits.device_address) {
    flags_.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO;
    flags_.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
    chain(flags_);
  }
  if (traits.dedicated != MemoryTraits::Dedicated::none) {
    dedicated_.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO;
    // C casts: a handle is a pointer on 64-bit hosts and a number on others.
    if (traits.dedicated == MemoryTraits::Dedicated::buffer) dedicated_.buffer = (VkBuffer)traits.resource;
    if (traits.dedicated == MemoryTraits::Dedicated::image) dedicated_.image = (VkImage)traits.resource;
    chain(dedicated_);
  }
  if (traits.exportable) {
    exported_.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO;
    exported_.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
    chain(exported_);
  }
  if (features.memory_priority) {
    priority_.sType = VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT;
    priority_.priority = std::clamp(traits.priority, 0.0F, 1.0F);
    chain(priority_);
  }
}

void MemoryOrder::import_fd(int fd) noexcept {
  import_fd_.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR;
  import_fd_.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  import_fd_.fd = fd;
  chain(import_fd_);
}

void MemoryOrder::import_host_pointer(void* pointer) noexcept {
  import_host_.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT;
  import_host_.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
  import_host_.pHostPointer = pointer;
  chain(import_host_);
}

Result<VkDeviceMemory> MemoryOrder::allocate(const Driver& driver) const noexcept {
  VkDeviceMemory memory = VK_NULL_HANDLE;
  const VkResult result = driver.functions.vkAllocateMemory(driver.device, &info_, nullptr, &memory);
  if (result != VK_SUCCESS) return refusal(result, "vkAllocateMemory");
  return memory;
}

}  // namespace vaspace::vulkan
