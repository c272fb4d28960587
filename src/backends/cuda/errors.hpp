// What a CUresult is called here.
#pragma once

#include <cuda.h>

#include "vaspace/base/result.hpp"

namespace vaspace::cuda {

// `full` is what CUDA_ERROR_OUT_OF_MEMORY means where it was answered.
[[nodiscard]] Error error_of(CUresult result, ErrorCode full = ErrorCode::out_of_device_memory) noexcept;

[[nodiscard]] inline Result<void> check(CUresult result,
                                        ErrorCode full = ErrorCode::out_of_device_memory) noexcept {
  if (result == CUDA_SUCCESS) return {};
  return fail(error_of(result, full));
}

}  // namespace vaspace::cuda
