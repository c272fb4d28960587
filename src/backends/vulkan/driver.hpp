// What the backend calls: the functions of one device, and a few of its physical device.
//
// Always true: once load() has succeeded, every function that the backend calls is there. Nothing is shared
// with another backend, nor with a volk of the application.
#pragma once

#include "vaspace/backends/vulkan.hpp"

#include "volk_table.h"

namespace vaspace::vulkan {

// The loader library, open as long as this lives; empty when the application brought its own functions.
class Loader {
 public:
  Loader() noexcept = default;
  Loader(Loader&& other) noexcept;
  Loader& operator=(Loader&& other) noexcept;
  ~Loader();

  // Errors: io_error.
  [[nodiscard]] static Result<Loader> open(const char* name) noexcept;
  [[nodiscard]] PFN_vkVoidFunction symbol(const char* name) const noexcept;

 private:
  void* library_ = nullptr;
};

struct Driver {
  Loader loader;
  VkPhysicalDevice physical_device = VK_NULL_HANDLE;
  VkDevice device = VK_NULL_HANDLE;
  PFN_vkGetPhysicalDeviceProperties get_properties = nullptr;
  PFN_vkGetPhysicalDeviceProperties2 get_properties2 = nullptr;
  PFN_vkGetPhysicalDeviceMemoryProperties2 get_memory_properties2 = nullptr;
  PFN_vkEnumerateDeviceExtensionProperties enumerate_extensions = nullptr;
  VolkDeviceTable functions{};

  // Errors: as Backend::create.
  [[nodiscard]] static Result<void> load(const BackendConfig& config, Driver& driver) noexcept;
};

// The library's word for a VkResult that is no success; the number itself goes along as Error::native.
[[nodiscard]] tl::unexpected<Error> refusal(VkResult result) noexcept;

}  // namespace vaspace::vulkan
