// What a physical device says of itself, in the library's words.
#pragma once

#include "vaspace/device/profile.hpp"

#include "driver.hpp"

namespace vaspace::vulkan {

struct DeviceLimits {
  Bytes non_coherent_atom{1};
  bool memory_budget = false;  // VK_EXT_memory_budget is there and wanted
};

// Unit of the sizes of reservations: a common alignment of buffers, and no device's atom is larger.
inline constexpr Bytes kGranularity = 256_B;

// Errors: out_of_host_memory, the driver's own.
[[nodiscard]] Result<void> read_device(const Driver& driver, const BackendConfig& config,
                                       DeviceProfile& profile, DeviceLimits& limits) noexcept;

// Whether memory of this type can be had without a feature that the backend does not know to be enabled.
[[nodiscard]] bool allocatable(const MemoryType& type) noexcept;

}  // namespace vaspace::vulkan
