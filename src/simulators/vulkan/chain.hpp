// Looking through pNext.
#pragma once

#include <vulkan/vulkan_core.h>

namespace vasim {

template <class T>
const T* find_in_chain(const void* next, VkStructureType type) {
  for (auto* one = static_cast<const VkBaseInStructure*>(next); one != nullptr; one = one->pNext)
    if (one->sType == type) return reinterpret_cast<const T*>(one);
  return nullptr;
}

template <class T>
T* find_in_chain(void* next, VkStructureType type) {
  for (auto* one = static_cast<VkBaseOutStructure*>(next); one != nullptr; one = one->pNext)
    if (one->sType == type) return reinterpret_cast<T*>(one);
  return nullptr;
}

}  // namespace vasim
