// From what a resource is for to the memory types that serve it, best first: a pure function of the device's
// profile, so that it can be tested on a table of every device there is.
//
// Always true of a ranking: every type in it has its bit in `type_bits` (V6), has what the intent cannot do
// without, and is there once; LAZILY_ALLOCATED types are in it for transient attachments only (V14);
// protected types for protected memory only, and then no others (V15); a type with a property that the caller
// has not said to be enabled is never in it. What is said of a heap is said by its flags and size, never by
// what kind of device it is in.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "vaspace/base/result.hpp"
#include "vaspace/device/profile.hpp"

namespace vaspace {

enum class Intent : std::uint8_t {
  device,                // the device reads and writes it; the host at most once, through `mapping`
  upload,                // the host writes it once, the device copies it elsewhere
  readback,              // the device writes it, the host reads it
  dynamic,               // the host writes it every frame, the device reads it where it lies
  transient_attachment,  // lives within a render pass; may never get memory at all
  protected_device,      // protected content; the host never sees it
};
inline constexpr std::uint32_t kIntentCount = 6;

enum class Mapping : std::uint8_t {
  none,
  preferred,  // mapped where that costs the device nothing: memory of one kind, or a BAR over all of it
  required,   // host-visible, and mapped from the beginning
};

// What a ranking depends on beside the profile.
struct TypeRequest {
  Intent intent = Intent::device;
  std::uint32_t type_bits = ~0U;  // of the resource's requirements
  Mapping mapping = Mapping::none;
  bool coherent = false;       // the host will neither flush nor invalidate
  Bytes size{};                // a type whose heap is smaller does not serve; 0: any heap but one of no bytes
  bool within_budget = false;  // nor does one whose heap has less room left, by `room`
};

// What is enabled on the device.
struct TypeRules {
  bool protected_memory = false;
  // Bits of MemoryType::native_flags beyond the six properties that MemoryType names (of Vulkan: 0x3F) that a
  // type may have: the device feature behind them is on (DEVICE_COHERENT_AMD, ...).
  std::uint32_t extra_native_flags = 0;
};

struct TypeRanking {
  std::uint32_t count = 0;
  std::array<std::uint8_t, kMaxMemoryTypes> types{};

  [[nodiscard]] const std::uint8_t* begin() const noexcept { return types.data(); }
  [[nodiscard]] const std::uint8_t* end() const noexcept { return types.data() + count; }
  [[nodiscard]] std::uint8_t operator[](std::uint32_t i) const noexcept { return types[i]; }
};

// `room`: by heap, how many bytes may still be taken; looked at for within_budget only. Errors:
// invalid_argument (type_bits names no type of the device), not_supported (no type of these has what the
// intent needs; protected memory is not enabled), too_large (they have, but their heaps are smaller),
// out_of_device_memory (their heaps have no room).
[[nodiscard]] Result<TypeRanking> choose_memory_types(const DeviceProfile& profile,
                                                      const TypeRequest& request, const TypeRules& rules = {},
                                                      std::span<const Bytes> room = {}) noexcept;

// Whether the host may write to device memory of this type directly without taking a scarce window away from
// others: the heap is no smaller than half of the largest device-local one.
[[nodiscard]] bool is_roomy_device_heap(const DeviceProfile& profile, std::uint32_t memory_type) noexcept;

}  // namespace vaspace
