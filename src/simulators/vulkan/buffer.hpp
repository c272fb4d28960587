// Buffers.
#pragma once

#include "resource.hpp"

namespace vasim {

struct Device;

struct Buffer : Resource {
  static constexpr VkObjectType kType = VK_OBJECT_TYPE_BUFFER;

  Buffer(const Device& device, const VkBufferCreateInfo& info);

  VkDeviceSize size = 0;
  VkBufferUsageFlags usage = 0;
  std::uint64_t address = 0;  // a sparse buffer has one of its own
};

}  // namespace vasim
