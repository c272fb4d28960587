#include <algorithm>

#include "state.hpp"

namespace vaspace::vulkan {

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

}  // namespace vaspace::vulkan
