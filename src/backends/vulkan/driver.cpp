#include "driver.hpp"

#include <cerrno>
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

// Where functions above the device come from: the instance, or without one the loader's own exports.
struct Source {
  VkInstance instance;
  PFN_vkGetInstanceProcAddr get;
  const Loader& loader;

  template <class Function>
  [[nodiscard]] bool find(const char* name, Function& function) const noexcept {
    function =
        reinterpret_cast<Function>(instance != VK_NULL_HANDLE ? get(instance, name) : loader.symbol(name));
    return function != nullptr;
  }
};

Result<PFN_vkGetInstanceProcAddr> instance_lookup(const BackendConfig& config, Loader& loader) noexcept {
  if (config.get_instance_proc_addr != nullptr) return config.get_instance_proc_addr;
  auto opened = Loader::open(config.loader);
  if (!opened) return fail(opened.error());
  loader = std::move(*opened);
  const auto get = reinterpret_cast<PFN_vkGetInstanceProcAddr>(loader.symbol("vkGetInstanceProcAddr"));
  if (get == nullptr) return fail(ErrorCode::driver_error);
  return get;
}

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

}  // namespace

Result<void> Driver::load(const BackendConfig& config, Driver& driver) noexcept {
  if (!valid(config)) return fail(ErrorCode::invalid_configuration);
  const auto get = instance_lookup(config, driver.loader);
  if (!get) return fail(get.error());
  driver.physical_device = config.physical_device;
  driver.device = config.device;

  const Source source{config.instance, *get, driver.loader};
  auto get_device_function = config.get_device_proc_addr;
  if (get_device_function == nullptr && !source.find("vkGetDeviceProcAddr", get_device_function))
    return fail(ErrorCode::driver_error);
  if (!source.find("vkGetPhysicalDeviceProperties", driver.get_properties) ||
      !source.find("vkEnumerateDeviceExtensionProperties", driver.enumerate_extensions))
    return fail(ErrorCode::driver_error);

  VkPhysicalDeviceProperties properties{};
  driver.get_properties(driver.physical_device, &properties);
  if (properties.apiVersion < VK_API_VERSION_1_1) return fail(ErrorCode::not_supported);
  if (!source.find("vkGetPhysicalDeviceProperties2", driver.get_properties2) ||
      !source.find("vkGetPhysicalDeviceMemoryProperties2", driver.get_memory_properties2))
    return fail(ErrorCode::driver_error);

  vaspace_volk_fill_table(&driver.functions, driver.device, get_device_function);
  if (!complete(driver.functions)) return fail(ErrorCode::driver_error);
  return {};
}

tl::unexpected<Error> refusal(VkResult result) noexcept {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return fail(ErrorCode::out_of_host_memory, result);
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return fail(ErrorCode::out_of_device_memory, result);
    case VK_ERROR_TOO_MANY_OBJECTS:
      return fail(ErrorCode::out_of_address_space, result);
    case VK_ERROR_DEVICE_LOST:
      return fail(ErrorCode::device_lost, result);
    default:
      return fail(ErrorCode::driver_error, result);
  }
}

}  // namespace vaspace::vulkan
