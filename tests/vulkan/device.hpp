// A headless device for these tests: lavapipe, or a device that the simulated driver plays; under the Khronos
// validation layer, with all that the device has of what the library uses.
//
// The test program compiles volk.c itself, as an application may: the library must not notice. Several
// devices may live at once if they are of one driver.
#pragma once

#include <gtest/gtest.h>
#include <memory>

#include "vaspace/backends/vulkan/sparse.hpp"

#include "vulkan/instance.hpp"

namespace vaspace::test {

// A timeline semaphore and a value; without one: nothing to wait for or to signal.
struct SubmitPoint {
  VkSemaphore semaphore = VK_NULL_HANDLE;
  std::uint64_t value = 0;
};

class TestDevice : public TestInstance {
 public:
  // Null where there is no such driver here.
  [[nodiscard]] static std::unique_ptr<TestDevice> create(const DeviceWish& wish = {}) {
    auto device = std::unique_ptr<TestDevice>(new TestDevice(wish));
    return device->open() ? std::move(device) : nullptr;
  }
  TestDevice(const TestDevice&) = delete;
  TestDevice& operator=(const TestDevice&) = delete;
  ~TestDevice() {
    if (device != VK_NULL_HANDLE) {
      vkDestroyCommandPool(device, pool_, nullptr);
      vkDestroyDevice(device, nullptr);
    }
  }

  VkPhysicalDevice physical = VK_NULL_HANDLE;
  VkDevice device = VK_NULL_HANDLE;
  VkQueue graphics = VK_NULL_HANDLE;
  VkQueue sparse = VK_NULL_HANDLE;  // null where there is none; may be `graphics`
  std::uint32_t graphics_family = 0, sparse_family = 0;
  std::vector<std::uint32_t> families;
  VkPhysicalDeviceProperties properties{};
  VkPhysicalDeviceMemoryProperties memory{};
  vulkan::DeviceFeatures features;
  std::set<std::string> extensions;

  [[nodiscard]] vulkan::BackendConfig config() const {
    vulkan::BackendConfig config;
    config.instance = instance;
    config.physical_device = physical;
    config.device = device;
    config.get_instance_proc_addr = vkGetInstanceProcAddr;
    config.features = features;
    return config;
  }
  [[nodiscard]] vulkan::SparseConfig sparse_config() const {
    vulkan::SparseConfig config;
    config.device = this->config();
    config.sparse = {.queue = sparse, .family = sparse_family};
    config.transfer = {.queue = graphics, .family = graphics_family};
    config.families = families;
    config.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_VERTEX_BUFFER_BIT;
    return config;
  }
  VkSemaphore timeline_semaphore() const {
    VkSemaphoreTypeCreateInfo type{};
    type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
    type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
    VkSemaphoreCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
    info.pNext = &type;
    VkSemaphore semaphore = VK_NULL_HANDLE;
    EXPECT_EQ(vkCreateSemaphore(device, &info, nullptr, &semaphore), VK_SUCCESS);
    return semaphore;
  }
  // From the host.
  void signal(VkSemaphore semaphore, std::uint64_t value) const {
    VkSemaphoreSignalInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO;
    info.semaphore = semaphore;
    info.value = value;
    const auto call = device_function<PFN_vkSignalSemaphore>("vkSignalSemaphore", "vkSignalSemaphoreKHR");
    EXPECT_EQ(call(device, &info), VK_SUCCESS);
  }
  // Records, submits to the graphics queue, signals `after`; the command buffer lives as long as the device.
  template <class Record>
  void submit(Record&& record, SubmitPoint before = {}, SubmitPoint after = {}) {
    VkCommandBufferAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    allocate.commandPool = pool_;
    allocate.commandBufferCount = 1;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    ASSERT_EQ(vkAllocateCommandBuffers(device, &allocate, &commands), VK_SUCCESS);
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    vkBeginCommandBuffer(commands, &begin);
    record(commands);
    ASSERT_EQ(vkEndCommandBuffer(commands), VK_SUCCESS);
    VkTimelineSemaphoreSubmitInfo values{};
    values.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
    values.waitSemaphoreValueCount = before.semaphore != VK_NULL_HANDLE ? 1 : 0;
    if (before.semaphore != VK_NULL_HANDLE) values.pWaitSemaphoreValues = &before.value;
    values.signalSemaphoreValueCount = after.semaphore != VK_NULL_HANDLE ? 1 : 0;
    if (after.semaphore != VK_NULL_HANDLE) values.pSignalSemaphoreValues = &after.value;
    const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    VkSubmitInfo submit{};
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.pNext = &values;
    submit.waitSemaphoreCount = values.waitSemaphoreValueCount;
    if (before.semaphore != VK_NULL_HANDLE) submit.pWaitSemaphores = &before.semaphore;
    if (before.semaphore != VK_NULL_HANDLE) submit.pWaitDstStageMask = &stage;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &commands;
    submit.signalSemaphoreCount = values.signalSemaphoreValueCount;
    if (after.semaphore != VK_NULL_HANDLE) submit.pSignalSemaphores = &after.semaphore;
    ASSERT_EQ(vkQueueSubmit(graphics, 1, &submit, VK_NULL_HANDLE), VK_SUCCESS);
  }
  // Records, submits, and waits until the device is done.
  template <class Record>
  void run(Record&& record) {
    submit(record);
    ASSERT_EQ(vkQueueWaitIdle(graphics), VK_SUCCESS);
  }

  // The first bytes of a buffer, read through one that the host sees.
  std::vector<std::uint32_t> words_of(VkBuffer buffer, Bytes size) {
    VkBufferCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = size.value;
    info.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    VkBuffer seen = VK_NULL_HANDLE;
    EXPECT_EQ(vkCreateBuffer(device, &info, nullptr, &seen), VK_SUCCESS);
    VkMemoryRequirements needs{};
    vkGetBufferMemoryRequirements(device, seen, &needs);
    constexpr VkMemoryPropertyFlags kWanted =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkMemoryAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
    allocate.allocationSize = needs.size;
    while ((needs.memoryTypeBits >> allocate.memoryTypeIndex & 1U) == 0 ||
           (memory.memoryTypes[allocate.memoryTypeIndex].propertyFlags & kWanted) != kWanted)
      ++allocate.memoryTypeIndex;
    VkDeviceMemory own = VK_NULL_HANDLE;
    EXPECT_EQ(vkAllocateMemory(device, &allocate, nullptr, &own), VK_SUCCESS);
    EXPECT_EQ(vkBindBufferMemory(device, seen, own, 0), VK_SUCCESS);
    run([&](VkCommandBuffer commands) {
      const VkBufferCopy region{0, 0, size.value};
      vkCmdCopyBuffer(commands, buffer, seen, 1, &region);
      VkMemoryBarrier barrier{};
      barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
      barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
      barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT;
      vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                           &barrier, 0, nullptr, 0, nullptr);
    });
    std::vector<std::uint32_t> words(size.value / 4);
    void* data = nullptr;
    EXPECT_EQ(vkMapMemory(device, own, 0, VK_WHOLE_SIZE, 0, &data), VK_SUCCESS);
    std::memcpy(words.data(), data, size.value);
    vkUnmapMemory(device, own);
    vkDestroyBuffer(device, seen, nullptr);
    vkFreeMemory(device, own, nullptr);
    return words;
  }

  template <class Function>
  [[nodiscard]] Function device_function(const char* name, const char* before) const {
    const PFN_vkVoidFunction found = vkGetDeviceProcAddr(device, name);
    return reinterpret_cast<Function>(found != nullptr ? found : vkGetDeviceProcAddr(device, before));
  }

 private:
  explicit TestDevice(const DeviceWish& wish) : TestInstance(wish) {}

  bool open() {
    if (!open_instance() || !pick() || !create_device()) return false;
    keep_loaded("libvulkan_lvp.so");
    keep_loaded("libVkLayer_khronos_validation.so");
    VkCommandPoolCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    info.flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT;
    info.queueFamilyIndex = graphics_family;
    return vkCreateCommandPool(device, &info, nullptr, &pool_) == VK_SUCCESS;
  }

  bool pick() {
    std::uint32_t count = 1;
    vkEnumeratePhysicalDevices(instance, &count, &physical);
    if (count == 0) return false;
    vkGetPhysicalDeviceProperties(physical, &properties);
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, nullptr);
    std::vector<VkQueueFamilyProperties> all(count);
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, all.data());
    const auto first = [&](VkQueueFlags flag) {
      std::uint32_t family = 0;
      while (family < count && (all[family].queueFlags & flag) == 0)
        ++family;
      return family;
    };
    graphics_family = first(VK_QUEUE_GRAPHICS_BIT);
    sparse_family = first(VK_QUEUE_SPARSE_BINDING_BIT);
    families = {graphics_family};
    if (sparse_family < count && sparse_family != graphics_family) families.push_back(sparse_family);
    return graphics_family < count;
  }

  // What a later Vulkan took over is not enabled as an extension there.
  [[nodiscard]] bool core_has(std::string_view name) const {
    return !simulated() && (name == "VK_KHR_timeline_semaphore" || name == "VK_KHR_buffer_device_address");
  }
  std::vector<const char*> wanted_extensions() {
    std::uint32_t count = 0;
    vkEnumerateDeviceExtensionProperties(physical, nullptr, &count, nullptr);
    std::vector<VkExtensionProperties> there(count);
    vkEnumerateDeviceExtensionProperties(physical, nullptr, &count, there.data());
    std::vector<const char*> names;
    for (const char* name :
         {"VK_KHR_timeline_semaphore", "VK_KHR_buffer_device_address", "VK_KHR_external_memory_fd",
          "VK_EXT_external_memory_host", "VK_EXT_memory_budget", "VK_EXT_memory_priority"}) {
      for (const VkExtensionProperties& one : there) {
        if (std::strcmp(one.extensionName, name) != 0 || !wanted(name) || core_has(name)) continue;
        names.push_back(name);
        extensions.insert(name);
      }
    }
    return names;
  }
  bool create_device() {
    const std::vector<const char*> names = wanted_extensions();
    VkPhysicalDeviceProtectedMemoryFeatures guarded{};
    guarded.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROTECTED_MEMORY_FEATURES;
    VkPhysicalDeviceMemoryPriorityFeaturesEXT priority{};
    priority.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PRIORITY_FEATURES_EXT;
    VkPhysicalDeviceTimelineSemaphoreFeatures timeline{};
    timeline.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES;
    VkPhysicalDeviceBufferDeviceAddressFeatures address{};
    address.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES;
    VkPhysicalDeviceFeatures2 all{};
    all.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    const auto chain = [&](auto& structure) {
      structure.pNext = all.pNext;
      all.pNext = &structure;
    };
    chain(guarded);
    const bool later = properties.apiVersion >= VK_API_VERSION_1_2 && !simulated();
    if (extensions.count("VK_EXT_memory_priority") != 0) chain(priority);
    if (later || extensions.count("VK_KHR_timeline_semaphore") != 0) chain(timeline);
    if (later || extensions.count("VK_KHR_buffer_device_address") != 0) chain(address);
    vkGetPhysicalDeviceFeatures2(physical, &all);
    const VkPhysicalDeviceFeatures core = all.features;
    all.features = {};
    all.features.sparseBinding = core.sparseBinding && wanted("sparseBinding");
    all.features.sparseResidencyBuffer = core.sparseResidencyBuffer && wanted("sparseResidencyBuffer");
    all.features.sparseResidencyAliased = core.sparseResidencyAliased && wanted("sparseResidencyAliased");
    all.features.sparseResidencyImage2D = core.sparseResidencyImage2D && wanted("sparseResidencyImage2D");
    all.features.sparseResidencyImage3D = core.sparseResidencyImage3D && wanted("sparseResidencyImage3D");
    guarded.protectedMemory = guarded.protectedMemory && wanted("protectedMemory");
    priority.memoryPriority = priority.memoryPriority && wanted("memoryPriority");
    timeline.timelineSemaphore = timeline.timelineSemaphore && wanted("timelineSemaphore");
    address.bufferDeviceAddress = address.bufferDeviceAddress && wanted("bufferDeviceAddress");
    address.bufferDeviceAddressCaptureReplay = address.bufferDeviceAddressMultiDevice = VK_FALSE;

    const float level = 1;
    std::vector<VkDeviceQueueCreateInfo> queues;
    for (const std::uint32_t family : families) {
      VkDeviceQueueCreateInfo queue{};
      queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
      queue.queueFamilyIndex = family;
      queue.queueCount = 1;
      queue.pQueuePriorities = &level;
      queues.push_back(queue);
    }
    VkDeviceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    info.pNext = &all;
    info.queueCreateInfoCount = static_cast<std::uint32_t>(queues.size());
    info.pQueueCreateInfos = queues.data();
    info.enabledExtensionCount = static_cast<std::uint32_t>(names.size());
    info.ppEnabledExtensionNames = names.data();
    features = vulkan::features_of(info);
    if (vkCreateDevice(physical, &info, nullptr, &device) != VK_SUCCESS) return false;
    vkGetDeviceQueue(device, graphics_family, 0, &graphics);
    if (all.features.sparseBinding == VK_TRUE) vkGetDeviceQueue(device, sparse_family, 0, &sparse);
    return true;
  }

  VkCommandPool pool_ = VK_NULL_HANDLE;
};

}  // namespace vaspace::test
