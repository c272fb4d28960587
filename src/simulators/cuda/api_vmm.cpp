// Virtual memory management: address ranges, physical memory, mappings.
#include <algorithm>
#include <cuda.h>

#include "call.hpp"
#include "hazards.hpp"
#include "vmm.hpp"

namespace vasim::cuda {
namespace {

constexpr std::size_t kRefusedKept = 64;

std::string hex(std::uint64_t value) {
  return range_text(value, 0).substr(0, range_text(value, 0).find(' '));
}

bool power_of_two(std::uint64_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

// Any mapping of any device can begin at such an address.
std::uint64_t default_alignment(const Driver& driver) {
  std::uint64_t alignment = host_page();
  for (const DeviceProfile& device : driver.profile.devices)
    alignment = std::max({alignment, device.granularity.minimum, device.exportable_granularity.minimum});
  return alignment;
}

// Ranges that the program may believe it has, to tell it later (C2, C18).
void remember_refused(Driver& driver, Range range) {
  if (driver.refused.size() == kRefusedKept) driver.refused.erase(driver.refused.begin());
  driver.refused.push_back(range);
}

AddressRange reserve(const Driver& driver, std::uint64_t size, std::uint64_t alignment, std::uint64_t hint) {
  if (driver.profile.hint_honoured) return AddressRange::reserve(size, alignment, hint);
  AddressRange first = AddressRange::reserve(size, alignment, 0);
  if (first.size() == 0 || first.begin() != hint) return first;
  return AddressRange::reserve(size, alignment, 0);  // elsewhere, for the first is still held
}

CUresult address_reserve(Call& call, CUdeviceptr* out, std::uint64_t size, std::uint64_t alignment,
                         std::uint64_t hint) {
  const std::uint64_t page = host_page();
  if (size == 0 || size % page != 0 || hint % page != 0)
    return call.broken("C1", range_text(hint, size), "not in whole host pages", CUDA_ERROR_INVALID_VALUE);
  if (alignment != 0 && !power_of_two(alignment)) {
    return call.broken("C1", range_text(hint, size), "the alignment is no power of two",
                       CUDA_ERROR_INVALID_VALUE);
  }
  if (alignment == 0) alignment = default_alignment(call.driver);
  const Profile& profile = call.driver.profile;
  const bool allowed = size <= profile.reservation_largest && size <= profile.reservation_limit &&
                       call.driver.space.reserved() <= profile.reservation_limit - size;
  AddressRange range = allowed ? reserve(call.driver, size, std::max(alignment, page), hint) : AddressRange();
  if (range.size() == 0) {
    remember_refused(call.driver, {0, size});
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  if (hint != 0 && range.begin() != hint) remember_refused(call.driver, {hint, size});
  *out = range.begin();
  call.driver.space.add(Reservation{std::move(range)});
  return CUDA_SUCCESS;
}

CUresult address_free(Call& call, std::uint64_t begin, std::uint64_t size) {
  AddressSpace& space = call.driver.space;
  const Reservation* found = space.reservation_at(begin);
  const std::string object = "reservation " + range_text(begin, size);
  if (found == nullptr) {
    return call.broken("C17", object, space.was_freed(begin) ? "it was freed before" : "there is none",
                       CUDA_ERROR_INVALID_VALUE);
  }
  if (found->range.begin() != begin || found->range.size() != size) {
    return call.broken("C17", object, "it is " + range_text(found->range.begin(), found->range.size()),
                       CUDA_ERROR_INVALID_VALUE);
  }
  if (const auto mapped = space.regions_in(begin, size); !mapped.empty()) {
    return call.broken("C17", object, region_text(*mapped.front()) + " is still mapped",
                       CUDA_ERROR_INVALID_VALUE);
  }
  space.remove_reservation(begin);
  return CUDA_SUCCESS;
}

CUresult create(Call& call, CUmemGenericAllocationHandle* out, std::uint64_t size,
                const CUmemAllocationProp& properties) {
  const CUresult sound = check_properties(call, properties);
  if (sound != CUDA_SUCCESS) return sound;
  const Granularity granularity = granularity_of(call.driver, properties);
  if (size == 0 || size % granularity.minimum != 0) {
    return call.broken("C3", "size " + std::to_string(size),
                       "no multiple of the minimum granularity " + std::to_string(granularity.minimum),
                       CUDA_ERROR_INVALID_VALUE);
  }
  Device& device = *find_device(call.driver, properties.location.id);
  if (device.lost != CUDA_SUCCESS) return device.lost;
  MemoryHandle handle;
  handle.physical = device.memory->allocate(size, properties.requestedHandleTypes != CU_MEM_HANDLE_TYPE_NONE);
  if (handle.physical == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  handle.properties = properties;
  const std::uint64_t id = new_id();
  call.driver.handles.emplace(id, std::move(handle));
  *out = id;
  return CUDA_SUCCESS;
}

// Why a range cannot be mapped, for lack of a reservation around it.
CUresult not_reserved(Call& call, std::uint64_t begin, std::uint64_t size) {
  const std::string object = range_text(begin, size);
  for (const Range& range : call.driver.refused) {
    if (begin - range.begin >= range.size || call.driver.space.reservation_at(begin) != nullptr) continue;
    return range.begin == 0 ? call.broken("C2", object, "an offset from a reservation that was refused",
                                          CUDA_ERROR_INVALID_VALUE)
                            : call.broken("C18", object, "hinted, but the reservation came to lie elsewhere",
                                          CUDA_ERROR_INVALID_VALUE);
  }
  return call.broken("C4", object, "not inside one reservation", CUDA_ERROR_INVALID_VALUE);
}

CUresult check_map(Call& call, std::uint64_t begin, std::uint64_t size, std::uint64_t offset,
                   const MemoryHandle& handle) {
  const std::string object = range_text(begin, size);
  const std::uint64_t minimum = granularity_of(call.driver, handle.properties).minimum;
  if (offset != 0) {
    return call.broken("C4", object, "offset " + std::to_string(offset) + ": must be 0",
                       CUDA_ERROR_INVALID_VALUE);
  }
  if (size == 0 || begin % minimum != 0 || size % minimum != 0) {
    return call.broken("C3", object, "no multiples of the minimum granularity " + std::to_string(minimum),
                       CUDA_ERROR_INVALID_VALUE);
  }
  if (size > handle.physical->size()) {
    return call.broken("C4", object, "longer than the memory, " + std::to_string(handle.physical->size()),
                       CUDA_ERROR_INVALID_VALUE);
  }
  if (call.driver.space.reservation_around(begin, size) == nullptr) return not_reserved(call, begin, size);
  if (const auto mapped = call.driver.space.regions_in(begin, size); !mapped.empty())
    return call.broken("C4", object, region_text(*mapped.front()) + " is there", CUDA_ERROR_INVALID_VALUE);
  return CUDA_SUCCESS;
}

CUresult map(Call& call, std::uint64_t begin, std::uint64_t size, std::uint64_t offset,
             CUmemGenericAllocationHandle id) {
  MemoryHandle* handle = usable_handle(call, id);
  if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUresult sound = check_map(call, begin, size, offset, *handle);
  if (sound != CUDA_SUCCESS) return sound;
  Region region;
  region.kind = RegionKind::mapping;
  region.begin = begin;
  region.size = size;
  region.physical = handle->physical;
  region.handle = id;
  region.device = handle->physical->device();
  region.buffer_id = new_id();
  if (!show_on_host(call.driver, region)) return CUDA_ERROR_OUT_OF_MEMORY;
  call.driver.space.add(std::move(region));
  ++handle->mappings;
  handle->ever_mapped = true;
  return CUDA_SUCCESS;
}

CUresult unmap(Call& call, std::uint64_t begin, std::uint64_t size) {
  std::vector<Region*> regions;
  std::string why;
  if (!whole_mappings(call.driver, begin, size, regions, why))
    return call.broken("C8", range_text(begin, size), why, CUDA_ERROR_INVALID_VALUE);
  for (const Region* region : regions)
    check_no_work(call, *region);
  for (const Region* region : regions) {
    const std::uint64_t id = region->handle;
    hide_from_host(call.driver, *region);
    call.driver.space.remove_region(region->begin);
    MemoryHandle& handle = call.driver.handles.at(id);
    --handle.mappings;
    drop_if_unused(call.driver, id);
  }
  return CUDA_SUCCESS;
}

CUresult release(Call& call, CUmemGenericAllocationHandle id) {
  MemoryHandle* handle = usable_handle(call, id);
  if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
  --handle->references;
  drop_if_unused(call.driver, id);
  return CUDA_SUCCESS;
}

}  // namespace

MemoryHandle* usable_handle(Call& call, CUmemGenericAllocationHandle id) {
  MemoryHandle* handle = find_handle(call.driver, id);
  if (handle != nullptr && handle->references != 0) return handle;
  (void)call.undefined("C12", "handle " + hex(id), "it was released before, or never was one");
  return nullptr;
}

void drop_if_unused(Driver& driver, std::uint64_t id) {
  const auto found = driver.handles.find(id);
  if (found->second.references == 0 && found->second.mappings == 0) driver.handles.erase(found);
}

bool whole_mappings(Driver& driver, std::uint64_t begin, std::uint64_t size, std::vector<Region*>& regions,
                    std::string& why) {
  regions = driver.space.regions_in(begin, size);
  std::uint64_t at = begin;
  for (const Region* region : regions) {
    if (region->kind != RegionKind::mapping || region->begin > at) break;
    if (region->begin < at || region->size > begin + size - at) {
      why = "only a part of " + region_text(*region);
      return false;
    }
    at = region->end();
  }
  if (size != 0 && at == begin + size) return true;
  why = "nothing is mapped at " + hex(at);
  return false;
}

}  // namespace vasim::cuda

using vasim::cuda::Call;
using vasim::cuda::call;
using vasim::cuda::Needs;

extern "C" {

CUresult CUDAAPI cuMemAddressReserve(CUdeviceptr* ptr, size_t size, size_t alignment, CUdeviceptr addr,
                                     unsigned long long flags) {
  return call("cuMemAddressReserve", Needs::device, [&](Call& made) {
    if (ptr == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    return vasim::cuda::address_reserve(made, ptr, size, alignment, addr);
  });
}

CUresult CUDAAPI cuMemAddressFree(CUdeviceptr ptr, size_t size) {
  return call("cuMemAddressFree", Needs::initialisation,
              [&](Call& made) { return vasim::cuda::address_free(made, ptr, size); });
}

CUresult CUDAAPI cuMemCreate(CUmemGenericAllocationHandle* handle, size_t size,
                             const CUmemAllocationProp* prop, unsigned long long flags) {
  return call("cuMemCreate", Needs::device, [&](Call& made) {
    if (handle == nullptr || prop == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    return vasim::cuda::create(made, handle, size, *prop);
  });
}

CUresult CUDAAPI cuMemRelease(CUmemGenericAllocationHandle handle) {
  return call("cuMemRelease", Needs::initialisation,
              [&](Call& made) { return vasim::cuda::release(made, handle); });
}

CUresult CUDAAPI cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                          unsigned long long flags) {
  return call("cuMemMap", Needs::device, [&](Call& made) {
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    return vasim::cuda::map(made, ptr, size, offset, handle);
  });
}

CUresult CUDAAPI cuMemUnmap(CUdeviceptr ptr, size_t size) {
  return call("cuMemUnmap", Needs::device, [&](Call& made) { return vasim::cuda::unmap(made, ptr, size); });
}

}  // extern "C"
