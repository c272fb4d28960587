#include "requirements.hpp"

#include <algorithm>

#include "chain.hpp"
#include "device.hpp"

namespace vasim {

std::uint32_t memory_type_bits(const Profile& profile, std::uint32_t content, const Resource& resource) {
  std::uint32_t bits = 0;
  for (std::uint32_t type = 0; type < profile.memory.memoryTypeCount; ++type) {
    const VkMemoryPropertyFlags flags = profile.memory.memoryTypes[type].propertyFlags;
    const bool lazy = (flags & VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT) != 0;
    const bool is_protected = (flags & VK_MEMORY_PROPERTY_PROTECTED_BIT) != 0;
    if ((profile.contents[type] & content) == 0) continue;
    if (is_protected != resource.protected_memory) continue;  // V15
    if (lazy && !resource.transient) continue;                // V14
    bits |= 1U << type;
  }
  return bits;
}

void fill_dedicated(const Resource& resource, void* next) {
  auto* const out =
      find_in_chain<VkMemoryDedicatedRequirements>(next, VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS);
  if (out == nullptr) return;
  out->requiresDedicatedAllocation = resource.needs_dedicated;
  out->prefersDedicatedAllocation = resource.prefers_dedicated || resource.needs_dedicated;
}

bool take_sparse_address_space(Device& device, Resource& resource) {
  if (!resource.sparse) return true;
  const std::lock_guard lock(device.mutex);
  const VkDeviceSize limit = device.profile.properties.limits.sparseAddressSpaceSize;
  const VkDeviceSize size = resource.requirements.size;
  if (size > limit || device.sparse_bytes > limit - size) {
    report("V30", resource.describe(),
           text("%llu bytes beside %llu that live exceed sparseAddressSpaceSize %llu",
                static_cast<unsigned long long>(size), static_cast<unsigned long long>(device.sparse_bytes),
                static_cast<unsigned long long>(limit)));
    return false;
  }
  device.sparse_bytes += size;
  return true;
}

void release_resource(Device& device, Resource& resource) {
  const std::lock_guard lock(device.mutex);
  check_unused(device, resource, "destroyed");
  resource.destroyed = true;
  if (resource.sparse) device.sparse_bytes -= resource.requirements.size;
  if (resource.memory != nullptr) {
    auto& residents = resource.memory->residents;
    residents.erase(std::remove(residents.begin(), residents.end(), &resource), residents.end());
  }
  for (const auto& memory : resource.sparse_memories)
    memory->sparse_residents.erase(&resource);
  resource.sparse_memories.clear();
}

}  // namespace vasim
