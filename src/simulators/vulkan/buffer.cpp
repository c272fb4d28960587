#include "buffer.hpp"

#include <algorithm>

#include "calls.hpp"
#include "chain.hpp"
#include "device.hpp"
#include "requirements.hpp"

namespace vasim {
namespace {

VkDeviceSize round_up(VkDeviceSize value, VkDeviceSize alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

VkDeviceSize alignment_of(const Profile& profile, const VkBufferCreateInfo& info) {
  VkDeviceSize alignment = profile.buffer_alignment;
  if ((info.usage & VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT) != 0)
    alignment = std::max(alignment, profile.uniform_buffer_alignment);
  constexpr VkBufferUsageFlags kTexel =
      VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT;
  if ((info.usage & kTexel) != 0) alignment = std::max(alignment, profile.texel_buffer_alignment);
  if ((info.usage & VK_BUFFER_USAGE_STORAGE_BUFFER_BIT) != 0)
    alignment = std::max(alignment, profile.properties.limits.minStorageBufferOffsetAlignment);
  if ((info.flags & VK_BUFFER_CREATE_SPARSE_BINDING_BIT) != 0)
    alignment = std::max(alignment, profile.sparse_block);
  return alignment;
}

// Which features a create flag needs; D8 where the device was created without.
void check_features(const Device& device, const VkBufferCreateInfo& info) {
  const VkPhysicalDeviceFeatures& on = device.features;
  const struct {
    VkBufferCreateFlags flag;
    VkBool32 enabled;
    const char* name;
  } needs[] = {{VK_BUFFER_CREATE_SPARSE_BINDING_BIT, on.sparseBinding, "sparseBinding"},
               {VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT, on.sparseResidencyBuffer, "sparseResidencyBuffer"},
               {VK_BUFFER_CREATE_SPARSE_ALIASED_BIT, on.sparseResidencyAliased, "sparseResidencyAliased"}};
  for (const auto& need : needs)
    if ((info.flags & need.flag) != 0 && !need.enabled)
      report("D8", "vkCreateBuffer", text("the feature %s is not enabled", need.name));
  if ((info.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0 && !device.address)
    report("D8", "vkCreateBuffer", "the feature bufferDeviceAddress is not enabled");
}

}  // namespace

Buffer::Buffer(const Device& device, const VkBufferCreateInfo& info)
    : Resource(kType, true), size(info.size), usage(info.usage) {
  sparse = (info.flags & VK_BUFFER_CREATE_SPARSE_BINDING_BIT) != 0;
  residency = (info.flags & VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT) != 0;
  aliased = (info.flags & VK_BUFFER_CREATE_SPARSE_ALIASED_BIT) != 0;
  protected_memory = (info.flags & VK_BUFFER_CREATE_PROTECTED_BIT) != 0;
  strict_holes = device.profile.properties.sparseProperties.residencyNonResidentStrict == VK_TRUE;
  device_address = (info.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0;
  const auto* const shared = find_in_chain<VkExternalMemoryBufferCreateInfo>(
      info.pNext, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO);
  if (shared != nullptr) external = shared->handleTypes;
  requirements.alignment = alignment_of(device.profile, info);
  requirements.size = round_up(info.size, requirements.alignment);
  requirements.memoryTypeBits = memory_type_bits(device.profile, kBuffers, *this);
}

namespace api {

VkResult CreateBuffer(VkDevice handle, const VkBufferCreateInfo* info, const VkAllocationCallbacks*,
                      VkBuffer* out) {
  Device& device = from(handle);
  check_features(device, *info);
  if (info->size == 0 || info->size > device.profile.max_buffer_size) {
    // maxBufferSize is what maintenance4 says; without it the device just has not the memory.
    if (info->size == 0) report("D6", "vkCreateBuffer", "the size is 0");
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  }
  auto buffer = std::make_shared<Buffer>(device, *info);
  if (!take_sparse_address_space(device, *buffer)) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  if (buffer->sparse && buffer->device_address) {
    const std::lock_guard lock(device.mutex);
    buffer->address = device.next_address;
    device.next_address += round_up(buffer->requirements.size, device.profile.sparse_block);
  }
  *out = device.objects.add<VkBuffer>(std::move(buffer));
  return VK_SUCCESS;
}

void DestroyBuffer(VkDevice handle, VkBuffer buffer, const VkAllocationCallbacks*) {
  Device& device = from(handle);
  const auto object = device.objects.remove(buffer, Buffer::kType);
  if (object != nullptr) release_resource(device, static_cast<Resource&>(*object));
}

void GetBufferMemoryRequirements(VkDevice handle, VkBuffer buffer, VkMemoryRequirements* out) {
  const auto object = from(handle).objects.find<Buffer>(buffer);
  if (object != nullptr) *out = object->requirements;
}

void GetBufferMemoryRequirements2(VkDevice handle, const VkBufferMemoryRequirementsInfo2* info,
                                  VkMemoryRequirements2* out) {
  const auto object = from(handle).objects.find<Buffer>(info->buffer);
  if (object == nullptr) return;
  out->memoryRequirements = object->requirements;
  fill_dedicated(*object, out->pNext);
}

void GetDeviceBufferMemoryRequirementsKHR(VkDevice handle, const VkDeviceBufferMemoryRequirements* info,
                                          VkMemoryRequirements2* out) {
  const Buffer buffer(from(handle), *info->pCreateInfo);
  out->memoryRequirements = buffer.requirements;
  fill_dedicated(buffer, out->pNext);
}

VkDeviceAddress GetBufferDeviceAddressKHR(VkDevice handle, const VkBufferDeviceAddressInfo* info) {
  Device& device = from(handle);
  const auto buffer = device.objects.find<Buffer>(info->buffer);
  if (buffer == nullptr) return 0;
  if (!buffer->device_address) {
    report("V9", buffer->describe(), "was created without SHADER_DEVICE_ADDRESS");
    return 0;
  }
  if (buffer->sparse) return buffer->address;
  const std::lock_guard lock(device.mutex);
  if (buffer->memory != nullptr) return buffer->memory->address + buffer->memory_offset;
  report("D7", buffer->describe(), "its address is asked for before memory is bound");
  return 0;
}

// Nothing here can be captured and replayed: the feature bufferDeviceAddressCaptureReplay is not reported.
std::uint64_t GetBufferOpaqueCaptureAddressKHR(VkDevice, const VkBufferDeviceAddressInfo*) {
  return 0;
}
std::uint64_t GetDeviceMemoryOpaqueCaptureAddressKHR(VkDevice,
                                                     const VkDeviceMemoryOpaqueCaptureAddressInfo*) {
  return 0;
}

}  // namespace api
}  // namespace vasim
