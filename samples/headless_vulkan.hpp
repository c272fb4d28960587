// What a program without a window needs before it can use Vulkan, kept out of the samples' way: an instance,
// a device and one queue. Where VASPACE_SAMPLE_VALIDATION=1 is set, the Khronos validation layer listens, and
// what it says is printed and counted.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>
#include <vulkan/vulkan.h>

inline void check(VkResult result, const char* what) {
  if (result != VK_SUCCESS)
    throw std::runtime_error(std::string(what) + " failed: VkResult " + std::to_string(result));
}

struct HeadlessVulkan {
  VkInstance instance = VK_NULL_HANDLE;
  VkPhysicalDevice physical_device = VK_NULL_HANDLE;
  VkDevice device = VK_NULL_HANDLE;
  VkQueue queue = VK_NULL_HANDLE;  // takes transfer commands
  std::uint32_t queue_family = 0;
  VkCommandPool commands = VK_NULL_HANDLE;
  bool timeline_semaphores = false;  // enabled

  // `messages` counts what the validation layer says, to the end of the instance.
  explicit HeadlessVulkan(int& messages) : messages_(&messages) {
    create_instance();
    pick_device();
    create_device();
  }
  HeadlessVulkan(const HeadlessVulkan&) = delete;
  HeadlessVulkan& operator=(const HeadlessVulkan&) = delete;
  ~HeadlessVulkan() {
    if (commands != VK_NULL_HANDLE) vkDestroyCommandPool(device, commands, nullptr);
    if (device != VK_NULL_HANDLE) vkDestroyDevice(device, nullptr);
    watch(false);
    if (instance != VK_NULL_HANDLE) vkDestroyInstance(instance, nullptr);
  }

  // Records what `record` does with the command buffer, submits it and waits until the device is done.
  template <class Record>
  void run(Record&& record) {
    VkCommandBufferAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    allocate.commandPool = commands;
    allocate.commandBufferCount = 1;
    VkCommandBuffer buffer = VK_NULL_HANDLE;
    check(vkAllocateCommandBuffers(device, &allocate, &buffer), "vkAllocateCommandBuffers");
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    check(vkBeginCommandBuffer(buffer, &begin), "vkBeginCommandBuffer");
    record(buffer);
    check(vkEndCommandBuffer(buffer), "vkEndCommandBuffer");
    VkSubmitInfo submit{};
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &buffer;
    check(vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
    check(vkQueueWaitIdle(queue), "vkQueueWaitIdle");
    vkFreeCommandBuffers(device, commands, 1, &buffer);
  }

 private:
  static VkBool32 VKAPI_PTR heard(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
                                  const VkDebugUtilsMessengerCallbackDataEXT* data, void* user) {
    std::fprintf(stderr, "validation: %s\n", data->pMessage);
    ++*static_cast<int*>(user);
    return VK_FALSE;
  }

  void create_instance() {
    VkApplicationInfo application{};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.apiVersion = VK_API_VERSION_1_2;
    VkInstanceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    info.pApplicationInfo = &application;

    const char* layer = "VK_LAYER_KHRONOS_validation";
    const char* extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    const VkValidationFeatureEnableEXT enable = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkValidationFeaturesEXT features{};
    features.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
    features.enabledValidationFeatureCount = 1;
    features.pEnabledValidationFeatures = &enable;
    // Chained to the instance, it hears of the instance's own creation and end.
    watcher_.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
    watcher_.messageSeverity =
        VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    watcher_.messageType =
        VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT;
    watcher_.pfnUserCallback = &heard;
    watcher_.pUserData = messages_;
    features.pNext = &watcher_;
    const char* wanted = std::getenv("VASPACE_SAMPLE_VALIDATION");
    validate_ = wanted != nullptr && std::strcmp(wanted, "1") == 0;
    if (validate_) {
      info.pNext = &features;
      info.enabledLayerCount = 1;
      info.ppEnabledLayerNames = &layer;
      info.enabledExtensionCount = 1;
      info.ppEnabledExtensionNames = &extension;
    }
    check(vkCreateInstance(&info, nullptr, &instance), "vkCreateInstance");
    watch(true);
  }

  // Begins or ends to hear what is said between the instance's creation and its end.
  void watch(bool on) {
    if (!validate_ || instance == VK_NULL_HANDLE) return;
    if (on) {
      const auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
          vkGetInstanceProcAddr(instance, "vkCreateDebugUtilsMessengerEXT"));
      check(create(instance, &watcher_, nullptr, &messenger_), "vkCreateDebugUtilsMessengerEXT");
    } else if (messenger_ != VK_NULL_HANDLE) {
      const auto destroy = reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
          vkGetInstanceProcAddr(instance, "vkDestroyDebugUtilsMessengerEXT"));
      destroy(instance, messenger_, nullptr);
    }
  }

  void pick_device() {
    std::uint32_t count = 0;
    check(vkEnumeratePhysicalDevices(instance, &count, nullptr), "vkEnumeratePhysicalDevices");
    std::vector<VkPhysicalDevice> devices(count);
    check(vkEnumeratePhysicalDevices(instance, &count, devices.data()), "vkEnumeratePhysicalDevices");
    if (count == 0) throw std::runtime_error("no Vulkan device here");
    physical_device = devices.front();
    vkGetPhysicalDeviceQueueFamilyProperties(physical_device, &count, nullptr);
    std::vector<VkQueueFamilyProperties> families(count);
    vkGetPhysicalDeviceQueueFamilyProperties(physical_device, &count, families.data());
    while (queue_family < count && (families[queue_family].queueFlags & VK_QUEUE_GRAPHICS_BIT) == 0)
      ++queue_family;
    if (queue_family == count) throw std::runtime_error("the device has no graphics queue");
  }

  void create_device() {
    const float priority = 1;
    VkDeviceQueueCreateInfo queues{};
    queues.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queues.queueFamilyIndex = queue_family;
    queues.queueCount = 1;
    queues.pQueuePriorities = &priority;
    VkPhysicalDeviceTimelineSemaphoreFeatures timelines{};
    timelines.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES;
    timelines.timelineSemaphore = VK_TRUE;
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(physical_device, &properties);
    timeline_semaphores = properties.apiVersion >= VK_API_VERSION_1_2;  // where they are no longer optional
    VkDeviceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    if (timeline_semaphores) info.pNext = &timelines;
    info.queueCreateInfoCount = 1;
    info.pQueueCreateInfos = &queues;
    check(vkCreateDevice(physical_device, &info, nullptr, &device), "vkCreateDevice");
    vkGetDeviceQueue(device, queue_family, 0, &queue);
    VkCommandPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    pool.flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT;
    pool.queueFamilyIndex = queue_family;
    check(vkCreateCommandPool(device, &pool, nullptr, &commands), "vkCreateCommandPool");
  }

  int* messages_;
  bool validate_ = false;
  VkDebugUtilsMessengerCreateInfoEXT watcher_{};
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
};
