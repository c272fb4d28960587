#include "vaspace/base/result.hpp"

namespace vaspace {

const char* to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_size:
      return "invalid_size";
    case ErrorCode::invalid_alignment:
      return "invalid_alignment";
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::invalid_configuration:
      return "invalid_configuration";
    case ErrorCode::too_large:
      return "too_large";
    case ErrorCode::not_supported:
      return "not_supported";
    case ErrorCode::out_of_space:
      return "out_of_space";
    case ErrorCode::out_of_host_memory:
      return "out_of_host_memory";
    case ErrorCode::out_of_device_memory:
      return "out_of_device_memory";
    case ErrorCode::out_of_address_space:
      return "out_of_address_space";
    case ErrorCode::out_of_mappings:
      return "out_of_mappings";
    case ErrorCode::timed_out:
      return "timed_out";
    case ErrorCode::device_lost:
      return "device_lost";
    case ErrorCode::driver_error:
      return "driver_error";
    case ErrorCode::unknown_handle:
      return "unknown_handle";
    case ErrorCode::stale_handle:
      return "stale_handle";
    case ErrorCode::unknown_address:
      return "unknown_address";
    case ErrorCode::interior_address:
      return "interior_address";
    case ErrorCode::stale_plan:
      return "stale_plan";
    case ErrorCode::wrong_state:
      return "wrong_state";
    case ErrorCode::malformed:
      return "malformed";
    case ErrorCode::io_error:
      return "io_error";
  }
  return "unknown error";
}

}  // namespace vaspace
