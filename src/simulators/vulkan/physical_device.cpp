// What a physical device says of its memory, queues and extensions.

#include "calls.hpp"
#include "chain.hpp"
#include "instance.hpp"

namespace vasim::api {

void GetPhysicalDeviceFeatures(VkPhysicalDevice device, VkPhysicalDeviceFeatures* out) {
  *out = from(device).profile.features;
}

void GetPhysicalDeviceProperties(VkPhysicalDevice device, VkPhysicalDeviceProperties* out) {
  *out = from(device).profile.properties;
}

void GetPhysicalDeviceMemoryProperties(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties* out) {
  *out = from(device).profile.memory;
}

void GetPhysicalDeviceMemoryProperties2(VkPhysicalDevice handle, VkPhysicalDeviceMemoryProperties2* out) {
  PhysicalDevice& device = from(handle);
  out->memoryProperties = device.profile.memory;
  auto* const budget = find_in_chain<VkPhysicalDeviceMemoryBudgetPropertiesEXT>(
      out->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);
  if (budget == nullptr) return;
  for (std::uint32_t heap = 0; heap < VK_MAX_MEMORY_HEAPS; ++heap) {
    const bool exists = heap < device.profile.memory.memoryHeapCount;
    budget->heapBudget[heap] = exists ? device.heaps.budget(heap) : 0;
    budget->heapUsage[heap] = exists ? device.heaps.used(heap) : 0;
  }
}

void GetPhysicalDeviceQueueFamilyProperties(VkPhysicalDevice device, std::uint32_t* count,
                                            VkQueueFamilyProperties* out) {
  give(from(device).profile.families, count, out);
}

void GetPhysicalDeviceQueueFamilyProperties2(VkPhysicalDevice device, std::uint32_t* count,
                                             VkQueueFamilyProperties2* out) {
  const auto& families = from(device).profile.families;
  const auto size = static_cast<std::uint32_t>(families.size());
  if (out == nullptr || *count > size) *count = size;
  if (out == nullptr) return;
  for (std::uint32_t i = 0; i < *count; ++i)
    out[i].queueFamilyProperties = families[i];
}

VkResult EnumerateDeviceExtensionProperties(VkPhysicalDevice device, const char* layer, std::uint32_t* count,
                                            VkExtensionProperties* out) {
  if (layer != nullptr) return VK_ERROR_LAYER_NOT_PRESENT;
  return give(from(device).profile.extensions, count, out);
}

VkResult EnumerateDeviceLayerProperties(VkPhysicalDevice, std::uint32_t* count, VkLayerProperties*) {
  *count = 0;
  return VK_SUCCESS;
}

void GetPhysicalDeviceExternalBufferProperties(VkPhysicalDevice device,
                                               const VkPhysicalDeviceExternalBufferInfo* info,
                                               VkExternalBufferProperties* out) {
  out->externalMemoryProperties = external_memory(from(device).profile, info->handleType);
}

void GetPhysicalDeviceExternalFenceProperties(VkPhysicalDevice, const VkPhysicalDeviceExternalFenceInfo*,
                                              VkExternalFenceProperties* out) {
  out->exportFromImportedHandleTypes = out->compatibleHandleTypes = 0;
  out->externalFenceFeatures = 0;
}

void GetPhysicalDeviceExternalSemaphoreProperties(VkPhysicalDevice,
                                                  const VkPhysicalDeviceExternalSemaphoreInfo*,
                                                  VkExternalSemaphoreProperties* out) {
  out->exportFromImportedHandleTypes = out->compatibleHandleTypes = 0;
  out->externalSemaphoreFeatures = 0;
}

}  // namespace vasim::api

namespace vasim {

VkExternalMemoryProperties external_memory(const Profile& profile, VkExternalMemoryHandleTypeFlagBits type) {
  VkExternalMemoryProperties out{};
  if (type == VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT &&
      profile.has(VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME)) {
    out.externalMemoryFeatures = VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT;
    if (profile.fd_exportable) out.externalMemoryFeatures |= VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT;
    if (profile.fd_dedicated_only)
      out.externalMemoryFeatures |= VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT;
    out.exportFromImportedHandleTypes = profile.fd_exportable ? type : 0;
    out.compatibleHandleTypes = type;
  }
  if (type == VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT &&
      profile.has(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME)) {
    out.externalMemoryFeatures = VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT;
    out.compatibleHandleTypes = type;
  }
  return out;
}

}  // namespace vasim
