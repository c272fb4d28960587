// Images.
#pragma once

#include "image_layout.hpp"
#include "resource.hpp"

namespace vasim {

struct Device;

struct Image : Resource {
  static constexpr VkObjectType kType = VK_OBJECT_TYPE_IMAGE;

  Image(const Device& device, const VkImageCreateInfo& info);

  VkImageCreateInfo info;  // pNext and queue families are not to be followed
  ImageLayout layout;
};

}  // namespace vasim
