// The application's volk and the library's must not know of each other: the application loads no device
// functions at all, the backend works nevertheless, and the application's pointers stay what they were.
#include <cstdio>
#include <volk.h>

#include "vaspace/backends/vulkan.hpp"

vaspace::vulkan::BackendConfig config_of(VkInstance instance, VkPhysicalDevice physical, VkDevice device);

namespace {

int fail(const char* what) {
  std::fprintf(stderr, "consumer_volk: %s\n", what);
  return 1;
}

int use(const vaspace::vulkan::BackendConfig& config) {
  using namespace vaspace::literals;
  auto backend = vaspace::vulkan::Backend::create(config);
  if (!backend) return fail(to_string(backend.error().code));
  const auto block = (*backend)->reserve({.size = 1_MiB});
  if (!block || !(*backend)->release(*block)) return fail("no block");
  if (vkAllocateMemory != nullptr || volkGetLoadedDevice() != VK_NULL_HANDLE)
    return fail("the library has touched the application's volk");
  std::puts("both have their own volk");
  return 0;
}

}  // namespace

int main() {
  if (volkInitialize() != VK_SUCCESS) return std::puts("linked; no Vulkan loader to run with") < 0;
  VkApplicationInfo application{};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.apiVersion = VK_API_VERSION_1_1;
  VkInstanceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &application;
  VkInstance instance = VK_NULL_HANDLE;
  if (vkCreateInstance(&info, nullptr, &instance) != VK_SUCCESS)
    return std::puts("linked; no driver to run with") < 0;
  volkLoadInstanceOnly(instance);
  std::uint32_t count = 1;
  VkPhysicalDevice physical = VK_NULL_HANDLE;
  vkEnumeratePhysicalDevices(instance, &count, &physical);
  if (count == 0) return std::puts("linked; no device to run with") < 0;

  const float priority = 1;
  VkDeviceQueueCreateInfo queue{};
  queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  VkDeviceCreateInfo device_info{};
  device_info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  device_info.queueCreateInfoCount = 1;
  device_info.pQueueCreateInfos = &queue;
  VkDevice device = VK_NULL_HANDLE;
  if (vkCreateDevice(physical, &device_info, nullptr, &device) != VK_SUCCESS) return fail("no device");
  const int result = use(config_of(instance, physical, device));
  reinterpret_cast<PFN_vkDestroyDevice>(vkGetInstanceProcAddr(instance, "vkDestroyDevice"))(device, nullptr);
  vkDestroyInstance(instance, nullptr);
  return result;
}
