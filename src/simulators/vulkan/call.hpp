// What stands around every command: it is counted, it may be made to fail, and no exception leaves it.
#pragma once

#include <new>
#include <type_traits>

#include "calls.hpp"
#include "driver.hpp"

namespace vasim {

// A call that is made to fail with VK_ERROR_DEVICE_LOST loses the device that it was made on.
void lose(VkDevice device);
void lose(VkQueue queue);
void lose(VkCommandBuffer buffer);
template <class Other>
void lose(Other) {}

template <Call kCall, auto kFunction>
struct Entry;

template <Call kCall, class Result, class First, class... Rest, Result (*kFunction)(First, Rest...)>
struct Entry<kCall, kFunction> {
  static Result VKAPI_CALL call(First first, Rest... rest) {
    constexpr bool kOfDevice = std::is_same_v<First, VkDevice> || std::is_same_v<First, VkQueue> ||
                               std::is_same_v<First, VkCommandBuffer> || kCall == Call::CreateDevice;
    constexpr Failures::Failing kFailing = !std::is_same_v<Result, VkResult> ? Failures::Failing::Never
                                           : kOfDevice                       ? Failures::Failing::ByNameOrAny
                                                                             : Failures::Failing::ByName;
    const VkResult injected = driver().failures.begin(kCall, kFailing);
    if constexpr (std::is_same_v<Result, VkResult>) {
      if (injected == VK_ERROR_DEVICE_LOST) lose(first);
      if (injected != VK_SUCCESS) return injected;
      try {
        return kFunction(first, rest...);
      } catch (const std::bad_alloc&) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
      }
    } else {
      return kFunction(first, rest...);
    }
  }
};

// A command that this driver does not carry out.
template <Call kCall, class Function>
struct Absent;

template <Call kCall, class Result, class... Arguments>
struct Absent<kCall, Result (*)(Arguments...)> {
  static Result VKAPI_CALL call(Arguments...) {
    report("D9", name_of(kCall), "this driver has no graphics pipelines, queries or blits");
    if constexpr (!std::is_void_v<Result>) return VK_ERROR_FEATURE_NOT_PRESENT;
  }
};

}  // namespace vasim
