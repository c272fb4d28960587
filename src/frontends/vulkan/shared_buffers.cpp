#include "shared_buffers.hpp"

#include <algorithm>

#include "vaspace/device/profile_checks.hpp"

#include "heap/budget_scope.hpp"

namespace vaspace::vulkan {

SharedBuffers::SharedBuffers(const ResourceCalls& calls, vaspace::Heap& heap, BufferTable& table,
                             const SharedBuffersConfig& config) noexcept
    : calls_(calls), heap_(heap), table_(table), config_(config), slots_(config.host) {
  set_name(profile_, "shared buffers");
  profile_.heap_count = 1;
  profile_.heaps[0] = {config.memory_size, true};
  profile_.memory_type_count = 1;
  profile_.reservation_granularity = 64_KiB;
  profile_.capabilities.reserve_commits = true;
  profile_.capabilities.max_reservation_size =
      std::min(heap.backend().profile().capabilities.max_reservation_size, 1_TiB);
}

SharedBuffers::~SharedBuffers() {
  for (const Slot& slot : slots_) {
    if (!slot.taken || slot.buffer == VK_NULL_HANDLE) continue;
    calls_.destroy(slot.buffer);
    heap_.free(slot.memory);
  }
}

Result<Budget> SharedBuffers::budget(std::uint32_t heap) noexcept {
  if (heap != 0) return fail(ErrorCode::invalid_argument);
  return Budget{config_.memory_size, config_.memory_size, {}};
}

Result<SharedBuffers::Slot> SharedBuffers::make(Bytes size) noexcept {
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  // V15.
  if (config_.intent == Intent::protected_device) info.flags = VK_BUFFER_CREATE_PROTECTED_BIT;
  info.size = size.value;
  info.usage = config_.usage;
  if (config_.families.size() > 1) {
    info.sharingMode = VK_SHARING_MODE_CONCURRENT;
    info.queueFamilyIndexCount = static_cast<std::uint32_t>(config_.families.size());
    info.pQueueFamilyIndices = config_.families.data();
  }
  const auto buffer = calls_.create(info);
  if (!buffer) return fail(buffer.error());
  made_.fetch_add(1, std::memory_order_relaxed);
  const Needs needs = calls_.needs(*buffer);
  HeapRequest request;
  request.requirements = needs.memory;
  request.kind = ResourceKind::linear;
  const bool addressed = (config_.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0;
  // An address is aligned as far as its buffer is, and memory objects are, on devices that are known, as far
  // as this.
  request.requirements.alignment =
      std::max(request.requirements.alignment, addressed ? kAddressed : Alignment{256});
  request.intent = config_.intent;
  request.mapping = config_.mapping;
  request.coherent = config_.coherent;
  request.dedicated = needs.dedicated;
  request.resource = {MemoryTraits::Dedicated::buffer, bits_of(*buffer)};
  request.device_address = addressed;
  request.budget = BudgetScope::current();
  request.name = "shared buffer";
  making_ = true;
  const auto memory = heap_.allocate(request);
  making_ = false;
  Result<void> bound = memory ? calls_.bind(*buffer, *memory) : fail(memory.error());
  if (!bound) {
    calls_.destroy(*buffer);
    if (memory) {
      heap_.free(*memory);
      heap_.give_back_unused();  // R7: the memory too, not in a collect
    }
    return fail(bound.error());
  }
  calls_.name(*buffer, "shared buffer");
  return Slot{.buffer = *buffer, .memory = *memory, .size = size, .taken = true};
}

Result<Reservation> SharedBuffers::reserve(const ReservationRequest& request) noexcept {
  const auto alignment = check_reservation_request(profile_, request);
  if (!alignment) return fail(alignment.error());
  if (*alignment > Alignment{1_TiB}) return fail(ErrorCode::out_of_address_space);
  std::uint32_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    while (number < slots_.size() && slots_[number].taken)
      ++number;
    if (number == slots_.size() && !slots_.push_back({})) return fail(ErrorCode::out_of_host_memory);
    if (!table_.reserve_slot(number)) return fail(ErrorCode::out_of_host_memory);
    slots_[number].taken = true;
  }
  const auto made = make(request.size);
  const bool addressed = (config_.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0;
  const std::uint64_t address = made && addressed ? calls_.device_address(made->buffer) : 0;
  const std::lock_guard lock(mutex_);
  if (!made) {
    slots_[number] = {};
    return fail(made.error());
  }
  slots_[number] = *made;
  table_.set(number, {bits_of(made->buffer), address, made->memory.mapped, made->memory.memory_type});
  return Reservation{BufferTable::begin_of(number), request.size, std::uint64_t{number} + 1};
}

Result<void> SharedBuffers::release(const Reservation& reservation) noexcept {
  Slot gone;
  const std::uint32_t number = BufferTable::slot_of(reservation.address);
  {
    const std::lock_guard lock(mutex_);
    if (reservation.handle != std::uint64_t{number} + 1 || number >= slots_.size() || !slots_[number].taken ||
        slots_[number].size != reservation.size)
      return fail(ErrorCode::invalid_argument);
    gone = slots_[number];
    slots_[number].buffer = VK_NULL_HANDLE;
  }
  calls_.destroy(gone.buffer);
  heap_.free(gone.memory);
  const std::lock_guard lock(mutex_);
  slots_[number] = {};
  return {};
}

Result<HeapAllocation> SharedBuffers::memory_at(Address address) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint32_t number = BufferTable::slot_of(address);
  if (number >= slots_.size() || !slots_[number].taken) return fail(ErrorCode::unknown_address);
  return slots_[number].memory;
}

Result<Reservation> SparseBuffers::reserve(const ReservationRequest& request) noexcept {
  const auto reserved = sparse_.reserve(request);
  if (!reserved) return reserved;
  made_.fetch_add(1, std::memory_order_relaxed);
  const auto native = sparse_.locate(reserved->address);
  const std::uint64_t address = sparse_.device_address(reserved->address).value_or(0);
  const std::uint32_t slot = BufferTable::slot_of(reserved->address);
  const std::lock_guard lock(mutex_);
  if (!native || !table_.reserve_slot(slot)) {
    (void)sparse_.release(*reserved);
    return fail(ErrorCode::out_of_host_memory);
  }
  table_.set(slot, {native->object, address, nullptr, memory_type_});
  return reserved;
}

}  // namespace vaspace::vulkan
