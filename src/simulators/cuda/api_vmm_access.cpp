// Virtual memory management: who may touch a mapping, and what memory is like.
#include <cuda.h>

#include "call.hpp"
#include "vmm.hpp"

namespace vasim::cuda {
namespace {

CUresult check_access(const Call& call, const std::vector<Region*>& regions, const CUmemAccessDesc& wanted) {
  if (wanted.location.type != CU_MEM_LOCATION_TYPE_DEVICE) return CUDA_ERROR_NOT_SUPPORTED;
  if (find_device(call.driver, wanted.location.id) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (wanted.flags != CU_MEM_ACCESS_FLAGS_PROT_NONE && wanted.flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
      wanted.flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
    return CUDA_ERROR_INVALID_VALUE;
  for (const Region* region : regions)
    if (!can_reach(call.driver, wanted.location.id, region->device))
      return call.broken("C7", region_text(*region),
                         "device " + std::to_string(wanted.location.id) + " cannot reach memory of device " +
                             std::to_string(region->device),
                         CUDA_ERROR_INVALID_DEVICE);
  return CUDA_SUCCESS;
}

void grant(Region& region, const CUmemAccessDesc& wanted) {
  const std::uint32_t bit = device_bit(wanted.location.id);
  const bool reads = wanted.flags != CU_MEM_ACCESS_FLAGS_PROT_NONE;
  const bool writes = wanted.flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  region.readable = reads ? region.readable | bit : region.readable & ~bit;
  region.writable = writes ? region.writable | bit : region.writable & ~bit;
  region.accessed = region.accessed || reads;
}

// All or nothing (C16).
CUresult set_access(Call& call, std::uint64_t begin, std::uint64_t size, const CUmemAccessDesc* wanted,
                    std::size_t count) {
  std::vector<Region*> regions;
  std::string why;
  if (!whole_mappings(call.driver, begin, size, regions, why))
    return call.broken("C6", range_text(begin, size), why, CUDA_ERROR_INVALID_VALUE);
  for (std::size_t i = 0; i != count; ++i) {
    const CUresult sound = check_access(call, regions, wanted[i]);
    if (sound != CUDA_SUCCESS) return sound;
  }
  struct Before {
    std::uint32_t readable, writable;
    bool accessed;
  };
  std::vector<Before> before;
  before.reserve(regions.size());
  for (Region* region : regions) {
    before.push_back({region->readable, region->writable, region->accessed});
    for (std::size_t i = 0; i != count; ++i)
      grant(*region, wanted[i]);
    if (allow_on_host(call.driver, *region)) continue;
    for (std::size_t i = 0; i != before.size(); ++i) {
      regions[i]->readable = before[i].readable;
      regions[i]->writable = before[i].writable;
      regions[i]->accessed = before[i].accessed;
      (void)allow_on_host(call.driver, *regions[i]);
    }
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  return CUDA_SUCCESS;
}

CUresult get_access(Call& call, unsigned long long* flags, const CUmemLocation& location,
                    std::uint64_t address) {
  const Region* region = call.driver.space.region_at(address);
  if (region == nullptr || region->kind != RegionKind::mapping) return CUDA_ERROR_INVALID_VALUE;
  if (location.type != CU_MEM_LOCATION_TYPE_DEVICE) return CUDA_ERROR_INVALID_VALUE;
  if (find_device(call.driver, location.id) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  const std::uint32_t bit = device_bit(location.id);
  *flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
  if ((region->readable & bit) != 0) *flags = CU_MEM_ACCESS_FLAGS_PROT_READ;
  if ((region->writable & bit) != 0) *flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace vasim::cuda

using vasim::cuda::Call;
using vasim::cuda::call;
using vasim::cuda::Needs;

extern "C" {

CUresult CUDAAPI cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc* desc, size_t count) {
  return call("cuMemSetAccess", Needs::device, [&](Call& made) {
    if (desc == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
    return vasim::cuda::set_access(made, ptr, size, desc, count);
  });
}

CUresult CUDAAPI cuMemGetAccess(unsigned long long* flags, const CUmemLocation* location, CUdeviceptr ptr) {
  return call("cuMemGetAccess", Needs::device, [&](Call& made) {
    if (flags == nullptr || location == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return vasim::cuda::get_access(made, flags, *location, ptr);
  });
}

CUresult CUDAAPI cuMemGetAllocationGranularity(size_t* granularity, const CUmemAllocationProp* prop,
                                               CUmemAllocationGranularity_flags option) {
  return call("cuMemGetAllocationGranularity", Needs::device, [&](Call& made) {
    if (granularity == nullptr || prop == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const CUresult sound = vasim::cuda::check_properties(made, *prop);
    if (sound != CUDA_SUCCESS) return sound;
    const vasim::cuda::Granularity both = vasim::cuda::granularity_of(made.driver, *prop);
    if (option == CU_MEM_ALLOC_GRANULARITY_MINIMUM)
      *granularity = both.minimum;
    else if (option == CU_MEM_ALLOC_GRANULARITY_RECOMMENDED)
      *granularity = both.recommended;
    else
      return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* prop,
                                                        CUmemGenericAllocationHandle handle) {
  return call("cuMemGetAllocationPropertiesFromHandle", Needs::device, [&](Call& made) {
    if (prop == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const vasim::cuda::MemoryHandle* found = vasim::cuda::usable_handle(made, handle);
    if (found == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *prop = found->properties;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, void* addr) {
  return call("cuMemRetainAllocationHandle", Needs::device, [&](Call& made) {
    if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const auto* region = made.driver.space.region_at(reinterpret_cast<CUdeviceptr>(addr));
    if (region == nullptr || region->handle == 0) return CUDA_ERROR_INVALID_VALUE;
    ++made.driver.handles.at(region->handle).references;
    *handle = region->handle;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
