// CUresult by name, both ways.
#pragma once

#include <cuda.h>
#include <optional>
#include <string_view>

namespace vasim::cuda {

[[nodiscard]] const char* result_name(CUresult result);  // "CUDA_ERROR_OUT_OF_MEMORY"; null where unknown
[[nodiscard]] const char* result_description(CUresult result);  // "out of memory"; null where unknown
[[nodiscard]] std::optional<CUresult> result_from(std::string_view name);  // by name or by number

}  // namespace vasim::cuda
