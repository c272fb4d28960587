// Objects that matter to pipelines only. They are kept, counted and checked as handles; nothing is done with
// them.
#pragma once

#include "device.hpp"

namespace vasim {

struct Opaque : Object {
  using Object::Object;
};

// A pool takes its descriptor sets with it.
void free_sets_of(Device& device, std::uint64_t pool);

template <class Function>
struct CreateOpaque;

template <class Info, class Handle>
struct CreateOpaque<VkResult (*)(VkDevice, const Info*, const VkAllocationCallbacks*, Handle*)> {
  template <VkObjectType kType>
  static VkResult create(VkDevice device, const Info*, const VkAllocationCallbacks*, Handle* out) {
    *out = from(device).objects.add<Handle>(std::make_shared<Opaque>(kType));
    return VK_SUCCESS;
  }
  template <VkObjectType kType>
  static void destroy(VkDevice device, Handle handle, const VkAllocationCallbacks*) {
    if constexpr (kType == VK_OBJECT_TYPE_DESCRIPTOR_POOL) free_sets_of(from(device), number_of(handle));
    from(device).objects.remove(handle, kType);
  }
};

}  // namespace vasim
