// The structures behind pNext of features and properties.
#include <cstddef>
#include <cstring>

#include "calls.hpp"
#include "instance.hpp"

namespace vasim {
namespace {

// All members after sType and pNext are VkBool32: sets the first `count` of those.
void set_bools(VkBaseOutStructure* structure, std::size_t count, bool value) {
  auto* const first = reinterpret_cast<VkBool32*>(structure + 1);
  for (std::size_t i = 0; i < count; ++i)
    first[i] = value ? VK_TRUE : VK_FALSE;
}

void fill_feature(const Profile& profile, VkBaseOutStructure* next) {
  switch (next->sType) {
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES:
      return set_bools(next, 4, false);
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MULTIVIEW_FEATURES:
      return set_bools(next, 3, false);
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VARIABLE_POINTERS_FEATURES:
      return set_bools(next, 2, false);
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROTECTED_MEMORY_FEATURES:
      return set_bools(next, 1, profile.protected_memory);
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SAMPLER_YCBCR_CONVERSION_FEATURES:
      return set_bools(next, 1, false);
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_DRAW_PARAMETERS_FEATURES:
      return set_bools(next, 1, false);
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES:
      return set_bools(next, 1, profile.has(VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME));
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES: {
      set_bools(next, 3, false);
      return set_bools(next, 1, profile.has(VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME));
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SYNCHRONIZATION_2_FEATURES:
      return set_bools(next, 1, profile.has(VK_KHR_SYNCHRONIZATION_2_EXTENSION_NAME));
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES:
      return set_bools(next, 1, profile.has(VK_KHR_MAINTENANCE_4_EXTENSION_NAME));
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PRIORITY_FEATURES_EXT:
      return set_bools(next, 1, profile.has(VK_EXT_MEMORY_PRIORITY_EXTENSION_NAME));
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PAGEABLE_DEVICE_LOCAL_MEMORY_FEATURES_EXT:
      return set_bools(next, 1, profile.has(VK_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_EXTENSION_NAME));
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DEVICE_MEMORY_REPORT_FEATURES_EXT:
      return set_bools(next, 1, profile.has(VK_EXT_DEVICE_MEMORY_REPORT_EXTENSION_NAME));
    default:
      return;  // a structure of an extension that this driver has not stays as it is
  }
}

template <class T>
T& as(VkBaseOutStructure* next) {
  return *reinterpret_cast<T*>(next);
}

template <std::size_t N>
void write(char (&to)[N], const std::string& from) {
  std::strncpy(to, from.c_str(), N - 1);
  to[N - 1] = '\0';
}

void fill_ids(const Profile& profile, VkPhysicalDeviceIDProperties& out) {
  std::memset(out.deviceUUID, 0, VK_UUID_SIZE);
  std::memcpy(out.deviceUUID, "vasim", 5);
  out.deviceUUID[VK_UUID_SIZE - 1] = static_cast<std::uint8_t>(profile.properties.deviceID);
  std::memcpy(out.driverUUID, "vasim vulkan    ", VK_UUID_SIZE);
  std::memset(out.deviceLUID, 0, VK_LUID_SIZE);
  out.deviceNodeMask = 0;
  out.deviceLUIDValid = VK_FALSE;
}

void fill_property(const Profile& profile, VkBaseOutStructure* next) {
  switch (next->sType) {
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES:
      return fill_ids(profile, as<VkPhysicalDeviceIDProperties>(next));
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES: {
      auto& out = as<VkPhysicalDeviceMaintenance3Properties>(next);
      out.maxPerSetDescriptors = 1U << 20U;
      out.maxMemoryAllocationSize = profile.max_allocation_size;
      return;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES:
      as<VkPhysicalDeviceMaintenance4Properties>(next).maxBufferSize = profile.max_buffer_size;
      return;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MULTIVIEW_PROPERTIES: {
      auto& out = as<VkPhysicalDeviceMultiviewProperties>(next);
      out.maxMultiviewViewCount = 6;
      out.maxMultiviewInstanceIndex = (1U << 27U) - 1;
      return;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_POINT_CLIPPING_PROPERTIES:
      as<VkPhysicalDevicePointClippingProperties>(next).pointClippingBehavior =
          VK_POINT_CLIPPING_BEHAVIOR_ALL_CLIP_PLANES;
      return;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROTECTED_MEMORY_PROPERTIES:
      as<VkPhysicalDeviceProtectedMemoryProperties>(next).protectedNoFault = VK_FALSE;
      return;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES: {
      auto& out = as<VkPhysicalDeviceSubgroupProperties>(next);
      out.subgroupSize = 32;
      out.supportedStages = VK_SHADER_STAGE_COMPUTE_BIT;
      out.supportedOperations = VK_SUBGROUP_FEATURE_BASIC_BIT;
      out.quadOperationsInAllStages = VK_FALSE;
      return;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_PROPERTIES:
      as<VkPhysicalDeviceTimelineSemaphoreProperties>(next).maxTimelineSemaphoreValueDifference = UINT64_MAX;
      return;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT:
      as<VkPhysicalDeviceExternalMemoryHostPropertiesEXT>(next).minImportedHostPointerAlignment =
          profile.host_pointer_alignment;
      return;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES: {
      auto& out = as<VkPhysicalDeviceDriverProperties>(next);
      out.driverID = static_cast<VkDriverId>(0);  // none of the registered ones
      write(out.driverName, "vasim");
      write(out.driverInfo, "profile " + profile.driver_info);
      out.conformanceVersion = {0, 0, 0, 0};
      return;
    }
    default:
      return;
  }
}

}  // namespace

namespace api {

void GetPhysicalDeviceFeatures2(VkPhysicalDevice device, VkPhysicalDeviceFeatures2* out) {
  GetPhysicalDeviceFeatures(device, &out->features);
  for (auto* next = static_cast<VkBaseOutStructure*>(out->pNext); next != nullptr; next = next->pNext)
    fill_feature(from(device).profile, next);
}

void GetPhysicalDeviceProperties2(VkPhysicalDevice device, VkPhysicalDeviceProperties2* out) {
  GetPhysicalDeviceProperties(device, &out->properties);
  for (auto* next = static_cast<VkBaseOutStructure*>(out->pNext); next != nullptr; next = next->pNext)
    fill_property(from(device).profile, next);
}

}  // namespace api
}  // namespace vasim
