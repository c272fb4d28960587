// Pinned host memory: the device reaches it at its host address.
#include <cstdlib>
#include <cuda.h>

#include "entry.hpp"
#include "hazards.hpp"

namespace vasim::cuda {
namespace {

constexpr unsigned kAllocFlags =
    CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
constexpr unsigned kRegisterFlags =
    CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY;

Region host_region(const Call& call, RegionKind kind, void* begin, std::size_t size, unsigned flags) {
  Region region;
  region.kind = kind;
  region.begin = reinterpret_cast<std::uint64_t>(begin);
  region.size = size;
  region.device = call.context->device;
  region.context = call.context->id;
  region.readable = ~0U;
  region.writable = (flags & CU_MEMHOSTREGISTER_READ_ONLY) != 0 && kind == RegionKind::registered ? 0 : ~0U;
  region.accessed = true;
  region.host_flags = flags;
  region.buffer_id = new_id();
  return region;
}

CUresult allocate(Call& call, void** out, std::size_t size, unsigned flags) {
  if (out == nullptr || size == 0 || (flags & ~kAllocFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
  const std::size_t page = host_page();
  if (size > SIZE_MAX - page) return CUDA_ERROR_OUT_OF_MEMORY;
  const std::size_t rounded = (size + page - 1) / page * page;
  const std::shared_ptr<void> memory(std::aligned_alloc(page, rounded), std::free);
  if (memory == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  Region region = host_region(call, RegionKind::host, memory.get(), rounded, flags);
  region.host_memory = memory;
  call.driver.space.add(std::move(region));
  *out = memory.get();
  return CUDA_SUCCESS;
}

// Nothing where the address begins no such memory.
Region* host_at(Call& call, const void* address, RegionKind kind) {
  const auto begin = reinterpret_cast<std::uint64_t>(address);
  Region* region = call.driver.space.region_at(begin);
  return region != nullptr && region->kind == kind && region->begin == begin ? region : nullptr;
}

CUresult remove(Call& call, const void* address, RegionKind kind, CUresult otherwise) {
  const Region* region = host_at(call, address, kind);
  if (region == nullptr) return otherwise;
  const std::uint64_t id = region->buffer_id;
  await_work(call, *region);
  Region* still = host_at(call, address, kind);  // another thread may have been faster
  if (still != nullptr && still->buffer_id == id) remove_memory(call.driver, *still);
  return CUDA_SUCCESS;
}

CUresult register_memory(Call& call, void* begin, std::size_t size, unsigned flags) {
  if (begin == nullptr || size == 0 || (flags & ~kRegisterFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
  const auto address = reinterpret_cast<std::uint64_t>(begin);
  if (!call.driver.space.regions_in(address, size).empty()) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  call.driver.space.add(host_region(call, RegionKind::registered, begin, size, flags));
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace vasim::cuda

using namespace vasim::cuda;  // NOLINT: the entry points below are the driver's own names

extern "C" {

CUresult CUDAAPI cuMemHostAlloc(void** pp, size_t bytesize, unsigned Flags) {
  return call("cuMemHostAlloc", Needs::context,
              [&](Call& made) { return allocate(made, pp, bytesize, Flags); });
}

CUresult CUDAAPI cuMemAllocHost_v2(void** pp, size_t bytesize) {
  return call("cuMemAllocHost", Needs::context, [&](Call& made) { return allocate(made, pp, bytesize, 0); });
}

CUresult CUDAAPI cuMemFreeHost(void* p) {
  return call("cuMemFreeHost", Needs::context, [&](Call& made) {
    if (p == nullptr) return CUDA_SUCCESS;
    return vasim::cuda::remove(made, p, RegionKind::host, CUDA_ERROR_INVALID_VALUE);
  });
}

CUresult CUDAAPI cuMemHostRegister_v2(void* p, size_t bytesize, unsigned Flags) {
  return call("cuMemHostRegister", Needs::context,
              [&](Call& made) { return register_memory(made, p, bytesize, Flags); });
}

CUresult CUDAAPI cuMemHostUnregister(void* p) {
  return call("cuMemHostUnregister", Needs::context, [&](Call& made) {
    return vasim::cuda::remove(made, p, RegionKind::registered, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  });
}

CUresult CUDAAPI cuMemHostGetDevicePointer_v2(CUdeviceptr* pdptr, void* p, unsigned Flags) {
  return call("cuMemHostGetDevicePointer", Needs::context, [&](Call& made) {
    const auto address = reinterpret_cast<CUdeviceptr>(p);
    const Region* region = made.driver.space.region_at(address);
    if (pdptr == nullptr || Flags != 0 || region == nullptr || !region->on_host())
      return CUDA_ERROR_INVALID_VALUE;
    *pdptr = address;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemHostGetFlags(unsigned* pFlags, void* p) {
  return call("cuMemHostGetFlags", Needs::context, [&](Call& made) {
    const Region* region = made.driver.space.region_at(reinterpret_cast<CUdeviceptr>(p));
    if (pFlags == nullptr || region == nullptr || !region->on_host()) return CUDA_ERROR_INVALID_VALUE;
    *pFlags = region->host_flags;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
