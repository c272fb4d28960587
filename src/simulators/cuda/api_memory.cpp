// Plain device memory, and what there is of it.
#include <cuda.h>

#include "entry.hpp"
#include "hazards.hpp"
#include "vmm.hpp"

namespace vasim::cuda {
namespace {

CUresult allocate(Call& call, CUdeviceptr* out, std::uint64_t size) {
  if (out == nullptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
  const std::uint64_t page = host_page();
  if (size > UINT64_MAX - page) return CUDA_ERROR_OUT_OF_MEMORY;
  const std::uint64_t rounded = (size + page - 1) / page * page;
  DeviceMemory& memory = *find_device(call.driver, call.context->device)->memory;
  if (memory.free() < rounded) trim_all(call.driver);
  if (memory.free() < rounded) return CUDA_ERROR_OUT_OF_MEMORY;
  Region region;
  region.kind = RegionKind::device;
  region.range = AddressRange::reserve(rounded, page, 0);
  if (region.range.size() == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  region.begin = region.range.begin();
  region.size = rounded;
  region.physical = memory.allocate(rounded, false);
  if (region.physical == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  region.device = call.context->device;
  region.context = call.context->id;
  region.readable = region.writable = ~0U;  // what a peer may do is a matter of contexts, not of the memory
  region.accessed = true;
  region.buffer_id = new_id();
  if (!show_on_host(call.driver, region) || !allow_on_host(call.driver, region))
    return CUDA_ERROR_OUT_OF_MEMORY;
  *out = call.driver.space.add(std::move(region)).begin;
  return CUDA_SUCCESS;
}

CUresult free_memory(Call& call, CUdeviceptr address) {
  if (address == 0) return CUDA_SUCCESS;
  AddressSpace& space = call.driver.space;
  const Region* region = space.region_at(address);
  if (region == nullptr || region->begin != address || region->freed ||
      (region->kind != RegionKind::device && region->kind != RegionKind::pooled))
    return call.broken("freed-range", range_text(address, 0),
                       space.was_freed(address) ? "it was freed before" : "no allocation begins there",
                       CUDA_ERROR_INVALID_VALUE);
  const std::uint64_t id = region->buffer_id;
  await_work(call, *region);
  // Another thread may have freed it while this one waited, and something else may be there.
  Region* still = space.region_at(address);
  if (still != nullptr && still->buffer_id == id) remove_memory(call.driver, *still);
  return CUDA_SUCCESS;
}

}  // namespace

void remove_memory(Driver& driver, Region& region) {
  if (region.kind == RegionKind::pooled)
    recycle(driver, region, {});
  else
    driver.space.remove_region(region.begin);
}

}  // namespace vasim::cuda

using namespace vasim::cuda;  // NOLINT: the entry points below are the driver's own names

extern "C" {

CUresult CUDAAPI cuMemGetInfo_v2(size_t* free, size_t* total) {
  return call("cuMemGetInfo", Needs::context, [&](Call& made) {
    if (free == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const DeviceMemory& memory = *find_device(made.driver, made.context->device)->memory;
    *free = memory.free();
    *total = memory.total();
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemAlloc_v2(CUdeviceptr* dptr, size_t bytesize) {
  return call("cuMemAlloc", Needs::context, [&](Call& made) { return allocate(made, dptr, bytesize); });
}

CUresult CUDAAPI cuMemAllocPitch_v2(CUdeviceptr* dptr, size_t* pPitch, size_t WidthInBytes, size_t Height,
                                    unsigned ElementSizeBytes) {
  return call("cuMemAllocPitch", Needs::context, [&](Call& made) {
    constexpr std::size_t kPitchAlignment = 512;
    if (pPitch == nullptr || WidthInBytes == 0 || Height == 0) return CUDA_ERROR_INVALID_VALUE;
    if (ElementSizeBytes != 4 && ElementSizeBytes != 8 && ElementSizeBytes != 16)
      return CUDA_ERROR_INVALID_VALUE;
    std::size_t bytes = 0;
    if (WidthInBytes > SIZE_MAX - kPitchAlignment) return CUDA_ERROR_OUT_OF_MEMORY;
    const std::size_t pitch = (WidthInBytes + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
    if (__builtin_mul_overflow(pitch, Height, &bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
    const CUresult result = allocate(made, dptr, bytes);
    if (result == CUDA_SUCCESS) *pPitch = pitch;
    return result;
  });
}

CUresult CUDAAPI cuMemFree_v2(CUdeviceptr dptr) {
  return call("cuMemFree", Needs::context, [&](Call& made) { return free_memory(made, dptr); });
}

CUresult CUDAAPI cuMemGetAddressRange_v2(CUdeviceptr* pbase, size_t* psize, CUdeviceptr dptr) {
  return call("cuMemGetAddressRange", Needs::context, [&](Call& made) {
    const Region* region = made.driver.space.region_at(dptr);
    if (region == nullptr) return CUDA_ERROR_NOT_FOUND;
    if (pbase != nullptr) *pbase = region->begin;
    if (psize != nullptr) *psize = region->size;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
