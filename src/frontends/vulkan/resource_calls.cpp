#include "resource_calls.hpp"

#include <cstring>

namespace vaspace::vulkan {

namespace {

template <class Function>
bool find(const Backend& backend, const char* name, Function& function) noexcept {
  function = reinterpret_cast<Function>(backend.function(name));
  return function != nullptr;
}

Needs needs_of(const VkMemoryRequirements& needs, const VkMemoryDedicatedRequirements& dedicated) noexcept {
  Needs answer;
  answer.memory = {.size = Bytes{needs.size},
                   .alignment = Alignment{needs.alignment},
                   .memory_type_bits = needs.memoryTypeBits};
  if (dedicated.requiresDedicatedAllocation == VK_TRUE) {
    answer.dedicated = DedicatedWish::required;
  } else if (dedicated.prefersDedicatedAllocation == VK_TRUE) {
    answer.dedicated = DedicatedWish::preferred;
  }
  return answer;
}

Result<void> result_of(VkResult result, const char* function) noexcept {
  if (result != VK_SUCCESS) return refusal(result, function);
  return {};
}

}  // namespace

Result<ResourceCalls> ResourceCalls::load(const Backend& backend) noexcept {
  ResourceCalls calls;
  calls.device_ = backend.device();
  const bool complete = find(backend, "vkCreateBuffer", calls.create_buffer_) &&
                        find(backend, "vkDestroyBuffer", calls.destroy_buffer_) &&
                        find(backend, "vkCreateImage", calls.create_image_) &&
                        find(backend, "vkDestroyImage", calls.destroy_image_) &&
                        find(backend, "vkGetBufferMemoryRequirements2", calls.buffer_needs_) &&
                        find(backend, "vkGetImageMemoryRequirements2", calls.image_needs_) &&
                        find(backend, "vkBindBufferMemory", calls.bind_buffer_) &&
                        find(backend, "vkBindImageMemory", calls.bind_image_);
  if (!complete) return fail(ErrorCode::driver_error);
  // What is not enabled is not there.
  (void)find(backend, "vkGetBufferDeviceAddress", calls.device_address_);
  (void)find(backend, "vkGetSemaphoreCounterValue", calls.counter_);
  (void)find(backend, "vkSetDebugUtilsObjectNameEXT", calls.set_name_);
  return calls;
}

Result<VkBuffer> ResourceCalls::create(const VkBufferCreateInfo& info) const noexcept {
  VkBuffer buffer = VK_NULL_HANDLE;
  const VkResult result = create(info, buffer);
  if (result != VK_SUCCESS) return refusal(result, "vkCreateBuffer");
  return buffer;
}

Result<VkImage> ResourceCalls::create(const VkImageCreateInfo& info) const noexcept {
  VkImage image = VK_NULL_HANDLE;
  const VkResult result = create(info, image);
  if (result != VK_SUCCESS) return refusal(result, "vkCreateImage");
  return image;
}

Needs ResourceCalls::needs(VkBuffer buffer) const noexcept {
  VkBufferMemoryRequirementsInfo2 info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2;
  info.buffer = buffer;
  VkMemoryDedicatedRequirements dedicated{};
  dedicated.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS;
  VkMemoryRequirements2 answer{};
  answer.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2;
  answer.pNext = &dedicated;
  buffer_needs_(device_, &info, &answer);
  return needs_of(answer.memoryRequirements, dedicated);
}

Needs ResourceCalls::needs(VkImage image) const noexcept {
  VkImageMemoryRequirementsInfo2 info{};
  info.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2;
  info.image = image;
  VkMemoryDedicatedRequirements dedicated{};
  dedicated.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS;
  VkMemoryRequirements2 answer{};
  answer.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2;
  answer.pNext = &dedicated;
  image_needs_(device_, &info, &answer);
  return needs_of(answer.memoryRequirements, dedicated);
}

Result<void> ResourceCalls::bind(VkBuffer buffer, const HeapAllocation& memory) const noexcept {
  return result_of(try_bind(buffer, memory), "vkBindBufferMemory");
}

Result<void> ResourceCalls::bind(VkImage image, const HeapAllocation& memory) const noexcept {
  return result_of(try_bind(image, memory), "vkBindImageMemory");
}

std::uint64_t ResourceCalls::device_address(VkBuffer buffer) const noexcept {
  if (device_address_ == nullptr) return 0;
  VkBufferDeviceAddressInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO;
  info.buffer = buffer;
  return device_address_(device_, &info);
}

void ResourceCalls::name(VkObjectType type, std::uint64_t handle, std::string_view name) const noexcept {
  if (set_name_ == nullptr) return;
  char text[kLongestName + 1]{};
  const std::string_view fits = clipped(name);
  std::memcpy(text, fits.data(), fits.size());
  VkDebugUtilsObjectNameInfoEXT info{};
  info.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT;
  info.objectType = type;
  info.objectHandle = handle;
  info.pObjectName = text;
  (void)set_name_(device_, &info);
}

Result<std::uint64_t> ResourceCalls::counter(VkSemaphore semaphore) const noexcept {
  if (counter_ == nullptr) return fail(ErrorCode::not_supported);
  std::uint64_t value = 0;
  const VkResult result = counter_(device_, semaphore, &value);
  if (result != VK_SUCCESS) return refusal(result, "vkGetSemaphoreCounterValue");
  return value;
}

}  // namespace vaspace::vulkan
