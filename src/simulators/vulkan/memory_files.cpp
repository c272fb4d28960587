#include "memory_files.hpp"

#include <fcntl.h>
#include <map>
#include <mutex>
#include <sys/stat.h>
#include <utility>

#include "calls.hpp"
#include "device.hpp"
#include "memory.hpp"

namespace vasim {
namespace {

using FileId = std::pair<dev_t, ino_t>;

std::mutex exported_mutex;

std::map<FileId, ExportedFile>& exported() {
  static auto* const all = new std::map<FileId, ExportedFile>;
  return *all;
}

std::optional<FileId> id_of(int descriptor) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return std::nullopt;
  return FileId{status.st_dev, status.st_ino};
}

}  // namespace

std::optional<ExportedFile> find_exported(int descriptor) {
  const std::optional<FileId> id = id_of(descriptor);
  const std::lock_guard lock(exported_mutex);
  const auto found = id ? exported().find(*id) : exported().end();
  if (found == exported().end()) return std::nullopt;
  return found->second;
}

namespace api {

VkResult GetMemoryFdKHR(VkDevice handle, const VkMemoryGetFdInfoKHR* info, int* out) {
  const auto memory = from(handle).objects.find<Memory>(info->memory);
  if (memory == nullptr) return VK_ERROR_OUT_OF_HOST_MEMORY;
  if (!memory->file() || info->handleType != VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT) {
    report("V18", memory->describe(), "was not allocated to be exported as an opaque file descriptor");
    return VK_ERROR_TOO_MANY_OBJECTS;
  }
  const int copy = fcntl(memory->file().descriptor(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return VK_ERROR_TOO_MANY_OBJECTS;
  const std::optional<FileId> id = id_of(copy);
  const std::lock_guard lock(exported_mutex);
  if (id) exported()[*id] = {memory->info.size, memory->info.type};
  *out = copy;
  return VK_SUCCESS;
}

VkResult GetMemoryFdPropertiesKHR(VkDevice, VkExternalMemoryHandleTypeFlagBits, int,
                                  VkMemoryFdPropertiesKHR*) {
  // Opaque descriptors are not to be asked about, and this driver imports no others.
  return VK_ERROR_INVALID_EXTERNAL_HANDLE;
}

VkResult GetMemoryHostPointerPropertiesEXT(VkDevice handle, VkExternalMemoryHandleTypeFlagBits, const void*,
                                           VkMemoryHostPointerPropertiesEXT* out) {
  const VkPhysicalDeviceMemoryProperties& memory = from(handle).profile.memory;
  constexpr VkMemoryPropertyFlags kWanted =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  out->memoryTypeBits = 0;
  for (std::uint32_t type = 0; type < memory.memoryTypeCount; ++type)
    if ((memory.memoryTypes[type].propertyFlags & kWanted) == kWanted) out->memoryTypeBits |= 1U << type;
  return VK_SUCCESS;
}

}  // namespace api
}  // namespace vasim
