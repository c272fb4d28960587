#include "refusal.hpp"

namespace vaspace::vulkan {

namespace {

struct LastRefusal {
  const char* function = "";
  std::int32_t native = 0;
};

constinit thread_local LastRefusal last{};

ErrorCode code_of(VkResult result) noexcept {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return ErrorCode::out_of_host_memory;
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return ErrorCode::out_of_device_memory;
    case VK_ERROR_TOO_MANY_OBJECTS:
      return ErrorCode::out_of_address_space;
    case VK_ERROR_FEATURE_NOT_PRESENT:
    case VK_ERROR_EXTENSION_NOT_PRESENT:
    case VK_ERROR_FORMAT_NOT_SUPPORTED:
      return ErrorCode::not_supported;
    case VK_TIMEOUT:
      return ErrorCode::timed_out;
    case VK_ERROR_DEVICE_LOST:
      return ErrorCode::device_lost;
    default:
      return ErrorCode::driver_error;
  }
}

}  // namespace

Error error_of(VkResult result, const char* function) noexcept {
  last = {function, result};
  return {code_of(result), result};
}

const char* refused_by(const Error& error) noexcept {
  return error.native != 0 && error.native == last.native ? last.function : "";
}

}  // namespace vaspace::vulkan
