// What the registry says that a driver may answer, for every call that this library makes, and the library's
// word for it.
#pragma once

#include <utility>
#include <vector>
#include <volk.h>

#include "vaspace/base/result.hpp"

namespace vaspace::test {

struct Refusable {
  const char* function;
  std::vector<std::pair<const char*, VkResult>> results;
};

#define VASPACE_RESULT(name) \
  { #name, name }
inline constexpr std::pair<const char*, VkResult> kNoHost = VASPACE_RESULT(VK_ERROR_OUT_OF_HOST_MEMORY);
inline constexpr std::pair<const char*, VkResult> kNoDevice = VASPACE_RESULT(VK_ERROR_OUT_OF_DEVICE_MEMORY);
inline constexpr std::pair<const char*, VkResult> kLost = VASPACE_RESULT(VK_ERROR_DEVICE_LOST);
inline constexpr std::pair<const char*, VkResult> kCapture =
    VASPACE_RESULT(VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS_KHR);
inline constexpr std::pair<const char*, VkResult> kHandle = VASPACE_RESULT(VK_ERROR_INVALID_EXTERNAL_HANDLE);

// Of those that the simulated driver can refuse by name; enumerations are in tests/vulkan/create_test.cpp.
inline const std::vector<Refusable>& refusable() {
  static const std::vector<Refusable> all{
      {"vkAllocateMemory", {kNoHost, kNoDevice, kHandle, kCapture}},
      {"vkCreateBuffer", {kNoHost, kNoDevice, kCapture}},
      {"vkCreateImage", {kNoHost, kNoDevice, VASPACE_RESULT(VK_ERROR_COMPRESSION_EXHAUSTED_EXT), kCapture}},
      {"vkBindBufferMemory", {kNoHost, kNoDevice, kCapture}},
      {"vkBindImageMemory", {kNoHost, kNoDevice}},
      {"vkMapMemory", {kNoHost, kNoDevice, VASPACE_RESULT(VK_ERROR_MEMORY_MAP_FAILED)}},
      {"vkFlushMappedMemoryRanges", {kNoHost, kNoDevice}},
      {"vkInvalidateMappedMemoryRanges", {kNoHost, kNoDevice}},
      {"vkQueueBindSparse", {kNoHost, kNoDevice, kLost}},
      {"vkGetSemaphoreCounterValue", {kNoHost, kNoDevice, kLost}},
      {"vkWaitSemaphores", {kNoHost, kNoDevice, kLost}},
      {"vkCreateSemaphore", {kNoHost, kNoDevice}},
      {"vkGetMemoryFdKHR", {VASPACE_RESULT(VK_ERROR_TOO_MANY_OBJECTS), kNoHost}},
      {"vkGetMemoryHostPointerPropertiesEXT", {kNoHost, kHandle}},
      {"vkCreateCommandPool", {kNoHost, kNoDevice}},
      {"vkAllocateCommandBuffers", {kNoHost, kNoDevice}},
      {"vkBeginCommandBuffer", {kNoHost, kNoDevice}},
      {"vkEndCommandBuffer", {kNoHost, kNoDevice}},
      {"vkQueueSubmit", {kNoHost, kNoDevice, kLost}},
  };
  return all;
}
#undef VASPACE_RESULT

inline Error error_for(VkResult result) {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return {ErrorCode::out_of_host_memory, result};
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return {ErrorCode::out_of_device_memory, result};
    case VK_ERROR_TOO_MANY_OBJECTS:
      return {ErrorCode::out_of_address_space, result};
    case VK_ERROR_DEVICE_LOST:
      return {ErrorCode::device_lost, result};
    default:
      return {ErrorCode::driver_error, result};
  }
}

}  // namespace vaspace::test
