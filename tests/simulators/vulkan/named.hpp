// A structure of Vulkan's with its type filled in and the rest zero.
#pragma once

#include <vulkan/vulkan.h>

namespace vasim::test {

template <class T>
T named(VkStructureType type) {
  T structure{};
  structure.sType = type;
  return structure;
}

}  // namespace vasim::test
