// Memory that leaves or enters a device as a file descriptor, and when a memory object may go.
#pragma once

#include <cstdint>
#include <optional>
#include <vulkan/vulkan_core.h>

namespace vasim {

struct Device;
struct Memory;

// What is known of a file that vkGetMemoryFdKHR gave out, by the file itself and not by its number.
struct ExportedFile {
  VkDeviceSize size = 0;
  std::uint32_t type = 0;
};
std::optional<ExportedFile> find_exported(int descriptor);

// Reports what forbids to free the memory now (V27). Under the device's lock.
void check_freed(Device& device, Memory& memory);

}  // namespace vasim
