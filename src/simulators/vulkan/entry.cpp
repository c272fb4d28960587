// What the driver exports, for the loader and for vasim_vulkan.h.
#include <cstring>
#include <vulkan/vk_icd.h>

#include "device.hpp"
#include "dispatch.hpp"
#include "instance.hpp"

#define VASIM_EXPORT extern "C" __attribute__((visibility("default")))

namespace vasim::api {

PFN_vkVoidFunction GetInstanceProcAddr(VkInstance, const char* name) {
  const Command* const command = find_command(name);
  return command == nullptr ? nullptr : command->function;
}

PFN_vkVoidFunction GetDeviceProcAddr(VkDevice device, const char* name) {
  const Command* const command = find_command(name);
  if (command == nullptr || command->scope != Scope::Device) return nullptr;
  // The loader implements VK_EXT_debug_utils for instances and asks devices for its functions whatever they
  // enabled.
  const bool enabled = command->extension.empty() ||
                       command->extension == VK_EXT_DEBUG_UTILS_EXTENSION_NAME ||
                       from(device).has(std::string(command->extension).c_str());
  return enabled ? command->function : nullptr;
}

}  // namespace vasim::api

VASIM_EXPORT VKAPI_ATTR VkResult VKAPI_CALL vk_icdNegotiateLoaderICDInterfaceVersion(std::uint32_t* version) {
  // 5: the loader hands on the application's version. 7 asks for nothing that is not exported here anyway.
  if (*version < 5) return VK_ERROR_INCOMPATIBLE_DRIVER;
  if (*version > CURRENT_LOADER_ICD_INTERFACE_VERSION) *version = CURRENT_LOADER_ICD_INTERFACE_VERSION;
  return VK_SUCCESS;
}

VASIM_EXPORT VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetPhysicalDeviceProcAddr(VkInstance,
                                                                                      const char* name) {
  const vasim::Command* const command = vasim::find_command(name);
  return command != nullptr && command->scope == vasim::Scope::Physical ? command->function : nullptr;
}

VASIM_EXPORT VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetInstanceProcAddr(VkInstance instance,
                                                                                const char* name) {
  if (std::strcmp(name, "vk_icdNegotiateLoaderICDInterfaceVersion") == 0)
    return reinterpret_cast<PFN_vkVoidFunction>(&vk_icdNegotiateLoaderICDInterfaceVersion);
  if (std::strcmp(name, "vk_icdGetPhysicalDeviceProcAddr") == 0)
    return reinterpret_cast<PFN_vkVoidFunction>(&vk_icdGetPhysicalDeviceProcAddr);
  return vasim::api::GetInstanceProcAddr(instance, name);
}
