#include "errors.hpp"

namespace vaspace::cuda {
namespace {

// Errors after which a context answers nothing else: work of somebody failed on the device, or it is gone.
bool is_lasting(CUresult result) noexcept {
  switch (result) {
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
    case CUDA_ERROR_DEINITIALIZED:
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
      return true;
    default:
      return false;
  }
}

ErrorCode code_of(CUresult result, ErrorCode full) noexcept {
  if (is_lasting(result)) return ErrorCode::device_lost;
  switch (result) {
    case CUDA_ERROR_OUT_OF_MEMORY:
      return full;
    case CUDA_ERROR_NOT_SUPPORTED:
      return ErrorCode::not_supported;
    case CUDA_ERROR_INVALID_DEVICE:
    case CUDA_ERROR_INVALID_HANDLE:
      return ErrorCode::invalid_argument;
    default:
      return ErrorCode::driver_error;
  }
}

}  // namespace

Error error_of(CUresult result, ErrorCode full) noexcept {
  return {code_of(result, full), static_cast<std::int32_t>(result)};
}

}  // namespace vaspace::cuda
