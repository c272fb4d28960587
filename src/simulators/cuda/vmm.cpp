#include "vmm.hpp"

namespace vasim::cuda {
namespace {

// The addresses that a region's pages appear in: a reservation's, or its own.
const AddressRange& range_of(Driver& driver, const Region& region) {
  return region.kind == RegionKind::mapping ? driver.space.reservation_at(region.begin)->range : region.range;
}

bool unified(const Driver& driver, const Region& region) {
  return driver.profile.devices[static_cast<std::size_t>(region.device)].unified;
}

}  // namespace

CUresult check_properties(const Call& call, const CUmemAllocationProp& properties) {
  if (properties.type != CU_MEM_ALLOCATION_TYPE_PINNED) return CUDA_ERROR_INVALID_VALUE;
  if (properties.location.type != CU_MEM_LOCATION_TYPE_DEVICE) return CUDA_ERROR_NOT_SUPPORTED;
  const Device* device = find_device(call.driver, properties.location.id);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  const auto types = static_cast<unsigned>(properties.requestedHandleTypes);
  return (types & ~device->profile->handle_types) == 0 ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

Granularity granularity_of(const Driver& driver, const CUmemAllocationProp& properties) {
  const DeviceProfile& profile = driver.profile.devices[static_cast<std::size_t>(properties.location.id)];
  return properties.requestedHandleTypes == CU_MEM_HANDLE_TYPE_NONE ? profile.granularity
                                                                    : profile.exportable_granularity;
}

bool show_on_host(Driver& driver, const Region& region) {
  if (!unified(driver, region)) return true;
  const AddressRange& range = range_of(driver, region);
  std::uint64_t done = 0;
  for (const Extent& extent : region.physical->extents()) {
    if (done == region.size) break;
    const std::uint64_t part = extent.size < region.size - done ? extent.size : region.size - done;
    if (!range.show(region.begin + done, part, region.physical->file(), extent.offset)) {
      range.hide(region.begin, region.size);
      return false;
    }
    done += part;
  }
  return true;
}

bool allow_on_host(Driver& driver, const Region& region) {
  if (!unified(driver, region)) return true;
  return range_of(driver, region)
      .allow(region.begin, region.size, region.readable != 0, region.writable != 0);
}

void hide_from_host(Driver& driver, const Region& region) {
  if (unified(driver, region)) range_of(driver, region).hide(region.begin, region.size);
}

}  // namespace vasim::cuda
