#include "instance.hpp"

#include <cstring>
#include <stdexcept>

#include "calls.hpp"
#include "driver.hpp"

namespace vasim {
namespace {

// The instance's extensions were all made core by 1.1; older programs still ask for them.
const std::vector<VkExtensionProperties>& instance_extensions() {
  static const std::vector<VkExtensionProperties> all = {
      {VK_KHR_GET_PHYSICAL_DEVICE_PROPERTIES_2_EXTENSION_NAME, 2},
      {VK_KHR_DEVICE_GROUP_CREATION_EXTENSION_NAME, 1},
      {VK_KHR_EXTERNAL_MEMORY_CAPABILITIES_EXTENSION_NAME, 1},
      {VK_KHR_EXTERNAL_SEMAPHORE_CAPABILITIES_EXTENSION_NAME, 1},
      {VK_KHR_EXTERNAL_FENCE_CAPABILITIES_EXTENSION_NAME, 1},
      {VK_EXT_DEBUG_UTILS_EXTENSION_NAME, 2}};
  return all;
}

std::vector<std::string> wanted_profiles(const Settings& settings) {
  std::vector<std::string> names;
  for (const std::string& name : settings.profiles) {
    if (name != "all") {
      names.push_back(name);
      continue;
    }
    for (std::string& one : profile_names())
      names.push_back(std::move(one));
  }
  return names;
}

void add_devices(Instance& instance) {
  Driver& here = driver();
  const std::lock_guard lock(here.mutex);
  for (const std::string& name : wanted_profiles(here.settings)) {
    instance.devices.push_back(std::make_unique<PhysicalDevice>(read_profile(name)));
    instance.devices.back()->heaps.configure(here.settings.other_usage);
  }
  for (const auto& device : instance.devices)
    here.physical_devices.insert(device.get());
}

}  // namespace

namespace api {

VkResult CreateInstance(const VkInstanceCreateInfo* info, const VkAllocationCallbacks*, VkInstance* out) {
  for (std::uint32_t i = 0; i < info->enabledExtensionCount; ++i) {
    bool known = false;
    for (const VkExtensionProperties& one : instance_extensions())
      known = known || std::strcmp(one.extensionName, info->ppEnabledExtensionNames[i]) == 0;
    if (!known) return VK_ERROR_EXTENSION_NOT_PRESENT;
  }
  if (!begin_instance()) return VK_ERROR_INITIALIZATION_FAILED;
  try {
    auto instance = std::make_unique<Instance>();
    add_devices(*instance);
    *out = reinterpret_cast<VkInstance>(instance.release());
    return VK_SUCCESS;
  } catch (const std::bad_alloc&) {
    end_instance();
    return VK_ERROR_OUT_OF_HOST_MEMORY;
  } catch (const std::exception& error) {
    complain(error.what());
    end_instance();
    return VK_ERROR_INITIALIZATION_FAILED;
  }
}

void DestroyInstance(VkInstance instance, const VkAllocationCallbacks*) {
  if (instance == VK_NULL_HANDLE) return;
  {
    Driver& here = driver();
    const std::lock_guard lock(here.mutex);
    for (const auto& device : from(instance).devices)
      here.physical_devices.erase(device.get());
  }
  delete &from(instance);
  end_instance();
}

VkResult EnumerateInstanceVersion(std::uint32_t* version) {
  *version = VK_HEADER_VERSION_COMPLETE;
  return VK_SUCCESS;
}

VkResult EnumerateInstanceExtensionProperties(const char* layer, std::uint32_t* count,
                                              VkExtensionProperties* out) {
  if (layer != nullptr) return VK_ERROR_LAYER_NOT_PRESENT;
  return give(instance_extensions(), count, out);
}

VkResult EnumerateInstanceLayerProperties(std::uint32_t* count, VkLayerProperties*) {
  *count = 0;
  return VK_SUCCESS;
}

VkResult EnumeratePhysicalDevices(VkInstance instance, std::uint32_t* count, VkPhysicalDevice* out) {
  std::vector<VkPhysicalDevice> all;
  for (const auto& device : from(instance).devices)
    all.push_back(reinterpret_cast<VkPhysicalDevice>(device.get()));
  return give(all, count, out);
}

VkResult EnumeratePhysicalDeviceGroups(VkInstance instance, std::uint32_t* count,
                                       VkPhysicalDeviceGroupProperties* out) {
  const auto& devices = from(instance).devices;
  if (out == nullptr) {
    *count = static_cast<std::uint32_t>(devices.size());
    return VK_SUCCESS;
  }
  const bool enough = *count >= devices.size();
  if (enough) *count = static_cast<std::uint32_t>(devices.size());
  for (std::uint32_t i = 0; i < *count; ++i) {
    out[i].physicalDeviceCount = 1;
    out[i].physicalDevices[0] = reinterpret_cast<VkPhysicalDevice>(devices[i].get());
    out[i].subsetAllocation = VK_FALSE;
  }
  return enough ? VK_SUCCESS : VK_INCOMPLETE;
}

}  // namespace api
}  // namespace vasim
