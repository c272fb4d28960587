// CUDA devices for the command, through whatever driver is there.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vaspace/backends/cuda.hpp"

namespace vaspace::tools {

// Of all devices in the driver's order, as open_cuda_backend() takes them: "cuda:0" and so on, for names may
// be equal. None where there is no driver.
[[nodiscard]] std::vector<std::string> cuda_device_names();

// `device`: a number ("1", "cuda:1"), or a name: the first device that has it. Empty: the first. Throws
// Failed, with the driver's reason.
[[nodiscard]] std::shared_ptr<cuda::Backend> open_cuda_backend(std::string_view device);

}  // namespace vaspace::tools
