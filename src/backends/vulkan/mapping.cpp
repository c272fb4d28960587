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
    return refusal(result, "vkMapMemory");
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

namespace {

// Behind each other in one memory object, or over each other.
bool joins(const VkMappedMemoryRange& first, const VkMappedMemoryRange& second) noexcept {
  return first.memory == second.memory && second.offset >= first.offset &&
         second.offset <= first.offset + first.size;
}

}  // namespace

// Who is refused by this library has had nothing done: all are looked at before the first call.
Result<void> Backend::State::synchronise(std::span<const HostRange> ranges, MappedCall call,
                                         const char* name) noexcept {
  const auto mapped_at = [this](const HostRange& range) -> Result<ObjectRange> {
    const auto found = mappable(range.address, range.size);
    if (found && objects[found->slot].maps == 0) return fail(ErrorCode::wrong_state);
    return found;
  };
  if (ranges.size() > kMaxRangesOfACall) {
    const Lock lock(mutex);
    for (const HostRange& range : ranges) {
      if (const auto found = mapped_at(range); !found) return fail(found.error());
    }
  }
  VkMappedMemoryRange gathered[kMaxRangesOfACall];
  for (std::size_t next = 0; next < ranges.size();) {
    std::uint32_t count = 0;
    {
      const Lock lock(mutex);
      for (; next < ranges.size(); ++next) {
        const auto found = mapped_at(ranges[next]);
        if (!found) return fail(found.error());
        if (profile.memory_types[objects[found->slot].memory_type].host_coherent) continue;
        const VkMappedMemoryRange mapped = widened(*found, ranges[next].size);
        if (count != 0 && joins(gathered[count - 1], mapped)) {
          VkMappedMemoryRange& last = gathered[count - 1];
          last.size = std::max(last.offset + last.size, mapped.offset + mapped.size) - last.offset;
          continue;
        }
        if (count == kMaxRangesOfACall) break;
        gathered[count++] = mapped;
      }
    }
    if (count == 0) return {};
    const VkResult result = call(driver.device, count, gathered);
    if (result != VK_SUCCESS) return refusal(result, name);
  }
  return {};
}

Result<void> Backend::flush(Address address, Bytes size) noexcept {
  const HostRange range{address, size};
  return flush({&range, 1});
}

Result<void> Backend::invalidate(Address address, Bytes size) noexcept {
  const HostRange range{address, size};
  return invalidate({&range, 1});
}

Result<void> Backend::flush(std::span<const HostRange> ranges) noexcept {
  return state_->synchronise(ranges, state_->driver.functions.vkFlushMappedMemoryRanges,
                             "vkFlushMappedMemoryRanges");
}

Result<void> Backend::invalidate(std::span<const HostRange> ranges) noexcept {
  return state_->synchronise(ranges, state_->driver.functions.vkInvalidateMappedMemoryRanges,
                             "vkInvalidateMappedMemoryRanges");
}

}  // namespace vaspace::vulkan
