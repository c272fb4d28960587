#include "vaspace/frontends/vulkan/headless.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <dlfcn.h>

#include "vaspace/base/host_array.hpp"

#include "resource_calls.hpp"

namespace vaspace::vulkan {

namespace {

constexpr std::uint32_t kMostDevices = 32;
constexpr std::uint32_t kMostFamilies = 16;

constexpr const char* kWanted[] = {"VK_KHR_timeline_semaphore", "VK_KHR_buffer_device_address",
                                   "VK_KHR_external_memory_fd", "VK_EXT_external_memory_host",
                                   "VK_EXT_memory_budget",      "VK_EXT_memory_priority"};
constexpr std::size_t kWantedCount = std::size(kWanted);

}  // namespace

struct HeadlessDevice::State {
  State() noexcept = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  [[nodiscard]] Result<void> open_instance() noexcept;
  [[nodiscard]] Result<void> list() noexcept;
  [[nodiscard]] Result<void> open_device(std::string_view name) noexcept;
  [[nodiscard]] Result<void> choose_families() noexcept;
  [[nodiscard]] Result<void> choose_extensions() noexcept;
  [[nodiscard]] Result<void> create_device() noexcept;
  [[nodiscard]] bool has(const char* extension) const noexcept {
    return std::any_of(extensions, extensions + extension_count,
                       [&](const char* one) { return std::strcmp(one, extension) == 0; });
  }
  template <class Function>
  [[nodiscard]] Function of_instance(const char* name) const noexcept {
    return reinterpret_cast<Function>(get(instance, name));
  }
  template <class Function>
  [[nodiscard]] Function of_device(const char* name) const noexcept {
    return reinterpret_cast<Function>(get_of_device(device, name));
  }

  void* library = nullptr;
  PFN_vkGetInstanceProcAddr get = nullptr;
  PFN_vkGetDeviceProcAddr get_of_device = nullptr;
  VkInstance instance = VK_NULL_HANDLE;
  std::uint32_t count = 0;
  VkPhysicalDevice devices[kMostDevices]{};
  VkPhysicalDevice physical = VK_NULL_HANDLE;
  VkPhysicalDeviceProperties properties{};
  const char* extensions[kWantedCount]{};
  std::uint32_t extension_count = 0;
  std::uint32_t families[2]{};
  std::uint32_t family_count = 0;
  bool has_sparse_family = false;
  VkDevice device = VK_NULL_HANDLE;
  DeviceFeatures features{};
  Queue queue{};
  Queue sparse{};
};

HeadlessDevice::State::~State() {
  if (device != VK_NULL_HANDLE) of_device<PFN_vkDestroyDevice>("vkDestroyDevice")(device, nullptr);
  if (instance != VK_NULL_HANDLE) of_instance<PFN_vkDestroyInstance>("vkDestroyInstance")(instance, nullptr);
  if (library != nullptr) dlclose(library);
}

Result<void> HeadlessDevice::State::open_instance() noexcept {
  library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fail(ErrorCode::io_error);
  get = reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
  if (get == nullptr) return fail(ErrorCode::driver_error);
  const auto create = reinterpret_cast<PFN_vkCreateInstance>(get(VK_NULL_HANDLE, "vkCreateInstance"));
  if (create == nullptr) return fail(ErrorCode::driver_error);
  VkApplicationInfo application{};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.apiVersion = VK_API_VERSION_1_2;
  VkInstanceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &application;
  const VkResult result = create(&info, nullptr, &instance);
  if (result != VK_SUCCESS) return refusal(result, "vkCreateInstance");
  get_of_device = of_instance<PFN_vkGetDeviceProcAddr>("vkGetDeviceProcAddr");
  return list();
}

Result<void> HeadlessDevice::State::list() noexcept {
  const auto enumerate = of_instance<PFN_vkEnumeratePhysicalDevices>("vkEnumeratePhysicalDevices");
  VkResult result = enumerate(instance, &count, nullptr);
  count = std::min(count, kMostDevices);
  if (result == VK_SUCCESS) result = enumerate(instance, &count, devices);
  if (result != VK_SUCCESS && result != VK_INCOMPLETE) return refusal(result, "vkEnumeratePhysicalDevices");
  return {};
}

Result<void> HeadlessDevice::State::open_device(std::string_view name) noexcept {
  const auto get_properties = of_instance<PFN_vkGetPhysicalDeviceProperties>("vkGetPhysicalDeviceProperties");
  for (std::uint32_t i = 0; i < count && physical == VK_NULL_HANDLE; ++i) {
    get_properties(devices[i], &properties);
    const bool named = name.empty() || name == properties.deviceName;
    if (named && properties.apiVersion >= VK_API_VERSION_1_1) physical = devices[i];
  }
  if (physical == VK_NULL_HANDLE) return fail(ErrorCode::not_supported);
  if (const auto chosen = choose_families(); !chosen) return chosen;
  if (const auto chosen = choose_extensions(); !chosen) return chosen;
  return create_device();
}

Result<void> HeadlessDevice::State::choose_families() noexcept {
  const auto get_families =
      of_instance<PFN_vkGetPhysicalDeviceQueueFamilyProperties>("vkGetPhysicalDeviceQueueFamilyProperties");
  VkQueueFamilyProperties all[kMostFamilies];
  std::uint32_t number = 0;
  get_families(physical, &number, nullptr);
  number = std::min(number, kMostFamilies);
  get_families(physical, &number, all);
  const auto first = [&](VkQueueFlags flags) {
    return static_cast<std::uint32_t>(
        std::find_if(all, all + number,
                     [&](const VkQueueFamilyProperties& one) { return (one.queueFlags & flags) != 0; }) -
        all);
  };
  queue.family = first(VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT);
  if (queue.family == number) return fail(ErrorCode::not_supported);
  families[family_count++] = queue.family;
  sparse.family = first(VK_QUEUE_SPARSE_BINDING_BIT);
  has_sparse_family = sparse.family != number;
  if (has_sparse_family && sparse.family != queue.family) families[family_count++] = sparse.family;
  return {};
}

Result<void> HeadlessDevice::State::choose_extensions() noexcept {
  const auto enumerate =
      of_instance<PFN_vkEnumerateDeviceExtensionProperties>("vkEnumerateDeviceExtensionProperties");
  std::uint32_t number = 0;
  VkResult result = enumerate(physical, nullptr, &number, nullptr);
  if (result != VK_SUCCESS) return refusal(result, "vkEnumerateDeviceExtensionProperties");
  HostArray<VkExtensionProperties> there(default_host_allocator());
  if (!there.resize(number)) return fail(ErrorCode::out_of_host_memory);
  result = enumerate(physical, nullptr, &number, there.data());
  if (result != VK_SUCCESS && result != VK_INCOMPLETE)
    return refusal(result, "vkEnumerateDeviceExtensionProperties");
  for (const char* wanted : kWanted) {
    const bool found = std::any_of(
        there.begin(), there.begin() + number,
        [&](const VkExtensionProperties& one) { return std::strcmp(one.extensionName, wanted) == 0; });
    if (found) extensions[extension_count++] = wanted;
  }
  return {};
}

Result<void> HeadlessDevice::State::create_device() noexcept {
  VkPhysicalDeviceFeatures2 all{};
  all.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  const auto chain = [&](auto& structure, VkStructureType type) {
    structure.sType = type;
    structure.pNext = all.pNext;
    all.pNext = &structure;
  };
  const bool later = properties.apiVersion >= VK_API_VERSION_1_2;
  VkPhysicalDeviceMemoryPriorityFeaturesEXT priority{};
  VkPhysicalDeviceTimelineSemaphoreFeatures timeline{};
  VkPhysicalDeviceBufferDeviceAddressFeatures address{};
  if (has("VK_EXT_memory_priority"))
    chain(priority, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PRIORITY_FEATURES_EXT);
  if (later || has("VK_KHR_timeline_semaphore"))
    chain(timeline, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES);
  if (later || has("VK_KHR_buffer_device_address"))
    chain(address, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES);
  of_instance<PFN_vkGetPhysicalDeviceFeatures2>("vkGetPhysicalDeviceFeatures2")(physical, &all);
  const VkPhysicalDeviceFeatures core = all.features;
  all.features = {};
  all.features.sparseBinding = core.sparseBinding;
  all.features.sparseResidencyBuffer = core.sparseResidencyBuffer;
  all.features.sparseResidencyAliased = core.sparseResidencyAliased;
  all.features.sparseResidencyImage2D = core.sparseResidencyImage2D;
  all.features.sparseResidencyImage3D = core.sparseResidencyImage3D;
  address.bufferDeviceAddressCaptureReplay = address.bufferDeviceAddressMultiDevice = VK_FALSE;

  const float level = 1;
  VkDeviceQueueCreateInfo queues[2]{};
  for (std::uint32_t i = 0; i < family_count; ++i) {
    queues[i].sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queues[i].queueFamilyIndex = families[i];
    queues[i].queueCount = 1;
    queues[i].pQueuePriorities = &level;
  }
  VkDeviceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  info.pNext = &all;
  info.queueCreateInfoCount = family_count;
  info.pQueueCreateInfos = queues;
  info.enabledExtensionCount = extension_count;
  info.ppEnabledExtensionNames = extensions;
  features = features_of(info);
  const VkResult result =
      of_instance<PFN_vkCreateDevice>("vkCreateDevice")(physical, &info, nullptr, &device);
  if (result != VK_SUCCESS) return refusal(result, "vkCreateDevice");
  const auto get_queue = of_device<PFN_vkGetDeviceQueue>("vkGetDeviceQueue");
  get_queue(device, queue.family, 0, &queue.queue);
  if (has_sparse_family && features.sparse_binding) get_queue(device, sparse.family, 0, &sparse.queue);
  return {};
}

HeadlessDevice::HeadlessDevice(HostObject<State> state) noexcept : state_(std::move(state)) {}
HeadlessDevice::~HeadlessDevice() = default;

Result<void> HeadlessDevice::each(void (*visit)(void* user, std::string_view name) noexcept,
                                  void* user) noexcept {
  State state;
  if (const auto opened = state.open_instance(); !opened) return opened;
  const auto get_properties =
      state.of_instance<PFN_vkGetPhysicalDeviceProperties>("vkGetPhysicalDeviceProperties");
  for (std::uint32_t i = 0; i < state.count; ++i) {
    get_properties(state.devices[i], &state.properties);
    visit(user, state.properties.deviceName);
  }
  return {};
}

Result<HostObject<HeadlessDevice>> HeadlessDevice::create(std::string_view name) noexcept {
  const HostAllocator host = default_host_allocator();
  auto state = make_host_object<State>(host);
  if (!state) return fail(ErrorCode::out_of_host_memory);
  if (const auto opened = state->open_instance(); !opened) return fail(opened.error());
  if (const auto opened = state->open_device(name); !opened) return fail(opened.error());
  auto device = make_host_object<HeadlessDevice>(host, std::move(state));
  if (!device) return fail(ErrorCode::out_of_host_memory);
  return device;
}

std::string_view HeadlessDevice::name() const noexcept {
  return state_->properties.deviceName;
}

BackendConfig HeadlessDevice::config() const noexcept {
  BackendConfig config;
  config.instance = state_->instance;
  config.physical_device = state_->physical;
  config.device = state_->device;
  config.get_instance_proc_addr = state_->get;
  config.features = state_->features;
  return config;
}

Queue HeadlessDevice::queue() const noexcept {
  return state_->queue;
}

Queue HeadlessDevice::sparse_queue() const noexcept {
  return state_->sparse;
}

std::span<const std::uint32_t> HeadlessDevice::families() const noexcept {
  return {state_->families, state_->family_count};
}

Result<HeadlessDevice::Picture> HeadlessDevice::create_image(Bytes at_most, bool optimal) noexcept {
  const State& state = *state_;
  constexpr std::uint64_t kTexel = 4;
  auto side = static_cast<std::uint32_t>(std::sqrt(static_cast<double>(at_most.value / kTexel)));
  side = std::min(side, state.properties.limits.maxImageDimension2D);
  VkImageCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
  info.imageType = VK_IMAGE_TYPE_2D;
  info.format = VK_FORMAT_R8G8B8A8_UNORM;
  info.mipLevels = info.arrayLayers = 1;
  info.samples = VK_SAMPLE_COUNT_1_BIT;
  info.tiling = optimal ? VK_IMAGE_TILING_OPTIMAL : VK_IMAGE_TILING_LINEAR;
  info.usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
  // Rows and the whole are padded: a little smaller until it fits.
  for (; side != 0; side -= std::max(side / 8, 1U)) {
    info.extent = {side, side, 1};
    Picture picture;
    const VkResult result =
        state.of_device<PFN_vkCreateImage>("vkCreateImage")(state.device, &info, nullptr, &picture.image);
    if (result != VK_SUCCESS) return refusal(result, "vkCreateImage");
    VkMemoryRequirements needs{};
    state.of_device<PFN_vkGetImageMemoryRequirements>("vkGetImageMemoryRequirements")(state.device,
                                                                                      picture.image, &needs);
    picture.needs = {Bytes{needs.size}, Alignment{needs.alignment}, needs.memoryTypeBits};
    if (picture.needs.size <= at_most) return picture;
    state.of_device<PFN_vkDestroyImage>("vkDestroyImage")(state.device, picture.image, nullptr);
  }
  return fail(ErrorCode::too_large);
}

void HeadlessDevice::destroy(VkImage image) noexcept {
  state_->of_device<PFN_vkDestroyImage>("vkDestroyImage")(state_->device, image, nullptr);
}

}  // namespace vaspace::vulkan
