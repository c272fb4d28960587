// What an address is.
#include <cstring>
#include <cuda.h>

#include "entry.hpp"

namespace vasim::cuda {
namespace {

template <class Value>
CUresult give(void* data, Value value) {
  std::memcpy(data, &value, sizeof value);
  return CUDA_SUCCESS;
}

std::uint64_t context_of(const Driver& driver, const Region& region) {
  if (region.context != 0) return region.context;
  return driver.devices[static_cast<std::size_t>(region.device)].primary_id;
}

CUresult attribute(Call& call, void* data, CUpointer_attribute which, const Region& region,
                   CUdeviceptr address) {
  switch (which) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      // Mappings and pools belong to no context.
      return give(data, region.context != 0 ? handle_of<CUcontext>(region.context) : nullptr);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      return give(data, static_cast<unsigned>(region.on_host() ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE));
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      return give(data, address);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER: {
      const bool visible =
          region.on_host() || call.driver.profile.devices[static_cast<std::size_t>(region.device)].unified;
      return visible ? give(data, reinterpret_cast<void*>(address)) : CUDA_ERROR_INVALID_VALUE;
    }
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
      return give(data, 0U);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
      return give(data, static_cast<unsigned long long>(region.buffer_id));
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      return give(data, 0U);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      return give(data, region.device);
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
      return give(data, 0U);
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      return give(data, CUdeviceptr{region.begin});
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      return give(data, static_cast<std::size_t>(region.size));
    case CU_POINTER_ATTRIBUTE_MAPPED:
      return give(data, 1U);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES: {
      const bool known = region.handle != 0 && call.driver.handles.count(region.handle) != 0;
      return give(data, known ? static_cast<unsigned long long>(
                                    call.driver.handles.at(region.handle).properties.requestedHandleTypes)
                              : 0ULL);
    }
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
      return give(data, 0U);
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
      return give(data, 3U);
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
      return give(data, region.pool != 0 ? handle_of<CUmemoryPool>(region.pool) : nullptr);
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
      return give(data, static_cast<std::size_t>(region.size));
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
      return give(data, CUdeviceptr{region.begin});
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
      return give(data, static_cast<unsigned long long>(region.buffer_id));
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult one(Call& call, void* data, CUpointer_attribute which, CUdeviceptr address) {
  const Region* region = call.driver.space.region_at(address);
  if (data == nullptr || region == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (which == CU_POINTER_ATTRIBUTE_CONTEXT && region->kind == RegionKind::pooled)
    return give(data, handle_of<CUcontext>(context_of(call.driver, *region)));
  return attribute(call, data, which, *region, address);
}

std::size_t size_of_attribute(CUpointer_attribute which) {
  switch (which) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
      return sizeof(unsigned);
    default:
      return sizeof(std::uint64_t);
  }
}

}  // namespace
}  // namespace vasim::cuda

using namespace vasim::cuda;  // NOLINT: the entry points below are the driver's own names

extern "C" {

CUresult CUDAAPI cuPointerGetAttribute(void* data, CUpointer_attribute attribute, CUdeviceptr ptr) {
  return call("cuPointerGetAttribute", Needs::context,
              [&](Call& made) { return one(made, data, attribute, ptr); });
}

// Of an address that is none of the driver's, everything is zero but the device, and the call succeeds.
CUresult CUDAAPI cuPointerGetAttributes(unsigned numAttributes, CUpointer_attribute* attributes, void** data,
                                        CUdeviceptr ptr) {
  return call("cuPointerGetAttributes", Needs::context, [&](Call& made) {
    if (attributes == nullptr || data == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i != numAttributes; ++i) {
      if (data[i] == nullptr) return CUDA_ERROR_INVALID_VALUE;
      std::memset(data[i], 0, size_of_attribute(attributes[i]));
      if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) (void)give(data[i], CU_DEVICE_INVALID);
      if (made.driver.space.region_at(ptr) != nullptr) (void)one(made, data[i], attributes[i], ptr);
    }
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
