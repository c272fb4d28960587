// Binding memory to buffers and images as a whole: V1, V2, V6 to V9, V14, V15.

#include "buffer.hpp"
#include "calls.hpp"
#include "device.hpp"
#include "image.hpp"

namespace vasim {
namespace {

using Number = unsigned long long;

struct Bind {
  Device& device;
  Resource& resource;
  Memory& memory;
  VkDeviceSize offset;

  void broken(const char* rule, const std::string& reason) const {
    report(rule, resource.describe(), reason + ", in " + memory.describe());
  }
  [[nodiscard]] VkDeviceSize size() const { return resource.requirements.size; }
};

// V14, V15 and V6: what the type's flags forbid has a rule of its own.
void check_type(const Bind& bind) {
  const MemoryInfo& info = bind.memory.info;
  if ((bind.resource.requirements.memoryTypeBits & (1U << info.type)) != 0) return;
  const bool is_protected = (info.properties & VK_MEMORY_PROPERTY_PROTECTED_BIT) != 0;
  if (is_protected != bind.resource.protected_memory) {
    bind.broken("V15", "protected and unprotected do not match");
  } else if ((info.properties & VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT) != 0) {
    bind.broken("V14", "lazily allocated memory serves transient attachments only");
  } else {
    bind.broken("V6", text("memory type %u is not in memoryTypeBits 0x%x", info.type,
                           bind.resource.requirements.memoryTypeBits));
  }
}

bool check_place(const Bind& bind) {
  const VkDeviceSize alignment = bind.resource.requirements.alignment;
  if (bind.offset % alignment != 0)
    bind.broken("V7", text("offset %llu is no multiple of %llu", Number{bind.offset}, Number{alignment}));
  const VkDeviceSize whole = bind.memory.info.size;
  if (bind.offset < whole && bind.size() <= whole - bind.offset) return true;
  bind.broken("V7", text("%llu bytes at %llu do not fit into %llu", Number{bind.size()}, Number{bind.offset},
                         Number{whole}));
  return false;
}

void check_dedicated(const Bind& bind) {
  const std::uint64_t owner = bind.memory.info.dedicated_to;
  if (owner != 0 && (owner != bind.resource.handle || bind.offset != 0))
    bind.broken("V8", "memory dedicated to one resource is bound to another, or not at offset 0");
  if (bind.resource.needs_dedicated && owner != bind.resource.handle)
    bind.broken("V8", "requiresDedicatedAllocation, and the memory is not its own");
}

void check_address(const Bind& bind) {
  if (bind.resource.device_address && !bind.memory.info.device_address)
    bind.broken("V9", "SHADER_DEVICE_ADDRESS in memory without DEVICE_ADDRESS");
}

// Whether the pages of the granularity that two ranges touch are apart.
bool apart(VkDeviceSize end_a, VkDeviceSize begin_b, VkDeviceSize granularity) {
  return (end_a - 1) / granularity < begin_b / granularity;
}

void check_neighbour(const Bind& bind, const Resource& other) {
  const VkDeviceSize begin = bind.offset, end = begin + bind.size();
  const VkDeviceSize other_begin = other.memory_offset, other_end = other_begin + other.requirements.size;
  const std::string where = text("[%llu, %llu) and ", Number{begin}, Number{end}) + other.describe() +
                            text(" at [%llu, %llu)", Number{other_begin}, Number{other_end});
  if (begin < other_end && other_begin < end) {
    if (!bind.resource.may_overlap || !other.may_overlap) bind.broken("D5", where + " overlap");
    return;
  }
  if (bind.resource.linear == other.linear) return;
  const VkDeviceSize granularity = bind.device.profile.properties.limits.bufferImageGranularity;
  const bool before = end <= other_begin;
  if (before ? apart(end, other_begin, granularity) : apart(other_end, begin, granularity)) return;
  const bool images = bind.resource.type == other.type;
  bind.broken(images ? "V2" : "V1",
              where + text(" share bytes of bufferImageGranularity %llu", Number{granularity}));
}

VkResult bind_memory(Device& device, Resource* resource, VkDeviceMemory memory_handle, VkDeviceSize offset) {
  const auto memory = device.objects.find<Memory>(memory_handle);
  if (memory == nullptr || resource == nullptr) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  const std::lock_guard lock(device.mutex);
  const Bind bind{device, *resource, *memory, offset};
  if (resource->memory != nullptr || resource->sparse) {
    bind.broken("D5", resource->sparse ? "a sparse resource is bound as a whole" : "it is bound already");
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  }
  check_type(bind);
  check_dedicated(bind);
  check_address(bind);
  if (!check_place(bind)) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  for (const Resource* const other : memory->residents)
    check_neighbour(bind, *other);
  resource->memory = memory;
  resource->memory_offset = offset;
  memory->residents.push_back(resource);
  return VK_SUCCESS;
}

}  // namespace

namespace api {

VkResult BindBufferMemory(VkDevice handle, VkBuffer buffer, VkDeviceMemory memory, VkDeviceSize offset) {
  Device& device = from(handle);
  return bind_memory(device, device.objects.find<Buffer>(buffer).get(), memory, offset);
}

VkResult BindImageMemory(VkDevice handle, VkImage image, VkDeviceMemory memory, VkDeviceSize offset) {
  Device& device = from(handle);
  return bind_memory(device, device.objects.find<Image>(image).get(), memory, offset);
}

VkResult BindBufferMemory2(VkDevice handle, std::uint32_t count, const VkBindBufferMemoryInfo* infos) {
  VkResult result = VK_SUCCESS;
  for (std::uint32_t i = 0; i < count; ++i) {
    const VkResult one = BindBufferMemory(handle, infos[i].buffer, infos[i].memory, infos[i].memoryOffset);
    if (one != VK_SUCCESS) result = one;
  }
  return result;
}

VkResult BindImageMemory2(VkDevice handle, std::uint32_t count, const VkBindImageMemoryInfo* infos) {
  VkResult result = VK_SUCCESS;
  for (std::uint32_t i = 0; i < count; ++i) {
    const VkResult one = BindImageMemory(handle, infos[i].image, infos[i].memory, infos[i].memoryOffset);
    if (one != VK_SUCCESS) result = one;
  }
  return result;
}

}  // namespace api
}  // namespace vasim
