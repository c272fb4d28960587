// Memory from and for others: opaque file descriptors, host pointers.
#include "state.hpp"

namespace vaspace::vulkan {

Result<ExternalHandle> Backend::export_reservation(const Reservation& reservation) noexcept {
  State& state = *state_;
  if (!state.profile.capabilities.external_memory) return fail(ErrorCode::not_supported);
  VkMemoryGetFdInfoKHR info{};
  info.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR;
  info.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  {
    const Lock lock(state.mutex);
    const auto slot = state.objects.find(reservation);
    if (!slot || !state.objects[*slot].exportable) return fail(ErrorCode::invalid_argument);
    info.memory = memory_of(state.objects[*slot]);
  }
  ExternalHandle handle;
  const VkResult result = state.driver.functions.vkGetMemoryFdKHR(state.driver.device, &info, &handle.fd);
  if (result != VK_SUCCESS) return refusal(result, "vkGetMemoryFdKHR");
  return handle;
}

Result<Reservation> Backend::import_reservation(const ReservationRequest& request,
                                                ExternalHandle handle) noexcept {
  State& state = *state_;
  if (!state.profile.capabilities.external_memory) return fail(ErrorCode::not_supported);
  if (handle.fd < 0) return fail(ErrorCode::invalid_argument);
  if (const auto checked = state.check(request); !checked) return fail(checked.error());
  MemoryOrder order(request.size, request.memory_type, request.traits, state.config.features);
  order.import_fd(handle.fd);
  return state.reserve(request, order);
}

bool Backend::export_needs_dedicated() const noexcept {
  return state_->limits.export_needs_dedicated;
}

bool Backend::export_needs_dedicated(const VkBufferCreateInfo& info) const noexcept {
  return state_->profile.capabilities.external_memory &&
         vulkan::export_needs_dedicated(state_->driver, info.flags, info.usage);
}

Result<bool> Backend::export_needs_dedicated(const VkImageCreateInfo& info) const noexcept {
  if (!state_->profile.capabilities.external_memory) return fail(ErrorCode::not_supported);
  return vulkan::export_needs_dedicated(state_->driver, info);
}

Bytes Backend::host_pointer_alignment() const noexcept {
  return state_->limits.host_pointer_alignment;
}

Result<std::uint32_t> Backend::host_pointer_types(const void* pointer) noexcept {
  const State& state = *state_;
  const Bytes unit = state.limits.host_pointer_alignment;
  if (unit == Bytes{}) return fail(ErrorCode::not_supported);
  const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer));
  if (address == 0 || !is_aligned(address, Alignment{unit})) return fail(ErrorCode::invalid_alignment);
  VkMemoryHostPointerPropertiesEXT answer{};
  answer.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT;
  const VkResult result = state.driver.functions.vkGetMemoryHostPointerPropertiesEXT(
      state.driver.device, VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT, pointer, &answer);
  if (result != VK_SUCCESS) return refusal(result, "vkGetMemoryHostPointerPropertiesEXT");
  return answer.memoryTypeBits;
}

Result<Reservation> Backend::import_host_pointer(void* pointer, const ReservationRequest& request) noexcept {
  State& state = *state_;
  const auto types = host_pointer_types(pointer);
  if (!types) return fail(types.error());
  if (const auto checked = state.check(request); !checked) return fail(checked.error());
  if (!is_aligned(request.size, Alignment{state.limits.host_pointer_alignment}))
    return fail(ErrorCode::invalid_size);
  if ((*types >> request.memory_type & 1U) == 0) return fail(ErrorCode::not_supported);
  MemoryOrder order(request.size, request.memory_type, request.traits, state.config.features);
  order.import_host_pointer(pointer);
  return state.reserve(request, order);
}

}  // namespace vaspace::vulkan
