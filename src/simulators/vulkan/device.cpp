#include "device.hpp"

#include <algorithm>
#include <new>
#include <system_error>

#include "calls.hpp"
#include "chain.hpp"
#include "command_buffer.hpp"
#include "driver.hpp"
#include "memory.hpp"
#include "queue.hpp"

namespace vasim {
namespace {

template <class T>
bool is_on(const VkDeviceCreateInfo& info, VkStructureType type, VkBool32 T::*member) {
  const auto* const chained = find_in_chain<T>(info.pNext, type);
  return chained != nullptr && chained->*member == VK_TRUE;
}

VkPhysicalDeviceFeatures features_of(const VkDeviceCreateInfo& info) {
  const auto* const chained =
      find_in_chain<VkPhysicalDeviceFeatures2>(info.pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2);
  if (chained != nullptr) return chained->features;
  return info.pEnabledFeatures == nullptr ? VkPhysicalDeviceFeatures{} : *info.pEnabledFeatures;
}

bool asks_too_much(const VkPhysicalDeviceFeatures& asked, const VkPhysicalDeviceFeatures& has) {
#define FEATURE(name) \
  if (asked.name == VK_TRUE && has.name != VK_TRUE) return true;
#include "features.def"
#undef FEATURE
  return false;
}

bool queues_exist(const Profile& profile, const VkDeviceCreateInfo& info) {
  for (std::uint32_t i = 0; i < info.queueCreateInfoCount; ++i) {
    const VkDeviceQueueCreateInfo& one = info.pQueueCreateInfos[i];
    if (one.queueFamilyIndex >= profile.families.size() ||
        one.queueCount > profile.families[one.queueFamilyIndex].queueCount)
      return false;
  }
  return true;
}

void listen(const VkDeviceCreateInfo& info, std::vector<VkDeviceDeviceMemoryReportCreateInfoEXT>& out) {
  for (auto* one = static_cast<const VkBaseInStructure*>(info.pNext); one != nullptr; one = one->pNext)
    if (one->sType == VK_STRUCTURE_TYPE_DEVICE_DEVICE_MEMORY_REPORT_CREATE_INFO_EXT)
      out.push_back(*reinterpret_cast<const VkDeviceDeviceMemoryReportCreateInfoEXT*>(one));
}

// Vulkan lets memory be freed late only by who asks for it: what lives now is reported and taken back.
void report_left(Device& device) {
  for (const auto& object : device.objects.all()) {
    report("D3", object->describe(), "lives when its device is destroyed");
    if (object->type == VK_OBJECT_TYPE_DEVICE_MEMORY) {
      auto& memory = static_cast<Memory&>(*object);
      memory.close();
      if (memory.info.counted) device.physical.heaps.give_back(memory.info.heap, memory.info.size);
    }
    --driver().live_objects;
  }
}

}  // namespace

Device::Device(PhysicalDevice& its_physical, const VkDeviceCreateInfo& info)
    : physical(its_physical), profile(its_physical.profile), features(features_of(info)) {
  set_loader_magic_value(&loader);
  for (std::uint32_t i = 0; i < info.enabledExtensionCount; ++i)
    extensions.insert(info.ppEnabledExtensionNames[i]);
  timeline = is_on(info, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
                   &VkPhysicalDeviceTimelineSemaphoreFeatures::timelineSemaphore);
  address = is_on(info, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
                  &VkPhysicalDeviceBufferDeviceAddressFeatures::bufferDeviceAddress);
  protected_memory = is_on(info, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROTECTED_MEMORY_FEATURES,
                           &VkPhysicalDeviceProtectedMemoryFeatures::protectedMemory);
  listen(info, memory_listeners);
  const Settings& settings = driver().settings;
  delay_low = settings.delay_us_low;
  delay_high = settings.delay_us_high;
  random.seed(settings.seed);
  for (std::uint32_t i = 0; i < info.queueCreateInfoCount; ++i) {
    const VkDeviceQueueCreateInfo& one = info.pQueueCreateInfos[i];
    for (std::uint32_t q = 0; q < one.queueCount; ++q)
      queues.push_back(std::make_unique<Queue>(*this, one.queueFamilyIndex, q, one.flags));
  }
  try {
    for (const auto& queue : queues)
      queue->start();
  } catch (const std::system_error&) {
    end_queues();
    throw std::bad_alloc();
  }
}

Device::~Device() {
  {
    const std::lock_guard lock(mutex);
    for (const auto& queue : queues)
      if (!queue->idle() && !lost) report("D2", queue->describe(), "is at work when its device is destroyed");
  }
  end_queues();
  report_left(*this);
}

void Device::end_queues() {
  {
    const std::lock_guard lock(mutex);
    ending = true;
    changed.notify_all();
  }
  queues.clear();
}

void Device::lose() {
  const std::lock_guard lock(mutex);
  lost = true;
  changed.notify_all();
}

void check_unused(Device& device, Object& object, const char* what) {
  const bool busy = std::any_of(object.users.begin(), object.users.end(),
                                [&](OperationId id) { return device.order.unfinished(id); });
  if (busy && !device.lost)
    report("D2", object.describe(), text("is %s while a submitted operation uses it", what));
}

void lose(VkDevice device) {
  from(device).lose();
}
void lose(VkQueue queue) {
  from(queue).device.lose();
}
void lose(VkCommandBuffer buffer) {
  from(buffer).device.lose();
}

namespace api {

VkResult CreateDevice(VkPhysicalDevice handle, const VkDeviceCreateInfo* info, const VkAllocationCallbacks*,
                      VkDevice* out) {
  PhysicalDevice& physical = from(handle);
  for (std::uint32_t i = 0; i < info->enabledExtensionCount; ++i)
    if (!physical.profile.has(info->ppEnabledExtensionNames[i])) return VK_ERROR_EXTENSION_NOT_PRESENT;
  if (asks_too_much(features_of(*info), physical.profile.features)) return VK_ERROR_FEATURE_NOT_PRESENT;
  if (!queues_exist(physical.profile, *info)) return VK_ERROR_INITIALIZATION_FAILED;
  auto device = std::make_unique<Device>(physical, *info);
  Driver& here = driver();
  const std::lock_guard lock(here.mutex);
  here.devices.insert(device.get());
  *out = reinterpret_cast<VkDevice>(device.release());
  return VK_SUCCESS;
}

void DestroyDevice(VkDevice device, const VkAllocationCallbacks*) {
  if (device == VK_NULL_HANDLE) return;
  {
    Driver& here = driver();
    const std::lock_guard lock(here.mutex);
    here.devices.erase(&from(device));
  }
  delete &from(device);
}

void GetDeviceQueue(VkDevice handle, std::uint32_t family, std::uint32_t index, VkQueue* out) {
  *out = VK_NULL_HANDLE;
  for (const auto& queue : from(handle).queues)
    if (queue->family == family && queue->index == index) *out = reinterpret_cast<VkQueue>(queue.get());
  if (*out == VK_NULL_HANDLE)
    report("D8", "vkGetDeviceQueue", text("no queue %u of family %u", index, family));
}

void GetDeviceQueue2(VkDevice device, const VkDeviceQueueInfo2* info, VkQueue* out) {
  GetDeviceQueue(device, info->queueFamilyIndex, info->queueIndex, out);
}

void GetDeviceGroupPeerMemoryFeatures(VkDevice, std::uint32_t, std::uint32_t, std::uint32_t,
                                      VkPeerMemoryFeatureFlags* out) {
  *out = VK_PEER_MEMORY_FEATURE_COPY_SRC_BIT | VK_PEER_MEMORY_FEATURE_COPY_DST_BIT |
         VK_PEER_MEMORY_FEATURE_GENERIC_SRC_BIT | VK_PEER_MEMORY_FEATURE_GENERIC_DST_BIT;
}

}  // namespace api
}  // namespace vasim
