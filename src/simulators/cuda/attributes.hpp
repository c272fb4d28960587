// The figures of a device that programs ask for.
#pragma once

#include <cuda.h>

#include "profile.hpp"

namespace vasim::cuda {

// 0 where the simulator has nothing of the kind (textures, surfaces, interop with other APIs).
[[nodiscard]] int device_attribute(const DeviceProfile& profile, CUdevice_attribute attribute);

}  // namespace vasim::cuda
