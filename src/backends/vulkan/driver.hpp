// What the backend calls: the functions of one device, and a few of its physical device.
//
// Always true: once load() has succeeded, every function is there that every backend calls. Nothing is shared
// with another backend, nor with a volk of the application.
#pragma once

#include "vaspace/backends/vulkan.hpp"

#include "refusal.hpp"
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
  // May be null: who needs them asks first.
  PFN_vkGetPhysicalDeviceQueueFamilyProperties get_queue_families = nullptr;
  PFN_vkGetPhysicalDeviceExternalBufferProperties get_external_buffer_properties = nullptr;
  PFN_vkGetPhysicalDeviceImageFormatProperties2 get_image_format_properties2 = nullptr;
  PFN_vkGetPhysicalDeviceSparseImageFormatProperties2 get_sparse_formats = nullptr;
  VolkDeviceTable functions{};
  // Of Vulkan 1.2, or of the extensions that it took them from; null where neither is enabled.
  PFN_vkGetSemaphoreCounterValue get_counter_value = nullptr;
  PFN_vkWaitSemaphores wait_semaphores = nullptr;
  PFN_vkGetBufferDeviceAddress get_buffer_device_address = nullptr;
  PFN_vkSetDebugUtilsObjectNameEXT set_object_name = nullptr;  // an instance's, where volk has it

  // Errors: as Backend::create.
  [[nodiscard]] static Result<void> load(const BackendConfig& config, Driver& driver) noexcept;
};

}  // namespace vaspace::vulkan
