// A Vulkan program of a page, with nothing of this project in it: it fills a buffer on the device and reads
// it back. On the simulated driver it also says what was wrong with it. Run as "sample_simulated_vulkan
// break" it makes the mistake that machines forgive most often: it reads what a device wrote without waiting
// for it.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <vulkan/vulkan.h>

#include "vasim_vulkan.h"

namespace {

bool failed(VkResult result, const char* what) {
  if (result < 0) std::fprintf(stderr, "%s: VkResult %d\n", what, result);
  return result < 0;
}

// What the driver has to say; nothing where it is another one.
int print_reports() {
  void* const driver = dlopen(VASIM_VULKAN_LIBRARY, RTLD_NOW | RTLD_NOLOAD);
  if (driver == nullptr) return 0;
  const auto get = reinterpret_cast<PFN_vasim_vulkan_control>(dlsym(driver, "vasim_vulkan_control"));
  const VasimVulkanControl* const control = get(VASIM_VULKAN_CONTROL_VERSION);
  VasimVulkanReport report{};
  int count = 0;
  for (; control->report_at(static_cast<std::size_t>(count), &report) != 0; ++count)
    std::printf("%s: %s: %s\n", report.rule, report.object, report.reason);
  return count;
}

struct Objects {
  VkInstance instance = VK_NULL_HANDLE;
  VkPhysicalDevice physical = VK_NULL_HANDLE;
  VkDevice device = VK_NULL_HANDLE;
  VkQueue queue = VK_NULL_HANDLE;
  VkBuffer buffer = VK_NULL_HANDLE;
  VkDeviceMemory memory = VK_NULL_HANDLE;
  VkCommandPool pool = VK_NULL_HANDLE;
  VkCommandBuffer commands = VK_NULL_HANDLE;
};

bool create_device(Objects& all) {
  VkInstanceCreateInfo instance{};
  instance.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  if (failed(vkCreateInstance(&instance, nullptr, &all.instance), "vkCreateInstance")) return false;
  std::uint32_t count = 1;
  vkEnumeratePhysicalDevices(all.instance, &count, &all.physical);
  if (count == 0) return false;
  VkPhysicalDeviceProperties properties;
  vkGetPhysicalDeviceProperties(all.physical, &properties);
  std::printf("device: %s\n", properties.deviceName);
  const float priority = 1;
  VkDeviceQueueCreateInfo queue{};
  queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  VkDeviceCreateInfo device{};
  device.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  device.queueCreateInfoCount = 1;
  device.pQueueCreateInfos = &queue;
  if (failed(vkCreateDevice(all.physical, &device, nullptr, &all.device), "vkCreateDevice")) return false;
  vkGetDeviceQueue(all.device, 0, 0, &all.queue);
  return true;
}

bool create_buffer(Objects& all) {
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = 256;
  info.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  if (failed(vkCreateBuffer(all.device, &info, nullptr, &all.buffer), "vkCreateBuffer")) return false;
  VkMemoryRequirements needs;
  vkGetBufferMemoryRequirements(all.device, all.buffer, &needs);
  VkPhysicalDeviceMemoryProperties memory;
  vkGetPhysicalDeviceMemoryProperties(all.physical, &memory);
  constexpr VkMemoryPropertyFlags kWanted =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  VkMemoryAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  allocate.allocationSize = needs.size;
  while ((needs.memoryTypeBits & (1U << allocate.memoryTypeIndex)) == 0 ||
         (memory.memoryTypes[allocate.memoryTypeIndex].propertyFlags & kWanted) != kWanted)
    ++allocate.memoryTypeIndex;
  return !failed(vkAllocateMemory(all.device, &allocate, nullptr, &all.memory), "vkAllocateMemory") &&
         !failed(vkBindBufferMemory(all.device, all.buffer, all.memory, 0), "vkBindBufferMemory");
}

bool submit_fill(Objects& all) {
  VkCommandPoolCreateInfo pool{};
  pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  if (failed(vkCreateCommandPool(all.device, &pool, nullptr, &all.pool), "vkCreateCommandPool")) return false;
  VkCommandBufferAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  allocate.commandPool = all.pool;
  allocate.commandBufferCount = 1;
  if (failed(vkAllocateCommandBuffers(all.device, &allocate, &all.commands), "vkAllocateCommandBuffers"))
    return false;
  VkCommandBufferBeginInfo begin{};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  vkBeginCommandBuffer(all.commands, &begin);
  vkCmdFillBuffer(all.commands, all.buffer, 0, VK_WHOLE_SIZE, 0x2a2a2a2a);
  vkEndCommandBuffer(all.commands);
  VkSubmitInfo submit{};
  submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  submit.commandBufferCount = 1;
  submit.pCommandBuffers = &all.commands;
  return !failed(vkQueueSubmit(all.queue, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
}

void destroy(const Objects& all) {
  vkDestroyCommandPool(all.device, all.pool, nullptr);
  vkDestroyBuffer(all.device, all.buffer, nullptr);
  vkFreeMemory(all.device, all.memory, nullptr);
  vkDestroyDevice(all.device, nullptr);
  vkDestroyInstance(all.instance, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  const bool breaks = argc > 1 && std::strcmp(argv[1], "break") == 0;
  Objects all;
  if (!create_device(all) || !create_buffer(all) || !submit_fill(all)) return 1;
  if (!breaks) vkQueueWaitIdle(all.queue);
  void* bytes = nullptr;
  if (failed(vkMapMemory(all.device, all.memory, 0, VK_WHOLE_SIZE, 0, &bytes), "vkMapMemory")) return 1;
  std::printf("the buffer holds %d\n", *static_cast<const unsigned char*>(bytes));
  vkUnmapMemory(all.device, all.memory);
  destroy(all);
  const int reports = print_reports();
  std::printf("%d reports\n", reports);
  return reports == 0 ? 0 : 1;
}
