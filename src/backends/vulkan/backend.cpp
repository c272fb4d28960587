#include <algorithm>
#include <cstring>
#include <utility>

#include "vaspace/base/identity.hpp"
#include "vaspace/device/profile_checks.hpp"

#include "state.hpp"

namespace vaspace::vulkan {

Backend::State::~State() {
  for (std::uint32_t slot = 0; slot < objects.size(); ++slot) {
    if (objects[slot].state != MemoryObject::State::live) continue;
    driver.functions.vkFreeMemory(driver.device, memory_of(objects[slot]), nullptr);
    account->give_back_memory_object();
  }
}

Backend::Backend(HostObject<State> state) noexcept : state_(std::move(state)) {}
Backend::~Backend() = default;

Result<HostObject<Backend>> Backend::create(const BackendConfig& config) noexcept {
  auto state = make_host_object<State>(config.host, config);
  if (!state) return fail(ErrorCode::out_of_host_memory);
  if (const auto loaded = Driver::load(config, state->driver); !loaded) return fail(loaded.error());
  if (const auto read = read_device(state->driver, config, state->profile, state->limits); !read)
    return fail(read.error());
  std::uint64_t& most = state->profile.capabilities.max_reservations;
  if (config.account != nullptr) most = std::min(most, config.account->max_memory_objects());
  const auto limit = static_cast<std::uint32_t>(most);
  state->objects = ObjectTable(config.host, limit, identity_of(state.get()));
  state->own_account.set_limits(limit, state->limits.sparse_address_space);
  state->account = config.account != nullptr ? config.account : &state->own_account;
  state->config.account = state->account;
  auto backend = make_host_object<Backend>(config.host, std::move(state));
  if (!backend) return fail(ErrorCode::out_of_host_memory);
  return backend;
}

const DeviceProfile& Backend::profile() const noexcept {
  return state_->profile;
}

VkDevice Backend::device() const noexcept {
  return state_->driver.device;
}

const BackendConfig& Backend::config() const noexcept {
  return state_->config;
}

const ResourceLimits& Backend::resource_limits() const noexcept {
  return state_->limits.resources;
}

bool Backend::reads_budgets() const noexcept {
  return state_->limits.memory_budget;
}

DeviceAccount& Backend::account() const noexcept {
  return *state_->account;
}

PFN_vkVoidFunction Backend::function(const char* name) const noexcept {
  const VolkDeviceTable& table = state_->driver.functions;
  const auto as_void = [](auto call) { return reinterpret_cast<PFN_vkVoidFunction>(call); };
  const NamedFunction all[] = {
      {"vkCreateBuffer", as_void(table.vkCreateBuffer)},
      {"vkDestroyBuffer", as_void(table.vkDestroyBuffer)},
      {"vkCreateImage", as_void(table.vkCreateImage)},
      {"vkDestroyImage", as_void(table.vkDestroyImage)},
      {"vkGetBufferMemoryRequirements2", as_void(table.vkGetBufferMemoryRequirements2)},
      {"vkGetImageMemoryRequirements2", as_void(table.vkGetImageMemoryRequirements2)},
      {"vkBindBufferMemory", as_void(table.vkBindBufferMemory)},
      {"vkBindImageMemory", as_void(table.vkBindImageMemory)},
      {"vkGetBufferDeviceAddress", as_void(state_->driver.get_buffer_device_address)},
      {"vkGetSemaphoreCounterValue", as_void(state_->driver.get_counter_value)},
      {"vkSetDebugUtilsObjectNameEXT", as_void(state_->driver.set_object_name)}};
  for (const NamedFunction& one : all) {
    if (std::strcmp(one.name, name) == 0) return one.function;
  }
  return nullptr;
}

Result<Budget> Backend::budget(std::uint32_t heap) noexcept {
  State& state = *state_;
  if (heap >= state.profile.heap_count) return fail(ErrorCode::invalid_argument);
  bool due = false;
  if (state.limits.memory_budget) {
    const Lock lock(state.mutex);
    due = state.budgets.reading_due();
  }
  if (due) read_budgets(state.driver, state.profile, state.mutex, state.budgets);
  const Lock lock(state.mutex);
  return state.budgets.of(heap, state.profile.heaps[heap].size);
}

Result<Budget> Backend::read_budget(std::uint32_t heap) noexcept {
  State& state = *state_;
  if (heap >= state.profile.heap_count) return fail(ErrorCode::invalid_argument);
  if (state.limits.memory_budget) read_budgets(state.driver, state.profile, state.mutex, state.budgets);
  const Lock lock(state.mutex);
  return state.budgets.of(heap, state.profile.heaps[heap].size);
}

Result<void> Backend::State::check(const ReservationRequest& request) const noexcept {
  const auto alignment = check_reservation_request(profile, request);
  if (!alignment) return fail(alignment.error());
  if (!allocatable(profile.memory_types[request.memory_type], config.features))
    return fail(ErrorCode::not_supported);
  const MemoryTraits& traits = request.traits;
  if (traits.dedicated != MemoryTraits::Dedicated::none && traits.resource == 0)
    return fail(ErrorCode::invalid_argument);
  if (*alignment > Alignment{kSlotSize}) return fail(ErrorCode::out_of_address_space);
  if (request.size > profile.heaps[heap_of(request.memory_type)].size)
    return fail(ErrorCode::out_of_device_memory);
  return {};
}

Result<Reservation> Backend::State::reserve(const ReservationRequest& request,
                                            const MemoryOrder& order) noexcept {
  MemoryObjectClaim claim(*account);
  if (!claim) return fail(ErrorCode::out_of_address_space);
  Result<std::uint32_t> slot;
  {
    const Lock lock(mutex);
    slot = objects.claim();
  }
  if (!slot) return fail(slot.error());
  const auto memory = order.allocate(driver);
  const Lock lock(mutex);
  if (!memory) {
    objects.vacate(*slot);
    return fail(memory.error());
  }
  claim.keep();
  if (counts(request.memory_type)) budgets.take(heap_of(request.memory_type), request.size);
  objects[*slot].exportable = request.traits.exportable;
  return objects.publish(*slot, bits_of(*memory), request.size, request.memory_type);
}

Result<Reservation> Backend::reserve(const ReservationRequest& request) noexcept {
  State& state = *state_;
  if (const auto checked = state.check(request); !checked) return fail(checked.error());
  if (request.traits.exportable && state.limits.export_needs_dedicated &&
      request.traits.dedicated == MemoryTraits::Dedicated::none)
    return fail(ErrorCode::invalid_argument);
  return state.reserve(request,
                       MemoryOrder(request.size, request.memory_type, request.traits, state.config.features));
}

Result<void> Backend::release(const Reservation& reservation) noexcept {
  State& state = *state_;
  MemoryObject object;
  std::uint32_t slot = 0;
  {
    const Lock lock(state.mutex);
    const auto found = state.objects.find(reservation);
    if (!found) return fail(found.error());
    slot = *found;
    object = state.objects[slot];
    if (object.maps != 0) return fail(ErrorCode::wrong_state);
    state.objects.retract(slot);
  }
  state.driver.functions.vkFreeMemory(state.driver.device, memory_of(object), nullptr);
  state.account->give_back_memory_object();
  const Lock lock(state.mutex);
  if (state.counts(object.memory_type))
    state.budgets.give_back(state.heap_of(object.memory_type), object.size);
  state.objects.vacate(slot);
  return {};
}

Result<void> Backend::create_physical(const PhysicalRequest&, std::span<PhysicalId>) noexcept {
  return fail(ErrorCode::not_supported);
}
Result<void> Backend::destroy_physical(std::span<const PhysicalId>) noexcept {
  return fail(ErrorCode::not_supported);
}
Result<TimelinePoint> Backend::bind(std::span<const BindOp>, std::span<const TimelinePoint>) noexcept {
  return fail(ErrorCode::not_supported);
}
Result<TimelinePoint> Backend::copy(std::span<const CopyOp>, std::span<const TimelinePoint>) noexcept {
  return fail(ErrorCode::not_supported);
}

Result<NativeRange> Backend::locate(Address address) noexcept {
  const Lock lock(state_->mutex);
  const auto range = state_->objects.at(address, Bytes{});
  if (!range) return fail(range.error());
  return NativeRange{state_->objects[range->slot].memory, range->offset};
}

Result<TimelineId> Backend::add_timeline(VkSemaphore semaphore) noexcept {
  const bool known = state_->driver.get_counter_value != nullptr && state_->driver.wait_semaphores != nullptr;
  if (!known || !state_->config.features.timeline_semaphore) return fail(ErrorCode::not_supported);
  if (semaphore == VK_NULL_HANDLE) return fail(ErrorCode::invalid_argument);
  return state_->timelines.add(semaphore);
}

Result<void> Backend::forget_timeline(TimelineId timeline) noexcept {
  return state_->timelines.forget(timeline);
}

Result<std::uint64_t> Backend::reached(TimelineId timeline) noexcept {
  const auto semaphore = state_->timelines.find(timeline);
  if (!semaphore) return fail(semaphore.error());
  std::uint64_t value = 0;
  const VkResult result = state_->driver.get_counter_value(state_->driver.device, *semaphore, &value);
  if (result != VK_SUCCESS) return refusal(result, "vkGetSemaphoreCounterValue");
  return value;
}

Result<bool> Backend::completed(TimelinePoint point) noexcept {
  if (point == TimelinePoint{}) return true;
  const auto semaphore = state_->timelines.find(point.timeline);
  if (!semaphore) return fail(semaphore.error());
  return has_reached(state_->driver, *semaphore, point.value);
}

Result<void> Backend::wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept {
  if (point == TimelinePoint{}) return {};
  const auto semaphore = state_->timelines.find(point.timeline);
  if (!semaphore) return fail(semaphore.error());
  return wait_for(state_->driver, *semaphore, point.value, timeout_ns);
}

}  // namespace vaspace::vulkan
