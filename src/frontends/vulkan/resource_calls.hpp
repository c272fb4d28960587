// The driver's calls about buffers and images, one function each.
//
// Always true: a call that fails has made nothing; its Error is the library's word with the VkResult inside.
#pragma once

#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include <vulkan/vulkan_core.h>

#include "vaspace/frontends/vulkan/heap.hpp"

#include "backends/vulkan/refusal.hpp"

namespace vaspace::vulkan {

// Handles are pointers on 64-bit hosts and numbers on others; a C cast is right for both.
template <class Handle>
[[nodiscard]] std::uint64_t bits_of(Handle handle) noexcept {
  return (std::uint64_t)handle;
}

inline constexpr std::uint32_t kSparseBufferFlags = VK_BUFFER_CREATE_SPARSE_BINDING_BIT |
                                                    VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT |
                                                    VK_BUFFER_CREATE_SPARSE_ALIASED_BIT;
inline constexpr std::uint32_t kSparseImageFlags = VK_IMAGE_CREATE_SPARSE_BINDING_BIT |
                                                   VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT |
                                                   VK_IMAGE_CREATE_SPARSE_ALIASED_BIT;

// Of addresses and descriptors that are to be the same in a later run: memory would need a flag of its own.
inline constexpr std::uint32_t kReplayedBufferFlags =
    VK_BUFFER_CREATE_DEVICE_ADDRESS_CAPTURE_REPLAY_BIT |
    VK_BUFFER_CREATE_DESCRIPTOR_BUFFER_CAPTURE_REPLAY_BIT_EXT;
inline constexpr std::uint32_t kReplayedImageFlags = VK_IMAGE_CREATE_DESCRIPTOR_BUFFER_CAPTURE_REPLAY_BIT_EXT;

// What a resource needs, and whether memory of its own (V8).
struct Needs {
  MemoryRequirements memory{};
  DedicatedWish dedicated = DedicatedWish::none;
};

class ResourceCalls {
 public:
  // Errors: driver_error (a function is missing).
  [[nodiscard]] static Result<ResourceCalls> load(const Backend& backend) noexcept;

  [[nodiscard]] Result<VkBuffer> create(const VkBufferCreateInfo& info) const noexcept;
  // As the driver has them, for who creates many.
  [[nodiscard]] VkResult create(const VkBufferCreateInfo& info, VkBuffer& buffer) const noexcept {
    return create_buffer_(device_, &info, nullptr, &buffer);
  }
  [[nodiscard]] VkResult create(const VkImageCreateInfo& info, VkImage& image) const noexcept {
    return create_image_(device_, &info, nullptr, &image);
  }
  [[nodiscard]] VkResult try_bind(VkBuffer buffer, const HeapAllocation& memory) const noexcept {
    return bind_buffer_(device_, buffer, (VkDeviceMemory)memory.native, memory.offset.value);
  }
  [[nodiscard]] VkResult try_bind(VkImage image, const HeapAllocation& memory) const noexcept {
    return bind_image_(device_, image, (VkDeviceMemory)memory.native, memory.offset.value);
  }
  [[nodiscard]] Result<VkImage> create(const VkImageCreateInfo& info) const noexcept;
  void destroy(VkBuffer buffer) const noexcept { destroy_buffer_(device_, buffer, nullptr); }
  void destroy(VkImage image) const noexcept { destroy_image_(device_, image, nullptr); }
  [[nodiscard]] Needs needs(VkBuffer buffer) const noexcept;
  [[nodiscard]] Needs needs(VkImage image) const noexcept;
  [[nodiscard]] Result<void> bind(VkBuffer buffer, const HeapAllocation& memory) const noexcept;
  [[nodiscard]] Result<void> bind(VkImage image, const HeapAllocation& memory) const noexcept;
  // Null where the device has none.
  [[nodiscard]] std::uint64_t device_address(VkBuffer buffer) const noexcept;
  // Nothing where debug utils are not enabled, or there is no name; up to kLongestName bytes of it. A name
  // that is refused is forgotten.
  static constexpr std::size_t kLongestName = 63;
  // Up to kLongestName bytes of it, no character of UTF-8 cut in two.
  [[nodiscard]] static std::string_view clipped(std::string_view name) noexcept {
    if (name.size() <= kLongestName) return name;
    std::size_t length = kLongestName;
    while (length != 0 && (static_cast<unsigned char>(name[length]) & 0xC0U) == 0x80U)
      --length;
    return name.substr(0, length);
  }
  void name(VkBuffer buffer, std::string_view name_of) const noexcept {
    if (!name_of.empty()) name(VK_OBJECT_TYPE_BUFFER, bits_of(buffer), name_of);
  }
  void name(VkImage image, std::string_view name_of) const noexcept {
    if (!name_of.empty()) name(VK_OBJECT_TYPE_IMAGE, bits_of(image), name_of);
  }
  [[nodiscard]] Result<std::uint64_t> counter(VkSemaphore semaphore) const noexcept;

 private:
  void name(VkObjectType type, std::uint64_t handle, std::string_view name) const noexcept;

  VkDevice device_ = VK_NULL_HANDLE;
  PFN_vkCreateBuffer create_buffer_ = nullptr;
  PFN_vkDestroyBuffer destroy_buffer_ = nullptr;
  PFN_vkCreateImage create_image_ = nullptr;
  PFN_vkDestroyImage destroy_image_ = nullptr;
  PFN_vkGetBufferMemoryRequirements2 buffer_needs_ = nullptr;
  PFN_vkGetImageMemoryRequirements2 image_needs_ = nullptr;
  PFN_vkBindBufferMemory bind_buffer_ = nullptr;
  PFN_vkBindImageMemory bind_image_ = nullptr;
  PFN_vkGetBufferDeviceAddress device_address_ = nullptr;
  PFN_vkGetSemaphoreCounterValue counter_ = nullptr;
  PFN_vkSetDebugUtilsObjectNameEXT set_name_ = nullptr;
};

}  // namespace vaspace::vulkan
