// The library's word for a driver's answer that is no success, the same for all of the Vulkan layers, and
// which of the driver's functions gave it: an Error has room for the number alone.
#pragma once

#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include <vulkan/vulkan_core.h>

#include "vaspace/base/result.hpp"

namespace vaspace::vulkan {

// The number goes along as Error::native. `function` is a literal, and is kept for refused_by().
[[nodiscard]] Error error_of(VkResult result, const char* function) noexcept;
[[nodiscard]] inline tl::unexpected<Error> refusal(VkResult result, const char* function) noexcept {
  return fail(error_of(result, function));
}

// The function that gave this error, where it is the last that one gave on this thread; "": it is not, or no
// driver was asked.
[[nodiscard]] const char* refused_by(const Error& error) noexcept;

}  // namespace vaspace::vulkan
