#include "profile.hpp"

#include <algorithm>
#include <cstring>

#include "vaspace/base/host_array.hpp"
#include "vaspace/device/profile_checks.hpp"

#include "object_table.hpp"

namespace vaspace::vulkan {

namespace {

MemoryType read_type(const VkMemoryType& type) noexcept {
  const auto has = [&](VkMemoryPropertyFlags bit) { return (type.propertyFlags & bit) != 0; };
  return {.heap = type.heapIndex,
          .device_local = has(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT),
          .host_visible = has(VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT),
          .host_coherent = has(VK_MEMORY_PROPERTY_HOST_COHERENT_BIT),
          .host_cached = has(VK_MEMORY_PROPERTY_HOST_CACHED_BIT),
          .lazily_allocated = has(VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT),
          .protected_memory = has(VK_MEMORY_PROPERTY_PROTECTED_BIT),
          .native_flags = type.propertyFlags};
}

void read_memory(const Driver& driver, DeviceProfile& profile) noexcept {
  VkPhysicalDeviceMemoryProperties2 answer{};
  answer.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
  driver.get_memory_properties2(driver.physical_device, &answer);
  const VkPhysicalDeviceMemoryProperties& memory = answer.memoryProperties;
  profile.heap_count = std::min(memory.memoryHeapCount, kMaxHeaps);
  for (std::uint32_t i = 0; i < profile.heap_count; ++i) {
    const VkMemoryHeap& heap = memory.memoryHeaps[i];
    profile.heaps[i] = {Bytes{heap.size}, (heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0};
  }
  profile.memory_type_count = std::min(memory.memoryTypeCount, kMaxMemoryTypes);
  for (std::uint32_t i = 0; i < profile.memory_type_count; ++i)
    profile.memory_types[i] = read_type(memory.memoryTypes[i]);
}

Result<bool> has_extension(const Driver& driver, const char* name, const HostAllocator& host) noexcept {
  std::uint32_t count = 0;
  VkResult result = driver.enumerate_extensions(driver.physical_device, nullptr, &count, nullptr);
  if (result != VK_SUCCESS) return refusal(result, "vkEnumerateDeviceExtensionProperties");
  HostArray<VkExtensionProperties> list(host);
  if (!list.resize(count)) return fail(ErrorCode::out_of_host_memory);
  result = driver.enumerate_extensions(driver.physical_device, nullptr, &count, list.data());
  if (result != VK_SUCCESS && result != VK_INCOMPLETE)
    return refusal(result, "vkEnumerateDeviceExtensionProperties");
  return std::any_of(list.begin(), list.begin() + count, [&](const VkExtensionProperties& extension) {
    return std::strncmp(extension.extensionName, name, VK_MAX_EXTENSION_NAME_SIZE) == 0;
  });
}

// A device function of an extension is there exactly where the extension is enabled.
void read_external_memory(const Driver& driver, VkDeviceSize host_pointer_alignment, Capabilities& can,
                          DeviceLimits& limits) noexcept {
  can.external_memory = driver.functions.vkGetMemoryFdKHR != nullptr;
  constexpr VkBufferUsageFlags kTransfer =
      VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  limits.export_needs_dedicated = can.external_memory && export_needs_dedicated(driver, 0, kTransfer);
  if (driver.functions.vkGetMemoryHostPointerPropertiesEXT != nullptr)
    limits.host_pointer_alignment = Bytes{std::max<VkDeviceSize>(host_pointer_alignment, 1)};
}

Alignment alignment_of(VkDeviceSize bytes) noexcept {
  const Alignment alignment{bytes};
  return alignment.valid() ? alignment : Alignment{1};
}

ResourceLimits read_resource_limits(const VkPhysicalDeviceLimits& limits, std::uint32_t scratch) noexcept {
  return {.uniform = alignment_of(limits.minUniformBufferOffsetAlignment),
          .storage = alignment_of(limits.minStorageBufferOffsetAlignment),
          .texel = alignment_of(limits.minTexelBufferOffsetAlignment),
          .scratch = alignment_of(scratch),
          .copy = alignment_of(limits.optimalBufferCopyOffsetAlignment),
          .non_coherent_atom = alignment_of(limits.nonCoherentAtomSize),
          .buffer_image_granularity = alignment_of(limits.bufferImageGranularity)};
}

}  // namespace

bool export_needs_dedicated(const Driver& driver, VkBufferCreateFlags flags,
                            VkBufferUsageFlags usage) noexcept {
  if (driver.get_external_buffer_properties == nullptr) return false;
  VkPhysicalDeviceExternalBufferInfo info{};
  info.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO;
  info.flags = flags;
  info.usage = usage;
  info.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  VkExternalBufferProperties answer{};
  answer.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES;
  driver.get_external_buffer_properties(driver.physical_device, &info, &answer);
  return (answer.externalMemoryProperties.externalMemoryFeatures &
          VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT) != 0;
}

Result<bool> export_needs_dedicated(const Driver& driver, const VkImageCreateInfo& image) noexcept {
  if (driver.get_image_format_properties2 == nullptr) return false;
  VkPhysicalDeviceExternalImageFormatInfo external{};
  external.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO;
  external.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  VkPhysicalDeviceImageFormatInfo2 info{};
  info.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2;
  info.pNext = &external;
  info.format = image.format;
  info.type = image.imageType;
  info.tiling = image.tiling;
  info.usage = image.usage;
  info.flags = image.flags;
  VkExternalImageFormatProperties shared{};
  shared.sType = VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES;
  VkImageFormatProperties2 answer{};
  answer.sType = VK_STRUCTURE_TYPE_IMAGE_FORMAT_PROPERTIES_2;
  answer.pNext = &shared;
  const VkResult result = driver.get_image_format_properties2(driver.physical_device, &info, &answer);
  if (result != VK_SUCCESS) return refusal(result, "vkGetPhysicalDeviceImageFormatProperties2");
  const VkExternalMemoryFeatureFlags features = shared.externalMemoryProperties.externalMemoryFeatures;
  if ((features & VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT) == 0) return fail(ErrorCode::not_supported);
  return (features & VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT) != 0;
}

Result<void> read_device(const Driver& driver, const BackendConfig& config, DeviceProfile& profile,
                         DeviceLimits& limits) noexcept {
  VkPhysicalDeviceMaintenance3Properties maintenance3{};
  maintenance3.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES;
  VkPhysicalDeviceExternalMemoryHostPropertiesEXT host_memory{};
  host_memory.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT;
  if (driver.functions.vkGetMemoryHostPointerPropertiesEXT != nullptr) maintenance3.pNext = &host_memory;
  VkPhysicalDeviceAccelerationStructurePropertiesKHR structures{};
  structures.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ACCELERATION_STRUCTURE_PROPERTIES_KHR;
  if (driver.functions.vkCreateAccelerationStructureKHR != nullptr) {
    structures.pNext = maintenance3.pNext;
    maintenance3.pNext = &structures;
  }
  VkPhysicalDeviceProperties2 answer{};
  answer.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  answer.pNext = &maintenance3;
  driver.get_properties2(driver.physical_device, &answer);
  const VkPhysicalDeviceProperties& device = answer.properties;

  set_name(profile, device.deviceName);
  read_memory(driver, profile);
  profile.reservation_granularity = kGranularity;
  Capabilities& can = profile.capabilities;
  can.reserve_commits = true;
  can.map = true;
  can.dedicated = true;
  can.device_address = config.features.buffer_device_address;
  read_external_memory(driver, host_memory.minImportedHostPointerAlignment, can, limits);
  limits.resources =
      read_resource_limits(device.limits, structures.minAccelerationStructureScratchOffsetAlignment);
  limits.sparse_address_space = Bytes{device.limits.sparseAddressSpaceSize};
  limits.strict_holes = device.sparseProperties.residencyNonResidentStrict == VK_TRUE;
  can.max_reservation_size =
      align_down(std::min(Bytes{maintenance3.maxMemoryAllocationSize}, kSlotSize), Alignment{kGranularity});
  limits.max_memory = can.max_reservation_size;
  std::uint32_t objects = std::min(device.limits.maxMemoryAllocationCount, kMaxSlots);
  if (config.max_memory_objects != 0) objects = std::min(objects, config.max_memory_objects);
  can.max_reservations = objects;

  limits.non_coherent_atom = Bytes{std::max<VkDeviceSize>(device.limits.nonCoherentAtomSize, 1)};
  if (!config.memory_budget) return {};
  const auto found = has_extension(driver, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, config.host);
  if (!found) return fail(found.error());
  limits.memory_budget = *found;
  return {};
}

bool allocatable(const MemoryType& type, const DeviceFeatures& features) noexcept {
  VkMemoryPropertyFlags usable = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                 VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT |
                                 VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT;
  if (features.protected_memory) usable |= VK_MEMORY_PROPERTY_PROTECTED_BIT;
  if (features.device_coherent_memory)
    usable |= VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD;
  return (type.native_flags & ~usable) == 0;
}

}  // namespace vaspace::vulkan
