// The backend's header stands before Vulkan's own here and after it in main.cpp.
// clang-format off
#include "vaspace/backends/vulkan.hpp"

#include <volk.h>
// clang-format on

vaspace::vulkan::BackendConfig config_of(VkInstance instance, VkPhysicalDevice physical, VkDevice device) {
  return {.instance = instance,
          .physical_device = physical,
          .device = device,
          .get_instance_proc_addr = vkGetInstanceProcAddr};
}
