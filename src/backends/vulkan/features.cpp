#include "vaspace/backends/vulkan.hpp"

#include "profile.hpp"

namespace vaspace::vulkan {

namespace {

template <class T>
const T& as(const VkBaseInStructure* structure) noexcept {
  return *reinterpret_cast<const T*>(structure);
}

void read_core(const VkPhysicalDeviceFeatures& core, DeviceFeatures& out) noexcept {
  out.sparse_binding |= core.sparseBinding == VK_TRUE;
  out.sparse_residency_buffer |= core.sparseResidencyBuffer == VK_TRUE;
  out.sparse_residency_aliased |= core.sparseResidencyAliased == VK_TRUE;
  out.sparse_residency_image_2d |= core.sparseResidencyImage2D == VK_TRUE;
  out.sparse_residency_image_3d |= core.sparseResidencyImage3D == VK_TRUE;
}

void read_chained(const VkBaseInStructure* structure, DeviceFeatures& out) noexcept {
  switch (structure->sType) {
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2:
      return read_core(as<VkPhysicalDeviceFeatures2>(structure).features, out);
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES:
      out.protected_memory |= as<VkPhysicalDeviceVulkan11Features>(structure).protectedMemory == VK_TRUE;
      return;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES:
      out.buffer_device_address |=
          as<VkPhysicalDeviceVulkan12Features>(structure).bufferDeviceAddress == VK_TRUE;
      out.timeline_semaphore |= as<VkPhysicalDeviceVulkan12Features>(structure).timelineSemaphore == VK_TRUE;
      return;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROTECTED_MEMORY_FEATURES:
      out.protected_memory |=
          as<VkPhysicalDeviceProtectedMemoryFeatures>(structure).protectedMemory == VK_TRUE;
      return;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES:
      out.buffer_device_address |=
          as<VkPhysicalDeviceBufferDeviceAddressFeatures>(structure).bufferDeviceAddress == VK_TRUE;
      return;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES:
      out.timeline_semaphore |=
          as<VkPhysicalDeviceTimelineSemaphoreFeatures>(structure).timelineSemaphore == VK_TRUE;
      return;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PRIORITY_FEATURES_EXT:
      out.memory_priority |=
          as<VkPhysicalDeviceMemoryPriorityFeaturesEXT>(structure).memoryPriority == VK_TRUE;
      return;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COHERENT_MEMORY_FEATURES_AMD:
      out.device_coherent_memory |=
          as<VkPhysicalDeviceCoherentMemoryFeaturesAMD>(structure).deviceCoherentMemory == VK_TRUE;
      return;
    default:
      return;
  }
}

}  // namespace

DeviceFeatures features_of(const VkDeviceCreateInfo& info) noexcept {
  DeviceFeatures features;
  if (info.pEnabledFeatures != nullptr) read_core(*info.pEnabledFeatures, features);
  for (auto* next = static_cast<const VkBaseInStructure*>(info.pNext); next != nullptr; next = next->pNext)
    read_chained(next, features);
  return features;
}

const char* missing_feature(const DeviceProfile& profile, std::uint32_t memory_type_bits,
                            const DeviceFeatures& features) noexcept {
  DeviceFeatures all = features;
  all.protected_memory = all.device_coherent_memory = true;
  const char* missing = nullptr;
  for (std::uint32_t type = 0; type < profile.memory_type_count; ++type) {
    const MemoryType& one = profile.memory_types[type];
    if ((memory_type_bits >> type & 1U) == 0 || !allocatable(one, all)) continue;
    if (allocatable(one, features)) return nullptr;
    const bool guarded = one.protected_memory && !features.protected_memory;
    missing = guarded ? "protectedMemory" : "deviceCoherentMemory";
  }
  return missing;
}

}  // namespace vaspace::vulkan
