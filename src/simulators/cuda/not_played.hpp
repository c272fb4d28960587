// What is asked of the driver that it does not play.
#pragma once

namespace vasim::cuda {

// A CUresult: CUDA_ERROR_NOT_SUPPORTED, or what is injected there.
[[nodiscard]] int not_played(const char* function);

}  // namespace vasim::cuda
