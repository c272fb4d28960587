// What a physical device says of itself, in the library's words.
#pragma once

#include "vaspace/device/profile.hpp"

#include "driver.hpp"

namespace vaspace::vulkan {

struct DeviceLimits {
  Bytes non_coherent_atom{1};
  bool memory_budget = false;           // VK_EXT_memory_budget is there and wanted
  bool export_needs_dedicated = false;  // buffers for transfers
  Bytes host_pointer_alignment{};       // 0: VK_EXT_external_memory_host is not enabled
  Bytes sparse_address_space{};
  bool strict_holes = false;  // reads of what is not bound give zeros (V28)
  Bytes max_memory{};         // of one memory object (V5)
  ResourceLimits resources{};
};

// Unit of the sizes of reservations: a common alignment of buffers, and no device's atom is larger.
inline constexpr Bytes kGranularity = 256_B;

// The device's functions are loaded. Errors: out_of_host_memory, the driver's own.
[[nodiscard]] Result<void> read_device(const Driver& driver, const BackendConfig& config,
                                       DeviceProfile& profile, DeviceLimits& limits) noexcept;

// Whether memory of this type can be had with the features that are known to be enabled.
[[nodiscard]] bool allocatable(const MemoryType& type, const DeviceFeatures& features) noexcept;

// V18: what is exported as an opaque file descriptor has to be dedicated. Errors: not_supported (it cannot be
// exported), the driver's own.
[[nodiscard]] bool export_needs_dedicated(const Driver& driver, VkBufferCreateFlags flags,
                                          VkBufferUsageFlags usage) noexcept;
[[nodiscard]] Result<bool> export_needs_dedicated(const Driver& driver,
                                                  const VkImageCreateInfo& image) noexcept;

}  // namespace vaspace::vulkan
