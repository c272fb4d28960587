// How a sparse backend comes to be.
#include <algorithm>

#include "vaspace/device/profile_checks.hpp"

#include "memory_order.hpp"
#include "sparse_state.hpp"

namespace vaspace::vulkan {

namespace {

constexpr Bytes kLargePage = 2_MiB;
// Where the configuration does not say how many: a process that has more than some hundreds is slow on some
// drivers, and the layer says so from 250 on.
constexpr std::uint64_t kMemoryObjects = 240;

bool valid(const SparseConfig& config) noexcept {
  return config.sparse.queue != nullptr && config.usage != 0 && Alignment{config.page_size}.valid() &&
         config.page_size <= 1_GiB && config.families.size() <= SparseConfig::kMaxFamilies;
}

bool complete(const Driver& driver, const SparseConfig& config) noexcept {
  const VolkDeviceTable& call = driver.functions;
  const bool addresses = (config.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0;
  return call.vkCreateBuffer != nullptr && call.vkDestroyBuffer != nullptr &&
         call.vkGetBufferMemoryRequirements != nullptr && call.vkQueueBindSparse != nullptr &&
         call.vkQueueSubmit != nullptr && call.vkCreateSemaphore != nullptr &&
         call.vkDestroySemaphore != nullptr && call.vkCreateCommandPool != nullptr &&
         call.vkDestroyCommandPool != nullptr && call.vkAllocateCommandBuffers != nullptr &&
         call.vkFreeCommandBuffers != nullptr && call.vkBeginCommandBuffer != nullptr &&
         call.vkEndCommandBuffer != nullptr && call.vkCmdCopyBuffer != nullptr &&
         driver.get_counter_value != nullptr && driver.wait_semaphores != nullptr &&
         (!addresses || driver.get_buffer_device_address != nullptr);
}

// V31.
Result<bool> family_has(const Driver& driver, const HostAllocator& host, std::uint32_t family,
                        VkQueueFlags any_of) noexcept {
  if (driver.get_queue_families == nullptr) return fail(ErrorCode::driver_error);
  std::uint32_t count = 0;
  driver.get_queue_families(driver.physical_device, &count, nullptr);
  HostArray<VkQueueFamilyProperties> families(host);
  if (!families.resize(count)) return fail(ErrorCode::out_of_host_memory);
  driver.get_queue_families(driver.physical_device, &count, families.data());
  return family < count && (families[family].queueFlags & any_of) != 0;
}

}  // namespace

Result<void> check_families(const Driver& driver, const SparseConfig& config) noexcept {
  const HostAllocator& host = config.device.host;
  auto fits = family_has(driver, host, config.sparse.family, VK_QUEUE_SPARSE_BINDING_BIT);
  if (fits && *fits && config.transfer.queue != nullptr)
    fits = family_has(driver, host, config.transfer.family,
                      VK_QUEUE_TRANSFER_BIT | VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT);
  if (!fits) return fail(fits.error());
  if (!*fits) return fail(ErrorCode::invalid_configuration);
  return {};
}

const char* SparseBackend::missing_feature(const SparseConfig& config) noexcept {
  const DeviceFeatures& features = config.device.features;
  const bool addresses = (config.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0;
  if (!features.sparse_binding) return "sparseBinding";
  if (!features.timeline_semaphore) return "timelineSemaphore";
  if (addresses && !features.buffer_device_address) return "bufferDeviceAddress";
  if (config.aliasing && !features.sparse_residency_buffer) return "sparseResidencyBuffer";
  if (config.aliasing && !features.sparse_residency_aliased) return "sparseResidencyAliased";
  return nullptr;
}

SparseBackend::State::State(const SparseConfig& given) noexcept
    : config(given),
      timelines(given.device.host),
      chain(given.device.host),
      journal(given.device.host),
      ops(given.device.host),
      copies(given.device.host),
      buffers(given.device.host),
      reservations(given.device.host),
      objects(given.device.host),
      bindings(profile, reservations, objects, given.device.host),
      pages(given.device.host) {
  // The application's array need not live on.
  const std::size_t count = std::min(given.families.size(), families.size());
  std::copy_n(given.families.begin(), count, families.begin());
  if (given.families.size() <= families.size()) config.families = std::span(families).first(count);
}

Result<VkBuffer> SparseBackend::State::create_buffer(Bytes size) const noexcept {
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.flags = VK_BUFFER_CREATE_SPARSE_BINDING_BIT;
  if (!whole()) info.flags |= VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT;
  if (config.aliasing) info.flags |= VK_BUFFER_CREATE_SPARSE_ALIASED_BIT;
  info.size = size.value;
  info.usage = config.usage | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  if (config.families.size() > 1) {
    info.sharingMode = VK_SHARING_MODE_CONCURRENT;
    info.queueFamilyIndexCount = static_cast<std::uint32_t>(config.families.size());
    info.pQueueFamilyIndices = config.families.data();
  }
  VkBuffer buffer = VK_NULL_HANDLE;
  const VkResult result = driver.functions.vkCreateBuffer(driver.device, &info, nullptr, &buffer);
  if (result != VK_SUCCESS) return refusal(result, "vkCreateBuffer");
  return buffer;
}

Result<VkDeviceMemory> SparseBackend::State::allocate(Bytes size, std::uint32_t memory_type,
                                                      float priority) const noexcept {
  MemoryTraits traits;
  traits.device_address = profile.capabilities.device_address;
  traits.priority = priority;
  MemoryObjectClaim of_share(*allowance);
  MemoryObjectClaim claim(*account);
  if (!claim || !of_share) return fail(ErrorCode::out_of_address_space);
  const MemoryGate& gate = config.gate;
  const Result<void> entered =
      gate.enter != nullptr ? gate.enter(gate.user, memory_type, size) : Result<void>{};
  if (!entered) return fail(entered.error());
  const auto memory = MemoryOrder(size, memory_type, traits, config.device.features).allocate(driver);
  if (memory) claim.keep();
  if (memory) of_share.keep();
  const auto tell = memory ? gate.taken : gate.refused;
  if (tell != nullptr) tell(gate.user, memory_type, size);
  return memory;
}

void SparseBackend::State::free(VkDeviceMemory memory, Bytes size, std::uint32_t memory_type) const noexcept {
  const MemoryGate& gate = config.gate;
  if (gate.leaving != nullptr) gate.leaving(gate.user, memory_type, size);
  driver.functions.vkFreeMemory(driver.device, memory, nullptr);
  if (gate.left != nullptr) gate.left(gate.user, memory_type, size);
  account->give_back_memory_object();
  allowance->give_back_memory_object();
}

// A buffer of one page says which memory and what unit of binding all of them want (V6, V19). It is a sparse
// resource too (V30), and what it needs is known only when it is there: no device's blocks are above 2 MiB.
Result<VkMemoryRequirements> SparseBackend::State::probe() noexcept {
  const Bytes most = std::max(config.page_size, kLargePage);
  if (!account->claim_sparse(most)) return fail(ErrorCode::out_of_address_space);
  VkMemoryRequirements needs{};
  const auto buffer = create_buffer(config.page_size);
  if (buffer) {
    driver.functions.vkGetBufferMemoryRequirements(driver.device, *buffer, &needs);
    driver.functions.vkDestroyBuffer(driver.device, *buffer, nullptr);
  }
  account->give_back_sparse(most);
  if (!buffer) return fail(buffer.error());
  return needs;
}

Result<void> SparseBackend::State::open() noexcept {
  if (!valid(config)) return fail(ErrorCode::invalid_configuration);
  if (SparseBackend::missing_feature(config) != nullptr) return fail(ErrorCode::not_supported);
  if (const auto loaded = Driver::load(config.device, driver); !loaded) return loaded;
  if (!complete(driver, config)) return fail(ErrorCode::driver_error);
  if (const auto read = read_device(driver, config.device, profile, limits); !read) return read;
  if (const auto checked = check_families(driver, config); !checked) return checked;
  own_account.set_limits(profile.capabilities.max_reservations, limits.sparse_address_space);
  if (config.device.account != nullptr) account = config.device.account;
  if (config.allowance != nullptr) allowance = config.allowance;
  const auto probed = probe();
  if (!probed) return fail(probed.error());
  const VkMemoryRequirements& needs = *probed;
  type_bits = needs.memoryTypeBits;

  const Bytes page = std::max(config.page_size, Bytes{needs.alignment});
  const std::array<Bytes, 2> sizes{page, kLargePage};
  Capabilities& can = profile.capabilities;
  const std::uint64_t own = config.device.max_memory_objects != 0 ? PageMemory::kMaxBlocks : kMemoryObjects;
  pages.limit_blocks(static_cast<std::uint32_t>(std::min(can.max_reservations, own)));
  can.bind = can.partial_unbind = can.physical_offset = can.completes_later = !whole();
  can.reserve_commits = whole();
  // V28. What is not bound is bound to nothing, where the device promises zeros.
  can.null_binds = can.bind && limits.strict_holes;
  can.aliasing = config.aliasing;
  can.map = can.dedicated = can.external_memory = false;
  can.copy = config.transfer.queue != nullptr;
  can.device_address = (config.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0;
  set_page_sizes(profile, std::span(sizes).first(page < kLargePage ? 2 : 1));
  profile.reservation_granularity = reservation_granularity(profile.pages());
  if (whole()) profile.page_size_count = 0;
  profile.pageable_types = 0;
  for (std::uint32_t type = 0; type < profile.memory_type_count; ++type)
    if (serves(type)) profile.pageable_types |= 1U << type;
  const Bytes most_memory = can.max_reservation_size;
  const Bytes most = std::min(whole() ? most_memory : 1_TiB, limits.sparse_address_space);
  can.max_reservation_size = align_down(most, Alignment{profile.reservation_granularity});
  if (!whole()) can.max_reservations = kUnlimited;
  return chain.create(driver, config);
}

Result<HostObject<SparseBackend>> SparseBackend::create(const SparseConfig& config) noexcept {
  const HostAllocator& host = config.device.host;
  auto state = make_host_object<State>(host, config);
  if (!state) return fail(ErrorCode::out_of_host_memory);
  if (const auto opened = state->open(); !opened) return fail(opened.error());
  state->config.device.functions = {};  // only read during create()
  auto backend = make_host_object<SparseBackend>(host, std::move(state));
  if (!backend) return fail(ErrorCode::out_of_host_memory);
  return backend;
}

}  // namespace vaspace::vulkan
