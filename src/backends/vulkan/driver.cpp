#include "driver.hpp"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <utility>

namespace vaspace::vulkan {

Loader::Loader(Loader&& other) noexcept : library_(std::exchange(other.library_, nullptr)) {}

Loader& Loader::operator=(Loader&& other) noexcept {
  std::swap(library_, other.library_);
  return *this;
}

Loader::~Loader() {
  if (library_ != nullptr) dlclose(library_);
}

Result<Loader> Loader::open(const char* name) noexcept {
  Loader loader;
  loader.library_ = name == nullptr ? nullptr : dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (loader.library_ == nullptr) return fail(ErrorCode::io_error, ENOENT);
  return loader;
}

PFN_vkVoidFunction Loader::symbol(const char* name) const noexcept {
  return library_ == nullptr ? nullptr : reinterpret_cast<PFN_vkVoidFunction>(dlsym(library_, name));
}

namespace {

// Where functions come from, in this order: those that the application named, the device's or the instance's
// look-up, and without an instance the loader's own exports. The loader is opened when it is first needed.
class Source {
 public:
  Source(const BackendConfig& config, Loader& loader) noexcept
      : config_(config), loader_(loader), get_(config.get_instance_proc_addr) {}

  // Errors: io_error (the loader), driver_error (no such function).
  template <class Function>
  [[nodiscard]] Result<void> find(const char* name, Function& function) noexcept {
    PFN_vkVoidFunction found = named(name);
    if (found == nullptr) {
      if (const auto opened = open(); !opened) return opened;
      found = config_.instance != VK_NULL_HANDLE ? get_(config_.instance, name) : loader_.symbol(name);
    }
    function = reinterpret_cast<Function>(found);
    if (found == nullptr) return fail(ErrorCode::driver_error);
    return {};
  }
  template <class Function>
  void find_if_there(const char* name, Function& function) noexcept {
    (void)find(name, function);
  }
  [[nodiscard]] PFN_vkVoidFunction named(const char* name) const noexcept {
    for (const NamedFunction& each : config_.functions) {
      if (each.name != nullptr && std::strcmp(each.name, name) == 0) return each.function;
    }
    return nullptr;
  }

 private:
  [[nodiscard]] Result<void> open() noexcept {
    if (get_ != nullptr) return {};
    auto opened = Loader::open(config_.loader);
    if (!opened) return fail(opened.error());
    loader_ = std::move(*opened);
    get_ = reinterpret_cast<PFN_vkGetInstanceProcAddr>(loader_.symbol("vkGetInstanceProcAddr"));
    if (get_ == nullptr) return fail(ErrorCode::driver_error);
    return {};
  }

  const BackendConfig& config_;
  Loader& loader_;
  PFN_vkGetInstanceProcAddr get_;
};

bool valid(const BackendConfig& config) noexcept {
  const bool instance_needed = config.get_instance_proc_addr != nullptr;
  return config.physical_device != VK_NULL_HANDLE && config.device != VK_NULL_HANDLE &&
         (config.instance != VK_NULL_HANDLE || !instance_needed);
}

bool complete(const VolkDeviceTable& table) noexcept {
  return table.vkAllocateMemory != nullptr && table.vkFreeMemory != nullptr && table.vkMapMemory != nullptr &&
         table.vkUnmapMemory != nullptr && table.vkFlushMappedMemoryRanges != nullptr &&
         table.vkInvalidateMappedMemoryRanges != nullptr;
}

struct DeviceLookup {
  const Source& source;
  VkDevice device;
  PFN_vkGetDeviceProcAddr get;

  static PFN_vkVoidFunction find(void* context, const char* name) {
    const auto& self = *static_cast<const DeviceLookup*>(context);
    const PFN_vkVoidFunction own = self.source.named(name);
    return own != nullptr || self.get == nullptr ? own : self.get(self.device, name);
  }
};

// A function of a later Vulkan, by the name that it has there or had before.
template <class Function>
Function either(DeviceLookup& lookup, const char* name, const char* before) noexcept {
  const PFN_vkVoidFunction found = DeviceLookup::find(&lookup, name);
  return reinterpret_cast<Function>(found != nullptr ? found : DeviceLookup::find(&lookup, before));
}

Result<void> load_physical_device(Source& source, Driver& driver) noexcept {
  if (const auto found = source.find("vkGetPhysicalDeviceProperties", driver.get_properties); !found)
    return found;
  if (const auto found = source.find("vkEnumerateDeviceExtensionProperties", driver.enumerate_extensions);
      !found)
    return found;
  VkPhysicalDeviceProperties properties{};
  driver.get_properties(driver.physical_device, &properties);
  if (properties.apiVersion < VK_API_VERSION_1_1) return fail(ErrorCode::not_supported);
  if (const auto found = source.find("vkGetPhysicalDeviceProperties2", driver.get_properties2); !found)
    return found;
  if (const auto found = source.find("vkGetPhysicalDeviceMemoryProperties2", driver.get_memory_properties2);
      !found)
    return found;
  source.find_if_there("vkGetPhysicalDeviceQueueFamilyProperties", driver.get_queue_families);
  source.find_if_there("vkGetPhysicalDeviceExternalBufferProperties", driver.get_external_buffer_properties);
  source.find_if_there("vkGetPhysicalDeviceImageFormatProperties2", driver.get_image_format_properties2);
  source.find_if_there("vkGetPhysicalDeviceSparseImageFormatProperties2", driver.get_sparse_formats);
  return {};
}

}  // namespace

Result<void> Driver::load(const BackendConfig& config, Driver& driver) noexcept {
  if (!valid(config)) return fail(ErrorCode::invalid_configuration);
  driver.physical_device = config.physical_device;
  driver.device = config.device;
  Source source(config, driver.loader);
  DeviceLookup lookup{source, config.device, config.get_device_proc_addr};
  if (lookup.get == nullptr) {
    // Missing is an error only if something that is needed was not named.
    const auto found = source.find("vkGetDeviceProcAddr", lookup.get);
    if (!found && config.functions.empty()) return found;
  }
  if (const auto loaded = load_physical_device(source, driver); !loaded) return loaded;

  vaspace_volk_fill_table(&driver.functions, &lookup, &DeviceLookup::find);
  if (!complete(driver.functions)) return fail(ErrorCode::driver_error);
  driver.get_counter_value = either<PFN_vkGetSemaphoreCounterValue>(lookup, "vkGetSemaphoreCounterValue",
                                                                    "vkGetSemaphoreCounterValueKHR");
  driver.wait_semaphores = either<PFN_vkWaitSemaphores>(lookup, "vkWaitSemaphores", "vkWaitSemaphoresKHR");
  driver.get_buffer_device_address =
      either<PFN_vkGetBufferDeviceAddress>(lookup, "vkGetBufferDeviceAddress", "vkGetBufferDeviceAddressKHR");
  // A name of debug utils is the same in any version.
  driver.set_object_name = either<PFN_vkSetDebugUtilsObjectNameEXT>(lookup, "vkSetDebugUtilsObjectNameEXT",
                                                                    "vkSetDebugUtilsObjectNameEXT");
  return {};
}

}  // namespace vaspace::vulkan
