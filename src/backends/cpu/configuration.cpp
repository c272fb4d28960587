#include <array>

#include "vaspace/device/profile_checks.hpp"

#include "kernel.hpp"
#include "state.hpp"

namespace vaspace::cpu {
namespace {

constexpr std::array<Bytes, 2> kDefaultPageSizes{64_KiB, 2_MiB};

MemoryType host_memory(std::uint32_t heap) noexcept {
  MemoryType type;
  type.heap = heap;
  type.host_visible = type.host_coherent = type.host_cached = true;
  return type;
}

bool set_heaps(DeviceProfile& profile, const BackendConfig& config) noexcept {
  const MemoryHeap single{config.physical_size, true};
  const std::span<const MemoryHeap> heaps = config.heaps.empty() ? std::span(&single, 1) : config.heaps;
  if (heaps.size() > kMaxHeaps) return false;
  for (const MemoryHeap& heap : heaps) {
    if (heap.size.value == 0 || heap.size > kMaxHeapSize) return false;
    profile.heaps[profile.heap_count++] = heap;
  }
  return true;
}

bool set_memory_types(DeviceProfile& profile, const BackendConfig& config) noexcept {
  if (config.memory_types.size() > kMaxMemoryTypes) return false;
  for (const MemoryType& type : config.memory_types) {
    if (type.heap >= profile.heap_count) return false;
    profile.memory_types[profile.memory_type_count++] = type;
  }
  if (!config.memory_types.empty()) return true;
  for (std::uint32_t heap = 0; heap < profile.heap_count; ++heap)
    profile.memory_types[profile.memory_type_count++] = host_memory(heap);
  return true;
}

bool set_pages(DeviceProfile& profile, const BackendConfig& config) noexcept {
  if (config.reserve_commits) {
    profile.reservation_granularity = reservation_granularity({});
    return config.page_sizes.empty();
  }
  const std::span<const Bytes> sizes = config.page_sizes.empty() ? kDefaultPageSizes : config.page_sizes;
  if (!valid_page_sizes(sizes, host_page())) return false;
  set_page_sizes(profile, sizes);
  profile.reservation_granularity = reservation_granularity(sizes);
  return true;
}

std::uint64_t mapping_budget(const BackendConfig& config) noexcept {
  if (config.max_mappings != 0) return config.max_mappings;
  const std::uint64_t allowed = host_max_mappings();
  return allowed - allowed / 4;
}

void set_capabilities(Capabilities& can, const BackendConfig& config) noexcept {
  can.bind = !config.reserve_commits;
  can.reserve_commits = config.reserve_commits;
  can.partial_unbind = can.bind && config.partial_unbind;
  can.physical_offset = can.bind && config.physical_offset;
  can.aliasing = can.bind && config.aliasing;
  can.replace = can.bind && config.replace;
  can.null_binds = can.bind && config.null_binds;
  can.set_access = can.bind;
  can.completes_later = config.bind_latency_ns != 0;
  can.host_addressable = true;
  can.map = true;
  can.copy = true;
  can.measures_physical = true;
  can.max_mappings = mapping_budget(config);
  can.max_reservations = config.max_reservations;
  can.max_reservation_size = config.max_reservation_size;
}

}  // namespace

Result<DeviceProfile> describe(const BackendConfig& config) noexcept {
  DeviceProfile profile;
  set_name(profile, "cpu");
  const bool valid =
      set_heaps(profile, config) && set_memory_types(profile, config) && set_pages(profile, config);
  if (!valid) return fail(ErrorCode::invalid_configuration);
  set_capabilities(profile.capabilities, config);
  return profile;
}

}  // namespace vaspace::cpu
