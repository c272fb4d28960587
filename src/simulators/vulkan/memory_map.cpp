// The host's side of memory: V10 to V13.
#include "calls.hpp"
#include "device.hpp"
#include "memory.hpp"

namespace vasim {
namespace {

using Number = unsigned long long;

// The range of a flush or an invalidation in bytes of the memory, or false where it breaks V12.
bool read_range(const Memory& memory, const VkMappedMemoryRange& range, VkDeviceSize& size) {
  const auto broken = [&](const char* what) {
    report("V12", memory.describe(),
           text("offset %llu, size %llu: %s (atom %llu, mapped %llu to %llu, size of the object %llu)",
                Number{range.offset}, Number{range.size}, what, Number{memory.info.atom},
                Number{memory.mapped_begin()}, Number{memory.mapped_end()}, Number{memory.info.size}));
    return false;
  };
  if (!memory.mapped()) return broken("it is not mapped");
  size = range.size == VK_WHOLE_SIZE ? memory.mapped_end() - range.offset : range.size;
  const VkDeviceSize atom = memory.info.atom;
  if (range.offset % atom != 0) return broken("the offset is no multiple of nonCoherentAtomSize");
  if (range.offset < memory.mapped_begin() || range.offset > memory.mapped_end() ||
      size > memory.mapped_end() - range.offset)
    return broken("the range leaves the mapping");
  const bool reaches_end = range.offset + size == memory.info.size;
  // VK_WHOLE_SIZE of a partial map must end at an atom as well (01389).
  if (size % atom != 0 && !reaches_end) return broken("the size is no multiple of nonCoherentAtomSize");
  return true;
}

template <class Synchronise>
VkResult for_ranges(VkDevice handle, std::uint32_t count, const VkMappedMemoryRange* ranges,
                    Synchronise&& synchronise) {
  Device& device = from(handle);
  const std::lock_guard lock(device.mutex);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto memory = device.objects.find<Memory>(ranges[i].memory);
    VkDeviceSize size = 0;
    if (memory != nullptr && read_range(*memory, ranges[i], size))
      synchronise(*memory, ranges[i].offset, size);
  }
  return VK_SUCCESS;
}

}  // namespace

namespace api {

VkResult MapMemory(VkDevice handle, VkDeviceMemory memory_handle, VkDeviceSize offset, VkDeviceSize size,
                   VkMemoryMapFlags, void** out) {
  Device& device = from(handle);
  const auto memory = device.objects.find<Memory>(memory_handle);
  if (memory == nullptr) return VK_ERROR_MEMORY_MAP_FAILED;
  const std::lock_guard lock(device.mutex);
  if (!memory->host_visible()) {
    report("V11", memory->describe(), "is mapped and not HOST_VISIBLE");
    return VK_ERROR_MEMORY_MAP_FAILED;
  }
  if (memory->mapped()) {
    report("V10", memory->describe(), "is mapped already");
    return VK_ERROR_MEMORY_MAP_FAILED;
  }
  const VkDeviceSize whole = memory->info.size;
  if (size == VK_WHOLE_SIZE && offset < whole) size = whole - offset;
  if (offset >= whole || size == 0 || size > whole - offset) {
    report("V10", memory->describe(),
           text("maps %llu bytes at %llu of %llu", Number{size}, Number{offset}, Number{whole}));
    return VK_ERROR_MEMORY_MAP_FAILED;
  }
  *out = memory->map(offset, size);
  return VK_SUCCESS;
}

void UnmapMemory(VkDevice handle, VkDeviceMemory memory_handle) {
  Device& device = from(handle);
  const auto memory = device.objects.find<Memory>(memory_handle);
  if (memory == nullptr) return;
  const std::lock_guard lock(device.mutex);
  if (!memory->mapped()) return report("V10", memory->describe(), "is unmapped and was not mapped");
  memory->unmap();
}

VkResult FlushMappedMemoryRanges(VkDevice device, std::uint32_t count, const VkMappedMemoryRange* ranges) {
  return for_ranges(device, count, ranges, [](Memory& memory, VkDeviceSize offset, VkDeviceSize size) {
    const VkDeviceSize lost = memory.flush(offset, size);
    if (lost != 0)
      report("V13", memory.describe(),
             text("a flush of %llu bytes at %llu overwrote %llu bytes in the same atoms that the device had "
                  "written and the host had not invalidated",
                  Number{size}, Number{offset}, Number{lost}));
  });
}

VkResult InvalidateMappedMemoryRanges(VkDevice device, std::uint32_t count,
                                      const VkMappedMemoryRange* ranges) {
  return for_ranges(device, count, ranges, [](Memory& memory, VkDeviceSize offset, VkDeviceSize size) {
    memory.invalidate(offset, size);
  });
}

}  // namespace api
}  // namespace vasim
