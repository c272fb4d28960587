#include "program.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <stdexcept>

#include "driver_control.hpp"
#include "named.hpp"

namespace vasim::test {
namespace {

int said = 0;

VkBool32 VKAPI_PTR heard(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
                         const VkDebugUtilsMessengerCallbackDataEXT* data, void*) {
  std::fprintf(stderr, "validation: %s\n", data->pMessage);
  ++said;
  return VK_FALSE;
}

// What these tests use where it is there.
constexpr const char* kExtensions[] = {VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME,
                                       VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME,
                                       VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
                                       VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME,
                                       VK_EXT_MEMORY_BUDGET_EXTENSION_NAME,
                                       VK_EXT_MEMORY_PRIORITY_EXTENSION_NAME,
                                       VK_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_EXTENSION_NAME,
                                       VK_KHR_MAINTENANCE_4_EXTENSION_NAME,
                                       VK_EXT_DEVICE_MEMORY_REPORT_EXTENSION_NAME,
                                       VK_KHR_SYNCHRONIZATION_2_EXTENSION_NAME,
                                       VK_KHR_EXTERNAL_MEMORY_EXTENSION_NAME};

}  // namespace

void check(VkResult result, const char* what) {
  if (result < VK_SUCCESS)
    throw std::runtime_error(std::string(what) + ": VkResult " + std::to_string(result));
}

int validation_messages() {
  return said;
}

Program::Program(const Options& options) {
  choose_driver("profile=" + options.profile + ";quiet=1;" + options.settings);
  try {
    begin(options);
  } catch (...) {
    end();
    throw;
  }
}

Program::~Program() {
  end();
}

void Program::begin(const Options& options) {
  create_instance(options);
  std::uint32_t count = 1;
  const VkResult result = vkEnumeratePhysicalDevices(instance, &count, &physical);
  if (result != VK_SUCCESS && result != VK_INCOMPLETE) check(result, "vkEnumeratePhysicalDevices");
  if (count == 0) throw std::runtime_error("no device");
  vkGetPhysicalDeviceProperties(physical, &properties);
  vkGetPhysicalDeviceFeatures(physical, &features);
  vkGetPhysicalDeviceMemoryProperties(physical, &memory);
  sparse = properties.sparseProperties;
  create_device(options);
  vkGetDeviceQueue(device, family, 0, &queue);
  if (sparse_family != ~0U) vkGetDeviceQueue(device, sparse_family, 0, &sparse_queue);
  auto info = named<VkCommandPoolCreateInfo>(VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO);
  info.queueFamilyIndex = family;
  check(vkCreateCommandPool(device, &info, nullptr, &pool_), "vkCreateCommandPool");
}

void Program::end() {
  if (device != VK_NULL_HANDLE) {
    // A wait may be refused for want of memory; only a lost device needs none.
    VkResult waited = VK_ERROR_UNKNOWN;
    while (waited != VK_SUCCESS && waited != VK_ERROR_DEVICE_LOST)
      waited = vkDeviceWaitIdle(device);
    vkDestroyCommandPool(device, pool_, nullptr);
    while (!made_.empty()) {
      const Made last = made_.back();
      made_.pop_back();
      last.destroy();
    }
    vkDestroyDevice(device, nullptr);
  }
  if (messenger_ != VK_NULL_HANDLE)
    reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
        vkGetInstanceProcAddr(instance, "vkDestroyDebugUtilsMessengerEXT"))(instance, messenger_, nullptr);
  if (instance != VK_NULL_HANDLE) vkDestroyInstance(instance, nullptr);
}

void Program::create_instance(const Options& options) {
  auto application = named<VkApplicationInfo>(VK_STRUCTURE_TYPE_APPLICATION_INFO);
  application.apiVersion = VK_API_VERSION_1_1;
  auto info = named<VkInstanceCreateInfo>(VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO);
  info.pApplicationInfo = &application;
  const char* const layer = "VK_LAYER_KHRONOS_validation";
  const char* const extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
  auto listener =
      named<VkDebugUtilsMessengerCreateInfoEXT>(VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT);
  listener.messageSeverity =
      VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
  listener.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT;
  listener.pfnUserCallback = &heard;
  info.enabledExtensionCount = 1;  // names
  info.ppEnabledExtensionNames = &extension;
  if (options.validate) {
    info.enabledLayerCount = 1;
    info.ppEnabledLayerNames = &layer;
    info.pNext = &listener;
  }
  check(vkCreateInstance(&info, nullptr, &instance), "vkCreateInstance");
  if (!options.validate) return;
  const auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
      vkGetInstanceProcAddr(instance, "vkCreateDebugUtilsMessengerEXT"));
  check(create(instance, &listener, nullptr, &messenger_), "vkCreateDebugUtilsMessengerEXT");
}

void Program::choose_queues() {
  std::uint32_t count = 0;
  vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families.data());
  const auto with = [&](VkQueueFlags flag) {
    for (std::uint32_t i = 0; i < count; ++i)
      if ((families[i].queueFlags & flag) != 0) return i;
    return ~0U;
  };
  family = with(VK_QUEUE_GRAPHICS_BIT);
  sparse_family = with(VK_QUEUE_SPARSE_BINDING_BIT);
}

void Program::create_device(const Options& options) {
  choose_queues();
  std::uint32_t count = 0;
  vkEnumerateDeviceExtensionProperties(physical, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> available(count);
  vkEnumerateDeviceExtensionProperties(physical, nullptr, &count, available.data());
  std::vector<const char*> names;
  for (const char* const wanted : kExtensions) {
    const bool there = std::any_of(available.begin(), available.end(), [&](const VkExtensionProperties& one) {
      return std::strcmp(one.extensionName, wanted) == 0;
    });
    if (there && options.features) names.push_back(wanted);
  }
  extensions.insert(names.begin(), names.end());

  auto timelines = named<VkPhysicalDeviceTimelineSemaphoreFeatures>(
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES);
  auto addresses = named<VkPhysicalDeviceBufferDeviceAddressFeatures>(
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES);
  auto reports = named<VkPhysicalDeviceDeviceMemoryReportFeaturesEXT>(
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DEVICE_MEMORY_REPORT_FEATURES_EXT);
  auto maintenance4 =
      named<VkPhysicalDeviceMaintenance4Features>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES);
  auto synchronization2 = named<VkPhysicalDeviceSynchronization2Features>(
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SYNCHRONIZATION_2_FEATURES);
  auto priorities = named<VkPhysicalDeviceMemoryPriorityFeaturesEXT>(
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PRIORITY_FEATURES_EXT);
  auto pageable = named<VkPhysicalDevicePageableDeviceLocalMemoryFeaturesEXT>(
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PAGEABLE_DEVICE_LOCAL_MEMORY_FEATURES_EXT);
  auto protection = named<VkPhysicalDeviceProtectedMemoryFeatures>(
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROTECTED_MEMORY_FEATURES);
  auto all = named<VkPhysicalDeviceFeatures2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2);
  const auto chain = [&](auto& structure, const char* extension) {
    if (extension != nullptr && !has(extension)) return;
    structure.pNext = all.pNext;
    all.pNext = &structure;
  };
  chain(protection, nullptr);
  chain(timelines, VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME);
  chain(addresses, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME);
  chain(maintenance4, VK_KHR_MAINTENANCE_4_EXTENSION_NAME);
  chain(synchronization2, VK_KHR_SYNCHRONIZATION_2_EXTENSION_NAME);
  chain(priorities, VK_EXT_MEMORY_PRIORITY_EXTENSION_NAME);
  chain(pageable, VK_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_EXTENSION_NAME);
  chain(reports, VK_EXT_DEVICE_MEMORY_REPORT_EXTENSION_NAME);
  vkGetPhysicalDeviceFeatures2(physical, &all);
  addresses.bufferDeviceAddressCaptureReplay = addresses.bufferDeviceAddressMultiDevice = VK_FALSE;
  timeline = options.features && timelines.timelineSemaphore == VK_TRUE;
  address = options.features && addresses.bufferDeviceAddress == VK_TRUE;
  protected_memory = options.features && protection.protectedMemory == VK_TRUE;

  auto listener = named<VkDeviceDeviceMemoryReportCreateInfoEXT>(
      VK_STRUCTURE_TYPE_DEVICE_DEVICE_MEMORY_REPORT_CREATE_INFO_EXT);
  listener.pfnUserCallback = options.memory_listener;
  listener.pUserData = options.memory_listener_data;
  if (options.memory_listener != nullptr) chain(listener, VK_EXT_DEVICE_MEMORY_REPORT_EXTENSION_NAME);

  const float priority = 1;
  VkDeviceQueueCreateInfo queues[2] = {};
  for (auto& one : queues)
    one = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, nullptr, 0, family, 1, &priority};
  queues[1].queueFamilyIndex = sparse_family;
  auto info = named<VkDeviceCreateInfo>(VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO);
  info.queueCreateInfoCount = sparse_family == family || sparse_family == ~0U ? 1 : 2;
  info.pQueueCreateInfos = queues;
  info.enabledExtensionCount = static_cast<std::uint32_t>(names.size());
  info.ppEnabledExtensionNames = names.data();
  if (options.features) info.pNext = &all;
  check(vkCreateDevice(physical, &info, nullptr, &device), "vkCreateDevice");
}

void Program::at_end(void* handle, std::function<void()> destroy) {
  made_.push_back({handle, std::move(destroy)});
}

void Program::ended(void* handle) {
  const auto found =
      std::find_if(made_.begin(), made_.end(), [&](const Made& one) { return one.handle == handle; });
  if (found != made_.end()) made_.erase(found);
}

VkPhysicalDeviceMemoryBudgetPropertiesEXT Program::budget() const {
  auto out = named<VkPhysicalDeviceMemoryBudgetPropertiesEXT>(
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);
  auto all = named<VkPhysicalDeviceMemoryProperties2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2);
  all.pNext = &out;
  vkGetPhysicalDeviceMemoryProperties2(physical, &all);
  return out;
}

std::uint32_t Program::type(VkMemoryPropertyFlags wanted, std::uint32_t bits,
                            VkMemoryPropertyFlags unwanted) const {
  for (std::uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
    const VkMemoryPropertyFlags flags = memory.memoryTypes[i].propertyFlags;
    if ((bits & (1U << i)) != 0 && (flags & wanted) == wanted && (flags & unwanted) == 0) return i;
  }
  return ~0U;
}

VkResult Program::try_allocate(VkDeviceSize size, std::uint32_t memory_type, VkDeviceMemory& out,
                               const void* next) const {
  auto info = named<VkMemoryAllocateInfo>(VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO);
  info.pNext = next;
  info.allocationSize = size;
  info.memoryTypeIndex = memory_type;
  return vkAllocateMemory(device, &info, nullptr, &out);
}

VkDeviceMemory Program::allocate(VkDeviceSize size, std::uint32_t memory_type, const void* next) {
  VkDeviceMemory out = VK_NULL_HANDLE;
  check(try_allocate(size, memory_type, out, next), "vkAllocateMemory");
  at_end(out, [this, out] { vkFreeMemory(device, out, nullptr); });
  return out;
}

void Program::free(VkDeviceMemory object) {
  ended(object);
  vkFreeMemory(device, object, nullptr);
}

unsigned char* Program::map(VkDeviceMemory object, VkDeviceSize offset, VkDeviceSize size) const {
  void* out = nullptr;
  check(vkMapMemory(device, object, offset, size, 0, &out), "vkMapMemory");
  return static_cast<unsigned char*>(out);
}

VkBuffer Program::buffer(VkDeviceSize size, VkBufferUsageFlags usage, VkBufferCreateFlags flags,
                         const void* next) {
  auto info = named<VkBufferCreateInfo>(VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO);
  info.pNext = next;
  info.flags = flags;
  info.size = size;
  info.usage = usage;
  VkBuffer out = VK_NULL_HANDLE;
  check(vkCreateBuffer(device, &info, nullptr, &out), "vkCreateBuffer");
  at_end(out, [this, out] { vkDestroyBuffer(device, out, nullptr); });
  return out;
}

VkImage Program::image(const ImageSpec& spec) {
  auto info = named<VkImageCreateInfo>(VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO);
  info.pNext = spec.next;
  info.flags = spec.flags;
  info.imageType = spec.extent.depth > 1 ? VK_IMAGE_TYPE_3D : VK_IMAGE_TYPE_2D;
  info.format = spec.format;
  info.extent = spec.extent;
  info.mipLevels = spec.levels;
  info.arrayLayers = spec.layers;
  info.samples = VK_SAMPLE_COUNT_1_BIT;
  info.tiling = spec.tiling;
  info.usage = spec.usage;
  VkImage out = VK_NULL_HANDLE;
  check(vkCreateImage(device, &info, nullptr, &out), "vkCreateImage");
  at_end(out, [this, out] { vkDestroyImage(device, out, nullptr); });
  return out;
}

void Program::destroy(VkBuffer object) {
  ended(object);
  vkDestroyBuffer(device, object, nullptr);
}

void Program::destroy(VkImage object) {
  ended(object);
  vkDestroyImage(device, object, nullptr);
}

VkMemoryRequirements Program::requirements(VkBuffer object) const {
  VkMemoryRequirements out{};
  vkGetBufferMemoryRequirements(device, object, &out);
  return out;
}

VkMemoryRequirements Program::requirements(VkImage object) const {
  VkMemoryRequirements out{};
  vkGetImageMemoryRequirements(device, object, &out);
  return out;
}

VkDeviceMemory Program::back(VkBuffer object, VkMemoryPropertyFlags wanted, const void* next) {
  const VkMemoryRequirements needs = requirements(object);
  const VkDeviceMemory out = allocate(needs.size, type(wanted, needs.memoryTypeBits), next);
  check(vkBindBufferMemory(device, object, out, 0), "vkBindBufferMemory");
  return out;
}

VkDeviceMemory Program::back(VkImage object, VkMemoryPropertyFlags wanted, const void* next) {
  const VkMemoryRequirements needs = requirements(object);
  const VkDeviceMemory out = allocate(needs.size, type(wanted, needs.memoryTypeBits), next);
  check(vkBindImageMemory(device, object, out, 0), "vkBindImageMemory");
  return out;
}

VkSemaphore Program::semaphore(bool is_timeline, std::uint64_t initial) {
  auto kind = named<VkSemaphoreTypeCreateInfo>(VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO);
  kind.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  kind.initialValue = initial;
  auto info = named<VkSemaphoreCreateInfo>(VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO);
  if (is_timeline) info.pNext = &kind;
  VkSemaphore out = VK_NULL_HANDLE;
  check(vkCreateSemaphore(device, &info, nullptr, &out), "vkCreateSemaphore");
  at_end(out, [this, out] { vkDestroySemaphore(device, out, nullptr); });
  return out;
}

VkFence Program::fence() {
  const auto info = named<VkFenceCreateInfo>(VK_STRUCTURE_TYPE_FENCE_CREATE_INFO);
  VkFence out = VK_NULL_HANDLE;
  check(vkCreateFence(device, &info, nullptr, &out), "vkCreateFence");
  at_end(out, [this, out] { vkDestroyFence(device, out, nullptr); });
  return out;
}

void Program::wait(VkFence object) const {
  check(vkWaitForFences(device, 1, &object, VK_TRUE, UINT64_MAX), "vkWaitForFences");
}

void Program::wait(const Point& point) const {
  auto info = named<VkSemaphoreWaitInfo>(VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO);
  info.semaphoreCount = 1;
  info.pSemaphores = &point.semaphore;
  info.pValues = &point.value;
  check(function<PFN_vkWaitSemaphoresKHR>("vkWaitSemaphoresKHR")(device, &info, UINT64_MAX),
        "vkWaitSemaphores");
}

}  // namespace vasim::test
