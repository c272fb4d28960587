// A Vulkan instance for these tests, on lavapipe or on the simulated driver, and what the Khronos validation
// layer and that driver report: best practices and synchronisation of submits are looked at too.
//
// Where the simulated driver is not built, there is lavapipe alone, or whatever VK_DRIVER_FILES says.
#pragma once

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <glob.h>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>
#include <volk.h>

#ifdef VASIM_VULKAN_MANIFEST
#include "vasim_vulkan.h"
#endif

namespace vaspace::test {

struct DeviceWish {
  std::string profile;     // of the simulated driver; empty: lavapipe
  std::string settings{};  // more of VASIM_VULKAN: "key=value;..."
  bool validate = true;
  std::set<std::string> without{};  // names of features and extensions that are not enabled
};

class TestInstance {
 public:
  explicit TestInstance(const DeviceWish& wish) : wish_(wish) {}
  TestInstance(const TestInstance&) = delete;
  TestInstance& operator=(const TestInstance&) = delete;
  ~TestInstance() {
    if (messenger_ != VK_NULL_HANDLE) vkDestroyDebugUtilsMessengerEXT(instance, messenger_, nullptr);
    if (instance != VK_NULL_HANDLE) vkDestroyInstance(instance, nullptr);
  }

  VkInstance instance = VK_NULL_HANDLE;

  [[nodiscard]] bool simulated() const { return !wish_.profile.empty(); }
  [[nodiscard]] bool validated() const { return messenger_ != VK_NULL_HANDLE; }
  // Every warning and error of the layer and every report of the simulated driver, a line each.
  [[nodiscard]] std::string messages() const {
    std::string all;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const std::string& message : messages_)
        all += message + "\n";
    }
#ifdef VASIM_VULKAN_MANIFEST
    VasimVulkanReport report{};
    for (std::size_t i = 0; simulated() && control().report_at(i, &report) != 0; ++i)
      all += std::string(report.rule) + ": " + report.object + ": " + report.reason + "\n";
#endif
    return all;
  }
  // What was said so far under these ids (of the simulated driver: rules), and is heard no more; what has
  // another stays.
  std::string take_messages(const std::set<std::string>& ids) {
    std::string taken;
    std::vector<std::string> kept;
    const auto sort = [&](const std::string& id, const std::string& message) {
      if (ids.count(id) != 0) {
        taken += message + "\n";
      } else {
        kept.push_back(message);
      }
    };
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const std::string& message : messages_)
      sort(message.substr(0, message.find(": ")), message);
#ifdef VASIM_VULKAN_MANIFEST
    VasimVulkanReport report{};
    for (std::size_t i = 0; simulated() && control().report_at(i, &report) != 0; ++i)
      sort(report.rule, std::string(report.rule) + ": " + report.object + ": " + report.reason);
    if (simulated()) control().clear_reports();
#endif
    messages_ = kept;
    return taken;
  }
#ifdef VASIM_VULKAN_MANIFEST
  // Of the simulated driver.
  [[nodiscard]] static const VasimVulkanControl& control() {
    void* const driver = dlopen(VASIM_VULKAN_LIBRARY, RTLD_NOW | RTLD_NOLOAD);
    const auto get = reinterpret_cast<PFN_vasim_vulkan_control>(dlsym(driver, "vasim_vulkan_control"));
    return *get(VASIM_VULKAN_CONTROL_VERSION);
  }
#endif

 protected:
  bool open_instance() {
    if (!choose_driver() || volkInitialize() != VK_SUCCESS || !create_instance()) return false;
    volkLoadInstance(instance);
    watch();
    return true;
  }
  [[nodiscard]] bool wanted(const char* name) const {
    return wish_.without.count(name) == 0;
  }
  // What a driver or layer keeps in its globals is no leak; a leak checker sees that only while it is loaded.
  static void keep_loaded(const char* library) {
    if (void* kept = dlopen(library, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE)) dlclose(kept);
  }

 private:
  bool choose_driver() {
    std::string manifest;
    int replace = 0;
#ifdef VASIM_VULKAN_MANIFEST
    replace = 1;
    if (simulated()) {
      manifest = VASIM_VULKAN_MANIFEST;
      setenv("VASIM_VULKAN", ("quiet=1;profile=" + wish_.profile + ";" + wish_.settings).c_str(), 1);
    }
#endif
    if (!simulated()) {
      glob_t found{};
      if (glob("/usr/share/vulkan/icd.d/lvp_icd*.json", 0, nullptr, &found) == 0 && found.gl_pathc != 0)
        manifest = found.gl_pathv[0];
      globfree(&found);
    }
    setenv("VK_DRIVER_FILES", manifest.c_str(), replace);
    setenv("VK_ICD_FILENAMES", manifest.c_str(), replace);
    setenv("VK_LOADER_LAYERS_DISABLE", "~implicit~", 1);
    setenv("NODEVICE_SELECT", "1", 1);
    // Synchronisation between submits is behind a switch of its own.
    setenv("VK_LAYER_ENABLES", "VALIDATION_CHECK_ENABLE_SYNCHRONIZATION_VALIDATION_QUEUE_SUBMIT", 1);
    return !manifest.empty();
  }
  static bool layer_present(std::string_view name) {
    std::uint32_t count = 0;
    vkEnumerateInstanceLayerProperties(&count, nullptr);
    std::vector<VkLayerProperties> layers(count);
    vkEnumerateInstanceLayerProperties(&count, layers.data());
    for (const VkLayerProperties& layer : layers) {
      if (name == layer.layerName) return true;
    }
    return false;
  }
  bool create_instance() {
    constexpr const char* kLayer = "VK_LAYER_KHRONOS_validation";
    constexpr const char* kExtension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    const VkValidationFeatureEnableEXT enables[] = {
        VK_VALIDATION_FEATURE_ENABLE_BEST_PRACTICES_EXT,
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    VkDebugUtilsMessengerCreateInfoEXT watcher = messenger_info();
    VkValidationFeaturesEXT validation{};
    validation.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
    validation.pNext = &watcher;
    validation.enabledValidationFeatureCount = 2;
    validation.pEnabledValidationFeatures = enables;
    VkApplicationInfo application{};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.apiVersion = simulated() ? VK_API_VERSION_1_1 : VK_API_VERSION_1_3;
    VkInstanceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    info.pApplicationInfo = &application;
    validate_ = wish_.validate && layer_present(kLayer);
    if (validate_) {
      info.pNext = &validation;
      info.enabledLayerCount = 1;
      info.ppEnabledLayerNames = &kLayer;
      info.enabledExtensionCount = 1;
      info.ppEnabledExtensionNames = &kExtension;
    }
    return vkCreateInstance(&info, nullptr, &instance) == VK_SUCCESS;
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
    if (!validate_) return;
    const VkDebugUtilsMessengerCreateInfoEXT info = messenger_info();
    vkCreateDebugUtilsMessengerEXT(instance, &info, nullptr, &messenger_);
  }
  // Best practices that do not fit a test: its resources are small on purpose, and it watches by an extension
  // that is not for shipped programs, and has calls refused.
  static bool expected(std::string_view id) {
    for (const std::string_view allowed :
         {"UNASSIGNED-BestPractices-Error-Result",
          "UNASSIGNED-BestPractices-vkAllocateMemory-small-allocation",
          "UNASSIGNED-BestPractices-vkBindMemory-small-dedicated-allocation",
          "UNASSIGNED-BestPractices-vkCreateInstance-specialuse-extension-debugging"}) {
      if (id == allowed) return true;
    }
    return false;
  }
  static VkBool32 VKAPI_PTR heard(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
                                  const VkDebugUtilsMessengerCallbackDataEXT* data, void* user) {
    auto& self = *static_cast<TestInstance*>(user);
    const std::string id = data->pMessageIdName != nullptr ? data->pMessageIdName : "";
    if (expected(id)) return VK_FALSE;
    const std::lock_guard<std::mutex> lock(self.mutex_);
    self.messages_.push_back(id + ": " + data->pMessage);
    return VK_FALSE;
  }

  DeviceWish wish_;
  bool validate_ = false;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
  mutable std::mutex mutex_;
  std::vector<std::string> messages_;
};

}  // namespace vaspace::test
