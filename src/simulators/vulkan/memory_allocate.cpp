// vkAllocateMemory and vkFreeMemory, with what they can be chained to: export, import, dedicated, address,
// priority.
#include <algorithm>

#include "calls.hpp"
#include "chain.hpp"
#include "device.hpp"
#include "driver.hpp"
#include "image.hpp"
#include "memory.hpp"
#include "memory_files.hpp"

namespace vasim {
namespace {

using Number = unsigned long long;

// What a vkAllocateMemory asks for, taken out of its chain.
struct Request {
  const VkMemoryAllocateInfo& info;
  const VkMemoryAllocateFlagsInfo* flags;
  const VkMemoryDedicatedAllocateInfo* dedicated;
  const VkExportMemoryAllocateInfo* exported;
  const VkImportMemoryFdInfoKHR* file;
  const VkImportMemoryHostPointerInfoEXT* host;

  explicit Request(const VkMemoryAllocateInfo& its_info)
      : info(its_info),
        flags(chained<VkMemoryAllocateFlagsInfo>(VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO)),
        dedicated(chained<VkMemoryDedicatedAllocateInfo>(VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO)),
        exported(chained<VkExportMemoryAllocateInfo>(VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO)),
        file(chained<VkImportMemoryFdInfoKHR>(VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR)),
        host(chained<VkImportMemoryHostPointerInfoEXT>(
            VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT)) {
    if (file != nullptr && file->handleType == 0) file = nullptr;
    if (host != nullptr && host->handleType == 0) host = nullptr;
    if (exported != nullptr && exported->handleTypes == 0) exported = nullptr;
  }

  template <class T>
  const T* chained(VkStructureType type) const {
    return find_in_chain<T>(info.pNext, type);
  }
  [[nodiscard]] bool is_import() const { return file != nullptr || host != nullptr; }
  [[nodiscard]] std::uint64_t dedicated_to() const {
    if (dedicated == nullptr) return 0;
    return dedicated->image != VK_NULL_HANDLE ? number_of(dedicated->image) : number_of(dedicated->buffer);
  }
};

void broken(const char* rule, const std::string& reason) {
  report(rule, "vkAllocateMemory", reason);
}

VkResult check_size(const Device& device, const VkMemoryAllocateInfo& info) {
  const Profile& profile = device.profile;
  if (info.memoryTypeIndex >= profile.memory.memoryTypeCount) {
    broken("V6", text("there is no memory type %u", info.memoryTypeIndex));
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  }
  const VkDeviceSize heap =
      profile.memory.memoryHeaps[profile.memory.memoryTypes[info.memoryTypeIndex].heapIndex].size;
  const VkDeviceSize limit = std::min(heap, profile.max_allocation_size);
  if (info.allocationSize != 0 && info.allocationSize <= limit) return VK_SUCCESS;
  broken("V5", text("allocationSize %llu is 0 or above maxMemoryAllocationSize %llu or its heap %llu",
                    Number{info.allocationSize}, Number{profile.max_allocation_size}, Number{heap}));
  return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

void check_flags(const Device& device, const Request& request, const MemoryInfo& memory) {
  if ((memory.properties & VK_MEMORY_PROPERTY_PROTECTED_BIT) != 0 && !device.protected_memory)
    broken("V15", "a protected memory type without the feature protectedMemory");
  if (memory.device_address && !device.address)
    broken("V9", "DEVICE_ADDRESS without the feature bufferDeviceAddress");
  if (request.exported == nullptr) return;
  const bool fd = (request.exported->handleTypes & VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT) != 0;
  if (fd && device.profile.fd_dedicated_only && request.dedicated_to() == 0)
    broken("V18", "the exported handle type needs a dedicated allocation on this device");
}

// The dedicated resource's size is the allocation's.
void check_dedicated(Device& device, const Request& request) {
  const std::uint64_t handle = request.dedicated_to();
  if (handle == 0) return;
  const auto object = device.objects.peek(handle);
  const bool is_resource =
      object != nullptr && (object->type == VK_OBJECT_TYPE_BUFFER || object->type == VK_OBJECT_TYPE_IMAGE);
  if (!is_resource) return broken("D1", "the dedicated buffer or image does not live");
  const auto& resource = static_cast<const Resource&>(*object);
  if (!request.is_import() && resource.requirements.size != request.info.allocationSize)
    broken("V8",
           text("a dedicated allocation of %llu bytes for %s of %llu", Number{request.info.allocationSize},
                resource.describe().c_str(), Number{resource.requirements.size}));
  if (resource.sparse) broken("V8", "a dedicated allocation for a sparse resource");
}

VkResult check_host_import(const Device& device, const Request& request) {
  const VkDeviceSize alignment = device.profile.host_pointer_alignment;
  const auto address = reinterpret_cast<std::uintptr_t>(request.host->pHostPointer);
  constexpr VkMemoryPropertyFlags kWanted =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  const VkMemoryType& type = device.profile.memory.memoryTypes[request.info.memoryTypeIndex];
  if ((type.propertyFlags & kWanted) != kWanted)
    broken("V6", text("memory type %u is not one that host pointers can be imported to",
                      request.info.memoryTypeIndex));
  if (address % alignment == 0 && request.info.allocationSize % alignment == 0) return VK_SUCCESS;
  broken("V17", text("host pointer %p or size %llu is no multiple of minImportedHostPointerAlignment %llu",
                     request.host->pHostPointer, Number{request.info.allocationSize}, Number{alignment}));
  return VK_ERROR_INVALID_EXTERNAL_HANDLE;
}

VkResult check_file_import(const Request& request) {
  const std::optional<ExportedFile> known = find_exported(request.file->fd);
  if (!known) {
    broken("V17", text("file descriptor %d was not exported by this driver", request.file->fd));
    return VK_ERROR_INVALID_EXTERNAL_HANDLE;
  }
  if (known->size == request.info.allocationSize && known->type == request.info.memoryTypeIndex)
    return VK_SUCCESS;
  broken("V17", text("imports %llu bytes of type %u; exported were %llu of type %u",
                     Number{request.info.allocationSize}, request.info.memoryTypeIndex, Number{known->size},
                     known->type));
  return VK_ERROR_INVALID_EXTERNAL_HANDLE;
}

VkResult check(Device& device, const Request& request, const MemoryInfo& memory) {
  check_flags(device, request, memory);
  check_dedicated(device, request);
  if (request.host != nullptr) return check_host_import(device, request);
  if (request.file != nullptr) return check_file_import(request);
  return VK_SUCCESS;
}

// Takes one of the allocations that the device has (V4), and the heap's bytes unless they are another's
// already.
VkResult take(Device& device, const MemoryInfo& memory, bool counted) {
  device.physical.heaps.begin_allocation();
  const std::lock_guard lock(device.mutex);
  const std::uint32_t limit = device.profile.properties.limits.maxMemoryAllocationCount;
  if (device.allocations >= limit) {
    broken("V4", text("%u allocations live: maxMemoryAllocationCount", limit));
    return VK_ERROR_TOO_MANY_OBJECTS;
  }
  if (counted) {
    if (!device.physical.heaps.take(memory.heap, memory.size)) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    const VkDeviceSize budget = device.physical.heaps.budget(memory.heap),
                       used = device.physical.heaps.used(memory.heap);
    const VkDeviceSize heap = device.profile.memory.memoryHeaps[memory.heap].size;
    if (driver().settings.enforce_budget && used > std::min(budget, heap))
      broken("V16", text("heap %u: %llu bytes used exceed its budget of %llu", memory.heap, Number{used},
                         Number{std::min(budget, heap)}));
  }
  ++device.allocations;
  return VK_SUCCESS;
}

void give_back(Device& device, const MemoryInfo& memory, bool counted) {
  const std::lock_guard lock(device.mutex);
  --device.allocations;
  if (counted) device.physical.heaps.give_back(memory.heap, memory.size);
}

void tell_listeners(const Device& device, VkDeviceMemoryReportEventTypeEXT type, const MemoryInfo& memory,
                    std::uint64_t handle) {
  VkDeviceMemoryReportCallbackDataEXT data{};
  data.sType = VK_STRUCTURE_TYPE_DEVICE_MEMORY_REPORT_CALLBACK_DATA_EXT;
  data.type = type;
  data.memoryObjectId = handle;
  data.size = memory.size;
  data.objectType = VK_OBJECT_TYPE_DEVICE_MEMORY;
  data.objectHandle = handle;
  data.heapIndex = memory.heap;
  for (const auto& listener : device.memory_listeners)
    listener.pfnUserCallback(&data, listener.pUserData);
}

MemoryInfo describe(const Device& device, const Request& request) {
  MemoryInfo memory;
  memory.size = request.info.allocationSize;
  memory.type = request.info.memoryTypeIndex;
  const VkMemoryType& type = device.profile.memory.memoryTypes[memory.type];
  memory.heap = type.heapIndex;
  memory.properties = type.propertyFlags;
  memory.atom = device.profile.properties.limits.nonCoherentAtomSize;
  memory.device_address =
      request.flags != nullptr && (request.flags->flags & VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT) != 0;
  memory.exportable = request.exported != nullptr;
  memory.dedicated_to = request.dedicated_to();
  // Memory of a file is counted where it was allocated, the host's own and lazy memory nowhere (V14).
  memory.counted = !request.is_import() && (memory.properties & VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT) == 0;
  return memory;
}

void open(Memory& memory, const Request& request) {
  if (request.host != nullptr) return memory.open_host(request.host->pHostPointer);
  if (request.file != nullptr) return memory.open_file(request.file->fd);
  memory.open_new();
}

}  // namespace

namespace api {

VkResult AllocateMemory(VkDevice handle, const VkMemoryAllocateInfo* info, const VkAllocationCallbacks*,
                        VkDeviceMemory* out) {
  Device& device = from(handle);
  if (const VkResult result = check_size(device, *info); result != VK_SUCCESS) return result;
  const Request request(*info);
  auto memory = std::make_shared<Memory>(describe(device, request));
  if (const VkResult result = check(device, request, memory->info); result != VK_SUCCESS) return result;
  if (const VkResult result = take(device, memory->info, memory->info.counted); result != VK_SUCCESS) {
    tell_listeners(device, VK_DEVICE_MEMORY_REPORT_EVENT_TYPE_ALLOCATION_FAILED_EXT, memory->info, 0);
    return result;
  }
  try {
    open(*memory, request);
  } catch (const std::bad_alloc&) {
    give_back(device, memory->info, memory->info.counted);
    return VK_ERROR_OUT_OF_HOST_MEMORY;
  }
  {
    const std::lock_guard lock(device.mutex);
    memory->address = device.next_address;
    device.next_address += (memory->info.size + 0xffff) / 0x10000 * 0x10000;
  }
  *out = device.objects.add<VkDeviceMemory>(memory);
  tell_listeners(device,
                 request.is_import() ? VK_DEVICE_MEMORY_REPORT_EVENT_TYPE_IMPORT_EXT
                                     : VK_DEVICE_MEMORY_REPORT_EVENT_TYPE_ALLOCATE_EXT,
                 memory->info, memory->handle);
  return VK_SUCCESS;
}

void FreeMemory(VkDevice handle, VkDeviceMemory memory_handle, const VkAllocationCallbacks*) {
  Device& device = from(handle);
  const auto object = device.objects.remove(memory_handle, Memory::kType);
  if (object == nullptr) return;
  auto& memory = static_cast<Memory&>(*object);
  {
    const std::lock_guard lock(device.mutex);
    check_freed(device, memory);
    memory.destroyed = true;
    memory.close();
    --device.allocations;
    if (memory.info.counted) device.physical.heaps.give_back(memory.info.heap, memory.info.size);
  }
  tell_listeners(device, VK_DEVICE_MEMORY_REPORT_EVENT_TYPE_FREE_EXT, memory.info, memory.handle);
}

void GetDeviceMemoryCommitment(VkDevice handle, VkDeviceMemory memory, VkDeviceSize* out) {
  const auto object = from(handle).objects.find<Memory>(memory);
  // Nothing here renders, so a lazy attachment never needs memory.
  if (object != nullptr) *out = object->info.counted ? object->info.size : 0;
}

void SetDeviceMemoryPriorityEXT(VkDevice handle, VkDeviceMemory memory, float priority) {
  const auto object = from(handle).objects.find<Memory>(memory);
  if (object != nullptr && !(priority >= 0 && priority <= 1))
    report("D6", object->describe(), "a priority outside of 0 to 1");
}

}  // namespace api
}  // namespace vasim
