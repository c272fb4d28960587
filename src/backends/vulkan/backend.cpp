#include <algorithm>
#include <mutex>
#include <utility>

#include "vaspace/backends/vulkan.hpp"
#include "vaspace/base/identity.hpp"
#include "vaspace/device/profile_checks.hpp"

#include "budget_book.hpp"
#include "driver.hpp"
#include "object_table.hpp"
#include "profile.hpp"

namespace vaspace::vulkan {

namespace {

// VkDeviceMemory is a pointer on 64-bit hosts and a number on others; a C cast is right for both.
std::uint64_t bits_of(VkDeviceMemory memory) noexcept {
  return (std::uint64_t)memory;
}
VkDeviceMemory memory_of(const MemoryObject& object) noexcept {
  return (VkDeviceMemory)object.memory;
}

using Lock = std::lock_guard<std::mutex>;

}  // namespace

// Two locks. `mutex` is for what is written here, and no driver call is made under it. `map_mutex` orders the
// driver's map and unmap calls, which Vulkan wants ordered per memory object; it is taken before `mutex`.
struct Backend::State {
  explicit State(const BackendConfig& given) noexcept : config(given) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  using MappedCall = VkResult(VKAPI_PTR*)(VkDevice, std::uint32_t, const VkMappedMemoryRange*);

  [[nodiscard]] Result<void> check(const ReservationRequest& request) const noexcept;
  [[nodiscard]] Result<VkDeviceMemory> allocate(Bytes size, std::uint32_t memory_type) const noexcept;
  // The host-visible object around a range. Under `mutex`.
  [[nodiscard]] Result<ObjectRange> mappable(Address address, Bytes size) noexcept;
  [[nodiscard]] Result<void> synchronise(Address address, Bytes size, MappedCall call) noexcept;
  [[nodiscard]] VkMappedMemoryRange widened(const ObjectRange& range, Bytes size) noexcept;
  void read_budgets() noexcept;
  // The heap that a reservation counts against, if it does (V14).
  [[nodiscard]] bool counts(std::uint32_t memory_type) const noexcept {
    return !profile.memory_types[memory_type].lazily_allocated;
  }
  [[nodiscard]] std::uint32_t heap_of(std::uint32_t memory_type) const noexcept {
    return profile.memory_types[memory_type].heap;
  }

  BackendConfig config;
  Driver driver;
  DeviceProfile profile;
  DeviceLimits limits;
  std::mutex mutex;
  std::mutex map_mutex;
  ObjectTable objects{config.host, 0, 0};
  BudgetBook budgets;
};

Backend::State::~State() {
  for (std::uint32_t slot = 0; slot < objects.size(); ++slot) {
    if (objects[slot].state == MemoryObject::State::live)
      driver.functions.vkFreeMemory(driver.device, memory_of(objects[slot]), nullptr);
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
  const auto limit = static_cast<std::uint32_t>(state->profile.capabilities.max_reservations);
  state->objects = ObjectTable(config.host, limit, identity_of(state.get()));
  auto backend = make_host_object<Backend>(config.host, std::move(state));
  if (!backend) return fail(ErrorCode::out_of_host_memory);
  return backend;
}

const DeviceProfile& Backend::profile() const noexcept {
  return state_->profile;
}

void Backend::State::read_budgets() noexcept {
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{};
  budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
  VkPhysicalDeviceMemoryProperties2 answer{};
  answer.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
  answer.pNext = &budget;
  driver.get_memory_properties2(driver.physical_device, &answer);
  const Lock lock(mutex);
  for (std::uint32_t heap = 0; heap < profile.heap_count; ++heap)
    budgets.read(heap, Bytes{budget.heapBudget[heap]}, Bytes{budget.heapUsage[heap]});
  budgets.reading_done();
}

Result<Budget> Backend::budget(std::uint32_t heap) noexcept {
  State& state = *state_;
  if (heap >= state.profile.heap_count) return fail(ErrorCode::invalid_argument);
  bool due = false;
  if (state.limits.memory_budget) {
    const Lock lock(state.mutex);
    due = state.budgets.reading_due();
  }
  if (due) state.read_budgets();
  const Lock lock(state.mutex);
  return state.budgets.of(heap, state.profile.heaps[heap].size);
}

Result<void> Backend::State::check(const ReservationRequest& request) const noexcept {
  const auto alignment = check_reservation_request(profile, request);
  if (!alignment) return fail(alignment.error());
  if (!allocatable(profile.memory_types[request.memory_type])) return fail(ErrorCode::not_supported);
  if (*alignment > Alignment{kSlotSize}) return fail(ErrorCode::out_of_address_space);
  if (request.size > profile.heaps[heap_of(request.memory_type)].size)
    return fail(ErrorCode::out_of_device_memory);
  return {};
}

Result<VkDeviceMemory> Backend::State::allocate(Bytes size, std::uint32_t memory_type) const noexcept {
  VkMemoryAllocateFlagsInfo flags{};
  flags.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO;
  flags.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
  VkMemoryAllocateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  info.pNext = config.device_address ? &flags : nullptr;
  info.allocationSize = size.value;
  info.memoryTypeIndex = memory_type;
  VkDeviceMemory memory = VK_NULL_HANDLE;
  const VkResult result = driver.functions.vkAllocateMemory(driver.device, &info, nullptr, &memory);
  if (result != VK_SUCCESS) return refusal(result);
  return memory;
}

Result<Reservation> Backend::reserve(const ReservationRequest& request) noexcept {
  State& state = *state_;
  if (const auto checked = state.check(request); !checked) return fail(checked.error());
  Result<std::uint32_t> slot;
  {
    const Lock lock(state.mutex);
    slot = state.objects.claim();
  }
  if (!slot) return fail(slot.error());
  const auto memory = state.allocate(request.size, request.memory_type);
  const Lock lock(state.mutex);
  if (!memory) {
    state.objects.vacate(*slot);
    return fail(memory.error());
  }
  if (state.counts(request.memory_type)) state.budgets.take(state.heap_of(request.memory_type), request.size);
  return state.objects.publish(*slot, bits_of(*memory), request.size, request.memory_type);
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

Result<ObjectRange> Backend::State::mappable(Address address, Bytes size) noexcept {
  if (size == Bytes{}) return fail(ErrorCode::invalid_size);
  const auto range = objects.at(address, size);
  if (range && !profile.memory_types[objects[range->slot].memory_type].host_visible)
    return fail(ErrorCode::not_supported);
  return range;
}

// The count rises before the driver is called, so that a release meanwhile finds the object in use.
Result<std::byte*> Backend::map(Address address, Bytes size) noexcept {
  State& state = *state_;
  const Lock map_lock(state.map_mutex);
  ObjectRange range;
  VkDeviceMemory memory = VK_NULL_HANDLE;
  {
    const Lock lock(state.mutex);
    const auto found = state.mappable(address, size);
    if (!found) return fail(found.error());
    range = *found;
    MemoryObject& object = state.objects[range.slot];
    if (++object.maps > 1) return object.mapped + range.offset.value;
    memory = memory_of(object);
  }
  void* data = nullptr;
  const VkResult result =
      state.driver.functions.vkMapMemory(state.driver.device, memory, 0, VK_WHOLE_SIZE, 0, &data);
  const Lock lock(state.mutex);
  MemoryObject& object = state.objects[range.slot];
  if (result != VK_SUCCESS) {
    object.maps = 0;
    return refusal(result);
  }
  object.mapped = static_cast<std::byte*>(data);
  return object.mapped + range.offset.value;
}

Result<void> Backend::unmap(Address address, Bytes size) noexcept {
  State& state = *state_;
  const Lock map_lock(state.map_mutex);
  std::uint32_t slot = 0;
  VkDeviceMemory memory = VK_NULL_HANDLE;
  {
    const Lock lock(state.mutex);
    const auto range = state.mappable(address, size);
    if (!range) return fail(range.error());
    slot = range->slot;
    MemoryObject& object = state.objects[slot];
    if (object.maps == 0) return fail(ErrorCode::wrong_state);
    if (object.maps > 1) {
      --object.maps;
      return {};
    }
    memory = memory_of(object);
  }
  state.driver.functions.vkUnmapMemory(state.driver.device, memory);
  const Lock lock(state.mutex);
  state.objects[slot].mapped = nullptr;
  state.objects[slot].maps = 0;
  return {};
}

VkMappedMemoryRange Backend::State::widened(const ObjectRange& range, Bytes size) noexcept {
  const MemoryObject& object = objects[range.slot];
  const Alignment atom{limits.non_coherent_atom};
  const Bytes begin = align_down(range.offset, atom);
  const Bytes end = std::min(align_up(range.offset + size, atom), object.size);
  VkMappedMemoryRange mapped{};
  mapped.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE;
  mapped.memory = memory_of(object);
  mapped.offset = begin.value;
  mapped.size = (end - begin).value;
  return mapped;
}

Result<void> Backend::State::synchronise(Address address, Bytes size, MappedCall call) noexcept {
  VkMappedMemoryRange mapped{};
  {
    const Lock lock(mutex);
    const auto range = mappable(address, size);
    if (!range) return fail(range.error());
    const MemoryObject& object = objects[range->slot];
    if (object.maps == 0) return fail(ErrorCode::wrong_state);
    if (profile.memory_types[object.memory_type].host_coherent) return {};
    mapped = widened(*range, size);
  }
  const VkResult result = call(driver.device, 1, &mapped);
  if (result != VK_SUCCESS) return refusal(result);
  return {};
}

Result<void> Backend::flush(Address address, Bytes size) noexcept {
  return state_->synchronise(address, size, state_->driver.functions.vkFlushMappedMemoryRanges);
}

Result<void> Backend::invalidate(Address address, Bytes size) noexcept {
  return state_->synchronise(address, size, state_->driver.functions.vkInvalidateMappedMemoryRanges);
}

Result<NativeRange> Backend::locate(Address address) noexcept {
  const Lock lock(state_->mutex);
  const auto range = state_->objects.at(address, Bytes{});
  if (!range) return fail(range.error());
  return NativeRange{state_->objects[range->slot].memory, range->offset};
}

Result<bool> Backend::completed(TimelinePoint point) noexcept {
  if (point != TimelinePoint{}) return fail(ErrorCode::invalid_argument);
  return true;
}

Result<void> Backend::wait(TimelinePoint point, std::uint64_t) noexcept {
  if (point != TimelinePoint{}) return fail(ErrorCode::invalid_argument);
  return {};
}

}  // namespace vaspace::vulkan
