// An instance and the devices that its profiles describe.
#pragma once

#include <memory>
#include <vector>
#include <vulkan/vk_icd.h>

#include "heaps.hpp"
#include "profile.hpp"

namespace vasim {

struct Instance;

// Dispatchable objects begin with what the loader writes its own pointer into.
struct PhysicalDevice {
  VK_LOADER_DATA loader;
  Profile profile;
  Heaps heaps;

  explicit PhysicalDevice(Profile from) : profile(std::move(from)), heaps(profile) {
    set_loader_magic_value(&loader);
  }
};

struct Instance {
  VK_LOADER_DATA loader;
  std::vector<std::unique_ptr<PhysicalDevice>> devices;

  Instance() { set_loader_magic_value(&loader); }
};

inline Instance& from(VkInstance handle) {
  return *reinterpret_cast<Instance*>(handle);
}
inline PhysicalDevice& from(VkPhysicalDevice handle) {
  return *reinterpret_cast<PhysicalDevice*>(handle);
}

// Fills an array in Vulkan's manner: the count where `out` is null, VK_INCOMPLETE where it is too small.
template <class T>
VkResult give(const std::vector<T>& all, std::uint32_t* count, T* out) {
  const auto size = static_cast<std::uint32_t>(all.size());
  if (out == nullptr) {
    *count = size;
    return VK_SUCCESS;
  }
  const bool enough = *count >= size;
  if (enough) *count = size;
  for (std::uint32_t i = 0; i < *count; ++i)
    out[i] = all[i];
  return enough ? VK_SUCCESS : VK_INCOMPLETE;
}

}  // namespace vasim
