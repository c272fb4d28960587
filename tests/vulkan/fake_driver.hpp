// A Vulkan driver of memory calls only, for what lavapipe cannot play: limits, odd atoms, refusals, budgets.
//
// It keeps the rules that it is about by itself: what breaks one is counted in `violations`, whatever the
// backend answers. Its handles are its own address, so several can live side by side.
#pragma once

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>
#include <volk.h>

#include "vaspace/backends/vulkan.hpp"

namespace vaspace::test {

class FakeDriver {
 public:
  struct Object {
    VkDeviceSize size = 0;
    std::uint32_t type = 0;
    VkMemoryAllocateFlags flags = 0;
    std::uint64_t dedicated_buffer = 0, dedicated_image = 0;
    float priority = -1.0F;  // not given
    bool mapped = false;
    std::vector<unsigned char> bytes;
  };

  // What it says of itself; to be changed before a backend is created.
  VkPhysicalDeviceMemoryProperties memory{};
  VkPhysicalDeviceLimits limits{};
  VkDeviceSize max_allocation_size = VkDeviceSize{1} << 30U;
  std::uint32_t api_version = VK_API_VERSION_1_1;
  bool has_budget = true;
  VkResult enumerate_result = VK_SUCCESS;
  std::string missing;  // the name of a function that it has not
  // To be changed at any time.
  VkDeviceSize reported_budget = 0, reported_usage = 0;
  bool counts_usage = false;   // reported_usage and what is allocated
  std::int64_t fail_call = 0;  // the n-th call of a function that can fail, from now on
  VkResult fail_with = VK_ERROR_OUT_OF_DEVICE_MEMORY;
  // What happened.
  int allocate_calls = 0, free_calls = 0, map_calls = 0, unmap_calls = 0;
  std::atomic<int> memory_queries{0};  // budgets are read from several threads
  std::vector<VkMappedMemoryRange> flushed, invalidated;
  std::vector<std::string> violations;
  std::map<std::uint64_t, Object> objects;

  FakeDriver() {
    memory.memoryHeapCount = 2;
    memory.memoryHeaps[0] = {VkDeviceSize{64} << 20U, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT};
    memory.memoryHeaps[1] = {VkDeviceSize{32} << 20U, 0};
    constexpr VkMemoryPropertyFlags kVisible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    add_type(0, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
    add_type(1, kVisible | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
    add_type(1, kVisible | VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
    add_type(0, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT);
    add_type(0, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_PROTECTED_BIT);
    limits.maxMemoryAllocationCount = 4096;
    limits.nonCoherentAtomSize = 64;
  }

  static constexpr std::uint32_t kDeviceLocal = 0, kCoherent = 1, kCached = 2, kLazy = 3, kProtected = 4;

  [[nodiscard]] vulkan::BackendConfig config() {
    vulkan::BackendConfig config;
    config.instance = handle<VkInstance>();
    config.physical_device = handle<VkPhysicalDevice>();
    config.device = handle<VkDevice>();
    config.get_instance_proc_addr = &get_instance_function;
    return config;
  }

  template <class Function>
  static Function function(VkDevice device, const char* name) {
    return reinterpret_cast<Function>(get_device_function(device, name));
  }
  // All that it has, by name; valid for ever.
  static std::vector<vulkan::NamedFunction> all_functions() {
    static const auto of_instance = instance_functions();
    static const auto of_device = device_functions();
    std::vector<vulkan::NamedFunction> all;
    for (const auto* each : {&of_instance, &of_device}) {
      for (const auto& [name, function] : *each)
        all.push_back({name.c_str(), function});
    }
    return all;
  }

 private:
  template <class Handle>
  Handle handle() {
    return reinterpret_cast<Handle>(this);
  }
  template <class Handle>
  static FakeDriver& self(Handle handle) {
    return *reinterpret_cast<FakeDriver*>(handle);
  }
  static std::uint64_t id_of(VkDeviceMemory memory) { return (std::uint64_t)memory; }

  void add_type(std::uint32_t heap, VkMemoryPropertyFlags flags) {
    memory.memoryTypes[memory.memoryTypeCount++] = {flags, heap};
  }
  bool refuses() { return fail_call > 0 && --fail_call == 0; }
  void violation(const char* what) { violations.emplace_back(what); }
  [[nodiscard]] VkDeviceSize held(std::uint32_t heap) const {
    VkDeviceSize sum = 0;
    for (const auto& [id, object] : objects) {
      if (memory.memoryTypes[object.type].heapIndex == heap) sum += object.size;
    }
    return sum;
  }
  Object* find(VkDeviceMemory memory_handle) {
    const auto found = objects.find(id_of(memory_handle));
    if (found == objects.end()) violation("a VkDeviceMemory that does not live");
    return found == objects.end() ? nullptr : &found->second;
  }

  template <class Function>
  static PFN_vkVoidFunction as_void(Function* function) {
    return reinterpret_cast<PFN_vkVoidFunction>(function);
  }
  static PFN_vkVoidFunction VKAPI_PTR get_instance_function(VkInstance instance, const char* name) {
    if (self(instance).missing == name) return nullptr;
    const auto functions = instance_functions();
    const auto found = functions.find(name);
    return found == functions.end() ? nullptr : found->second;
  }
  static std::map<std::string, PFN_vkVoidFunction> instance_functions() {
    return {{"vkGetDeviceProcAddr", as_void(&get_device_function)},
            {"vkGetPhysicalDeviceProperties", as_void(&get_properties)},
            {"vkGetPhysicalDeviceProperties2", as_void(&get_properties2)},
            {"vkGetPhysicalDeviceMemoryProperties2", as_void(&get_memory_properties2)},
            {"vkEnumerateDeviceExtensionProperties", as_void(&enumerate_extensions)}};
  }
  static PFN_vkVoidFunction VKAPI_PTR get_device_function(VkDevice device, const char* name) {
    if (self(device).missing == name) return nullptr;
    const auto functions = device_functions();
    const auto found = functions.find(name);
    return found == functions.end() ? nullptr : found->second;
  }
  static std::map<std::string, PFN_vkVoidFunction> device_functions() {
    return {{"vkAllocateMemory", as_void(&allocate)},
            {"vkFreeMemory", as_void(&free)},
            {"vkMapMemory", as_void(&map)},
            {"vkUnmapMemory", as_void(&unmap)},
            {"vkFlushMappedMemoryRanges", as_void(&flush)},
            {"vkInvalidateMappedMemoryRanges", as_void(&invalidate)}};
  }

  static void VKAPI_PTR get_properties(VkPhysicalDevice device, VkPhysicalDeviceProperties* out) {
    *out = {};
    out->apiVersion = self(device).api_version;
    out->limits = self(device).limits;
    std::strcpy(out->deviceName, "fake");
  }
  static void VKAPI_PTR get_properties2(VkPhysicalDevice device, VkPhysicalDeviceProperties2* out) {
    get_properties(device, &out->properties);
    for (auto* next = static_cast<VkBaseOutStructure*>(out->pNext); next != nullptr; next = next->pNext) {
      if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES)
        reinterpret_cast<VkPhysicalDeviceMaintenance3Properties*>(next)->maxMemoryAllocationSize =
            self(device).max_allocation_size;
    }
  }
  static void VKAPI_PTR get_memory_properties2(VkPhysicalDevice device,
                                               VkPhysicalDeviceMemoryProperties2* out) {
    FakeDriver& driver = self(device);
    ++driver.memory_queries;
    out->memoryProperties = driver.memory;
    for (auto* next = static_cast<VkBaseOutStructure*>(out->pNext); next != nullptr; next = next->pNext) {
      if (next->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT) continue;
      if (!driver.has_budget) driver.violation("asks for a budget without VK_EXT_memory_budget");
      auto& budget = *reinterpret_cast<VkPhysicalDeviceMemoryBudgetPropertiesEXT*>(next);
      for (std::uint32_t heap = 0; heap < driver.memory.memoryHeapCount; ++heap) {
        budget.heapBudget[heap] = driver.reported_budget;
        budget.heapUsage[heap] = driver.reported_usage + (driver.counts_usage ? driver.held(heap) : 0);
      }
    }
  }
  static VkResult VKAPI_PTR enumerate_extensions(VkPhysicalDevice device, const char*, std::uint32_t* count,
                                                 VkExtensionProperties* out) {
    FakeDriver& driver = self(device);
    if (driver.enumerate_result != VK_SUCCESS) return driver.enumerate_result;
    if (out == nullptr) {
      *count = driver.has_budget ? 2 : 1;
      return VK_SUCCESS;
    }
    std::strcpy(out[0].extensionName, "VK_KHR_swapchain");
    if (driver.has_budget) std::strcpy(out[1].extensionName, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    return VK_SUCCESS;
  }

  static void read_chained(const VkBaseInStructure* chained, Object& object) {
    if (chained->sType == VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO)
      object.flags = reinterpret_cast<const VkMemoryAllocateFlagsInfo*>(chained)->flags;
    if (chained->sType == VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT)
      object.priority = reinterpret_cast<const VkMemoryPriorityAllocateInfoEXT*>(chained)->priority;
    if (chained->sType != VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO) return;
    const auto& dedicated = *reinterpret_cast<const VkMemoryDedicatedAllocateInfo*>(chained);
    object.dedicated_buffer = (std::uint64_t)dedicated.buffer;
    object.dedicated_image = (std::uint64_t)dedicated.image;
  }
  static VkResult VKAPI_PTR allocate(VkDevice device, const VkMemoryAllocateInfo* info,
                                     const VkAllocationCallbacks*, VkDeviceMemory* out) {
    FakeDriver& driver = self(device);
    const std::lock_guard<std::mutex> lock(driver.mutex_);
    ++driver.allocate_calls;
    if (driver.refuses()) return driver.fail_with;
    if (driver.objects.size() >= driver.limits.maxMemoryAllocationCount) driver.violation("V4: too many");
    if (info->allocationSize == 0 || info->allocationSize > driver.max_allocation_size)
      driver.violation("V5: allocationSize");
    if (info->memoryTypeIndex >= driver.memory.memoryTypeCount) driver.violation("V6: memoryTypeIndex");
    const std::uint32_t heap = driver.memory.memoryTypes[info->memoryTypeIndex].heapIndex;
    if (info->allocationSize > driver.memory.memoryHeaps[heap].size - driver.held(heap))
      return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    Object object;
    object.size = info->allocationSize;
    object.type = info->memoryTypeIndex;
    for (auto* next = static_cast<const VkBaseInStructure*>(info->pNext); next != nullptr; next = next->pNext)
      read_chained(next, object);
    driver.objects[++driver.last_id_] = std::move(object);
    *out = (VkDeviceMemory)driver.last_id_;
    return VK_SUCCESS;
  }
  static void VKAPI_PTR free(VkDevice device, VkDeviceMemory memory_handle, const VkAllocationCallbacks*) {
    FakeDriver& driver = self(device);
    const std::lock_guard<std::mutex> lock(driver.mutex_);
    ++driver.free_calls;
    if (driver.find(memory_handle) != nullptr) driver.objects.erase(id_of(memory_handle));
  }
  static VkResult VKAPI_PTR map(VkDevice device, VkDeviceMemory memory_handle, VkDeviceSize offset,
                                VkDeviceSize size, VkMemoryMapFlags, void** out) {
    FakeDriver& driver = self(device);
    const std::lock_guard<std::mutex> lock(driver.mutex_);
    ++driver.map_calls;
    if (driver.refuses()) return driver.fail_with;
    Object* object = driver.find(memory_handle);
    if (object == nullptr) return VK_ERROR_MEMORY_MAP_FAILED;
    if (object->mapped) driver.violation("V10: mapped twice");
    if ((driver.memory.memoryTypes[object->type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0)
      driver.violation("V11: not host-visible");
    if (offset != 0 || size != VK_WHOLE_SIZE) driver.violation("V10: not the whole object");
    object->mapped = true;
    object->bytes.resize(object->size);
    *out = object->bytes.data();
    return VK_SUCCESS;
  }
  static void VKAPI_PTR unmap(VkDevice device, VkDeviceMemory memory_handle) {
    FakeDriver& driver = self(device);
    const std::lock_guard<std::mutex> lock(driver.mutex_);
    ++driver.unmap_calls;
    Object* object = driver.find(memory_handle);
    if (object == nullptr) return;
    if (!object->mapped) driver.violation("V10: unmapped twice");
    object->mapped = false;
  }
  VkResult synchronise(std::uint32_t count, const VkMappedMemoryRange* ranges,
                       std::vector<VkMappedMemoryRange>& list) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (refuses()) return fail_with;
    for (std::uint32_t i = 0; i < count; ++i) {
      const VkMappedMemoryRange& range = ranges[i];
      const Object* object = find(range.memory);
      if (object == nullptr) continue;
      const VkDeviceSize atom = limits.nonCoherentAtomSize;
      if (!object->mapped || range.offset + range.size > object->size) violation("V12: outside the map");
      if (range.offset % atom != 0) violation("V12: offset");
      if (range.size % atom != 0 && range.offset + range.size != object->size) violation("V12: size");
      list.push_back(range);
    }
    return VK_SUCCESS;
  }
  static VkResult VKAPI_PTR flush(VkDevice device, std::uint32_t count, const VkMappedMemoryRange* ranges) {
    return self(device).synchronise(count, ranges, self(device).flushed);
  }
  static VkResult VKAPI_PTR invalidate(VkDevice device, std::uint32_t count,
                                       const VkMappedMemoryRange* ranges) {
    return self(device).synchronise(count, ranges, self(device).invalidated);
  }

  std::mutex mutex_;
  std::uint64_t last_id_ = 0;
};

}  // namespace vaspace::test
