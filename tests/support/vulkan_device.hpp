// A headless device of a real driver (lavapipe) under the Khronos validation layer, and what the layer says.
//
// The test program compiles volk.c itself, as an application may: the library must not notice.
#pragma once

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <glob.h>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>
#include <volk.h>

#include "vaspace/backends/vulkan.hpp"

namespace vaspace::test {

class VulkanDevice {
 public:
  // Null, with the reason, where there is no loader or no lavapipe.
  [[nodiscard]] static std::unique_ptr<VulkanDevice> create(std::string& why_not) {
    choose_driver();
    auto device = std::unique_ptr<VulkanDevice>(new VulkanDevice);
    why_not = device->open();
    return why_not.empty() ? std::move(device) : nullptr;
  }
  VulkanDevice(const VulkanDevice&) = delete;
  VulkanDevice& operator=(const VulkanDevice&) = delete;
  ~VulkanDevice() {
    if (device_ != VK_NULL_HANDLE) vkDestroyDevice(device_, nullptr);
    if (messenger_ != VK_NULL_HANDLE) vkDestroyDebugUtilsMessengerEXT(instance_, messenger_, nullptr);
    if (instance_ != VK_NULL_HANDLE) vkDestroyInstance(instance_, nullptr);
  }

  [[nodiscard]] VkInstance instance() const { return instance_; }
  [[nodiscard]] VkPhysicalDevice physical_device() const { return physical_device_; }
  [[nodiscard]] VkDevice device() const { return device_; }
  [[nodiscard]] bool validated() const { return validated_; }
  [[nodiscard]] vulkan::BackendConfig config() const {
    vulkan::BackendConfig config;
    config.instance = instance_;
    config.physical_device = physical_device_;
    config.device = device_;
    config.get_instance_proc_addr = vkGetInstanceProcAddr;
    return config;
  }
  // Every warning and error so far, one line each.
  [[nodiscard]] std::string messages() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::string all;
    for (const std::string& message : messages_)
      all += message + "\n";
    return all;
  }
  void clear_messages() {
    const std::lock_guard<std::mutex> lock(mutex_);
    messages_.clear();
  }

 private:
  VulkanDevice() = default;

  // Only lavapipe, so that a broken driver for hardware that is not there cannot spoil a test; whoever sets
  // VK_DRIVER_FILES decides otherwise.
  static void choose_driver() {
    glob_t found{};
    const char* pattern = "/usr/share/vulkan/icd.d/lvp_icd*.json";
    if (glob(pattern, 0, nullptr, &found) == 0 && found.gl_pathc != 0) {
      setenv("VK_DRIVER_FILES", found.gl_pathv[0], 0);
      setenv("VK_ICD_FILENAMES", found.gl_pathv[0], 0);
    }
    globfree(&found);
    setenv("VK_LOADER_LAYERS_DISABLE", "~implicit~", 0);
    setenv("NODEVICE_SELECT", "1", 0);
  }

  std::string open() {
    if (volkInitialize() != VK_SUCCESS) return "no Vulkan loader";
    if (!create_instance()) return "no Vulkan instance";
    volkLoadInstance(instance_);
    watch();
    if (!pick_physical_device()) return "no lavapipe device";
    if (!create_device()) return "no Vulkan device";
    volkLoadDevice(device_);
    keep_loaded("libvulkan_lvp.so");
    keep_loaded("libVkLayer_khronos_validation.so");
    return {};
  }

  // What a driver or layer keeps in its globals is no leak; a leak checker sees that only while it is loaded.
  static void keep_loaded(const char* library) {
    if (void* kept = dlopen(library, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE)) dlclose(kept);
  }

  static bool layer_present(const char* name) {
    std::uint32_t count = 0;
    vkEnumerateInstanceLayerProperties(&count, nullptr);
    std::vector<VkLayerProperties> layers(count);
    vkEnumerateInstanceLayerProperties(&count, layers.data());
    for (const VkLayerProperties& layer : layers) {
      if (std::string_view(layer.layerName) == name) return true;
    }
    return false;
  }

  bool create_instance() {
    constexpr const char* kLayer = "VK_LAYER_KHRONOS_validation";
    constexpr const char* kExtension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    validated_ = layer_present(kLayer);
    const VkValidationFeatureEnableEXT enables[] = {
        VK_VALIDATION_FEATURE_ENABLE_BEST_PRACTICES_EXT,
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    VkDebugUtilsMessengerCreateInfoEXT watcher = messenger_info();
    VkValidationFeaturesEXT features{};
    features.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
    features.pNext = &watcher;
    features.enabledValidationFeatureCount = 2;
    features.pEnabledValidationFeatures = enables;
    VkApplicationInfo application{};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.apiVersion = VK_API_VERSION_1_3;
    VkInstanceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    info.pApplicationInfo = &application;
    if (validated_) {
      info.pNext = &features;
      info.enabledLayerCount = 1;
      info.ppEnabledLayerNames = &kLayer;
      info.enabledExtensionCount = 1;
      info.ppEnabledExtensionNames = &kExtension;
    }
    return vkCreateInstance(&info, nullptr, &instance_) == VK_SUCCESS;
  }

  VkDebugUtilsMessengerCreateInfoEXT messenger_info() {
    VkDebugUtilsMessengerCreateInfoEXT info{};
    info.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
    info.messageSeverity =
        VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    info.messageType =
        VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT;
    info.pfnUserCallback = &heard;
    info.pUserData = this;
    return info;
  }
  void watch() {
    if (!validated_) return;
    const VkDebugUtilsMessengerCreateInfoEXT info = messenger_info();
    vkCreateDebugUtilsMessengerEXT(instance_, &info, nullptr, &messenger_);
  }

  // Best practices that do not fit a test: its blocks are small on purpose, and it watches by an extension
  // that is not for shipped programs.
  static bool expected(std::string_view id) {
    for (const std::string_view allowed :
         {"UNASSIGNED-BestPractices-vkAllocateMemory-small-allocation",
          "UNASSIGNED-BestPractices-vkBindMemory-small-dedicated-allocation",
          "UNASSIGNED-BestPractices-vkCreateInstance-specialuse-extension-debugging"}) {
      if (id == allowed) return true;
    }
    return false;
  }
  static VkBool32 VKAPI_PTR heard(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
                                  const VkDebugUtilsMessengerCallbackDataEXT* data, void* user) {
    auto& self = *static_cast<VulkanDevice*>(user);
    const std::string id = data->pMessageIdName != nullptr ? data->pMessageIdName : "";
    if (expected(id)) return VK_FALSE;
    const std::lock_guard<std::mutex> lock(self.mutex_);
    self.messages_.push_back(id + ": " + data->pMessage);
    return VK_FALSE;
  }

  bool pick_physical_device() {
    std::uint32_t count = 0;
    vkEnumeratePhysicalDevices(instance_, &count, nullptr);
    std::vector<VkPhysicalDevice> devices(count);
    vkEnumeratePhysicalDevices(instance_, &count, devices.data());
    for (const VkPhysicalDevice device : devices) {
      VkPhysicalDeviceProperties properties;
      vkGetPhysicalDeviceProperties(device, &properties);
      if (properties.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU) continue;
      physical_device_ = device;
      return true;
    }
    return false;
  }

  bool create_device() {
    const float priority = 1;
    VkDeviceQueueCreateInfo queue{};
    queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queue.queueCount = 1;
    queue.pQueuePriorities = &priority;
    VkPhysicalDeviceVulkan12Features features{};
    features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
    features.bufferDeviceAddress = VK_TRUE;
    VkDeviceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    info.pNext = &features;
    info.queueCreateInfoCount = 1;
    info.pQueueCreateInfos = &queue;
    return vkCreateDevice(physical_device_, &info, nullptr, &device_) == VK_SUCCESS;
  }

  VkInstance instance_ = VK_NULL_HANDLE;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
  VkPhysicalDevice physical_device_ = VK_NULL_HANDLE;
  VkDevice device_ = VK_NULL_HANDLE;
  bool validated_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> messages_;
};

}  // namespace vaspace::test
