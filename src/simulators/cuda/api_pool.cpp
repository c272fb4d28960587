// Stream-ordered allocation and its pools.
#include <cuda.h>

#include "entry.hpp"
#include "hazards.hpp"

namespace vasim::cuda {
namespace {

CUresult allocate(Call& call, CUdeviceptr* out, std::size_t size, CUmemoryPool pool, CUstream handle) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto stream = find_stream(call, handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  const std::uint64_t id =
      pool != nullptr ? id_of(pool) : find_device(call.driver, stream->context->device)->current_pool;
  if (call.driver.pools.count(id) == 0) return CUDA_ERROR_INVALID_VALUE;
  return allocate_from(call, *stream, id, size, out);
}

// The memory goes when the stream is there, also where the context has failed by then.
CUresult free_in_order(Call& call, CUdeviceptr address, CUstream handle) {
  const auto stream = find_stream(call, handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  Driver& driver = call.driver;
  Region* region = driver.space.region_at(address);
  if (region == nullptr || region->begin != address || region->freed ||
      (region->kind != RegionKind::device && region->kind != RegionKind::pooled)) {
    return call.broken("freed-range", range_text(address, 0),
                       (region != nullptr && region->freed) || driver.space.was_freed(address)
                           ? "it was freed before"
                           : "no allocation begins there",
                       CUDA_ERROR_INVALID_VALUE);
  }
  const Point freed{stream->id, stream->submitted + 1};
  const auto give = [&driver, address, freed](Lock&) {
    Region* still = driver.space.region_at(address);
    if (still == nullptr) return;
    if (still->kind == RegionKind::pooled) {
      recycle(driver, *still, freed);
    } else {
      remove_memory(driver, *still);
    }
  };
  Work work;
  work.name = call.name;
  work.run = [give](Lock& lock, const Clock&) {
    give(lock);
    return CUDA_SUCCESS;
  };
  work.dropped = give;
  (void)submit(call, *stream, std::move(work));
  region->freed = true;
  check_ordered(call, *region, stream->clock);
  return CUDA_SUCCESS;
}

CUresult create(Call& call, CUmemoryPool* out, const CUmemPoolProps* wanted) {
  if (out == nullptr || wanted == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (wanted->allocType != CU_MEM_ALLOCATION_TYPE_PINNED) return CUDA_ERROR_INVALID_VALUE;
  if (wanted->handleTypes != CU_MEM_HANDLE_TYPE_NONE) return CUDA_ERROR_NOT_SUPPORTED;
  if (wanted->location.type != CU_MEM_LOCATION_TYPE_DEVICE) return CUDA_ERROR_NOT_SUPPORTED;
  const Device* device = find_device(call.driver, wanted->location.id);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  auto pool = make_default_pool(*device);
  pool->is_default = false;
  pool->max_size = wanted->maxSize;
  const std::uint64_t id = new_id();
  call.driver.pools.emplace(id, std::move(pool));
  *out = handle_of<CUmemoryPool>(id);
  return CUDA_SUCCESS;
}

// What was allocated from it stays until it is freed; the device falls back to its default pool.
CUresult destroy(Call& call, CUmemoryPool handle) {
  const auto pool = find_pool(call.driver, handle);
  if (pool == nullptr || pool->is_default) return CUDA_ERROR_INVALID_VALUE;
  call.driver.pools.erase(id_of(handle));
  for (Device& device : call.driver.devices)
    if (device.current_pool == id_of(handle)) device.current_pool = device.default_pool;
  return CUDA_SUCCESS;
}

// Where an attribute is kept, and whether it is an int; false where it is unknown.
struct Attribute {
  std::uint64_t* figure = nullptr;
  bool* flag = nullptr;
  std::uint64_t* current = nullptr;  // of a high-water mark, which can be reset to it
  bool constant = false;
};

bool find_attribute(Pool& pool, CUmemPool_attribute which, Attribute& found) {
  switch (which) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
      found.flag = &pool.follow_events;
      return true;
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
      found.flag = &pool.opportunistic;
      return true;
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
      found.flag = &pool.internal_dependencies;
      return true;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      found.figure = &pool.release_threshold;
      return true;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
      found = {&pool.reserved, nullptr, nullptr, true};
      return true;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
      found = {&pool.reserved_high, nullptr, &pool.reserved, false};
      return true;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
      found = {&pool.used, nullptr, nullptr, true};
      return true;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      found = {&pool.used_high, nullptr, &pool.used, false};
      return true;
    default:
      return false;
  }
}

CUresult set_attribute(Call& call, CUmemoryPool handle, CUmemPool_attribute which, const void* value) {
  const auto pool = find_pool(call.driver, handle);
  Attribute attribute;
  if (pool == nullptr || value == nullptr || !find_attribute(*pool, which, attribute) || attribute.constant)
    return CUDA_ERROR_INVALID_VALUE;
  if (attribute.flag != nullptr) {
    *attribute.flag = *static_cast<const int*>(value) != 0;
  } else if (attribute.current == nullptr) {
    *attribute.figure = *static_cast<const cuuint64_t*>(value);
  } else {
    if (*static_cast<const cuuint64_t*>(value) != 0) return CUDA_ERROR_INVALID_VALUE;
    *attribute.figure = *attribute.current;
  }
  return CUDA_SUCCESS;
}

CUresult get_attribute(Call& call, CUmemoryPool handle, CUmemPool_attribute which, void* value) {
  const auto pool = find_pool(call.driver, handle);
  Attribute attribute;
  if (pool == nullptr || value == nullptr || !find_attribute(*pool, which, attribute))
    return CUDA_ERROR_INVALID_VALUE;
  if (attribute.flag != nullptr) {
    *static_cast<int*>(value) = *attribute.flag ? 1 : 0;
  } else {
    *static_cast<cuuint64_t*>(value) = *attribute.figure;
  }
  return CUDA_SUCCESS;
}

// For what is allocated from the pool now and later.
CUresult set_access(Call& call, CUmemoryPool handle, const CUmemAccessDesc* map, std::size_t count) {
  const auto pool = find_pool(call.driver, handle);
  if (pool == nullptr || (map == nullptr && count != 0)) return CUDA_ERROR_INVALID_VALUE;
  for (std::size_t i = 0; i != count; ++i) {
    if (map[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE) return CUDA_ERROR_NOT_SUPPORTED;
    const Device* device = find_device(call.driver, map[i].location.id);
    if (device == nullptr || !can_reach(call.driver, device->ordinal, pool->device))
      return CUDA_ERROR_INVALID_DEVICE;
    if (device->ordinal == pool->device && map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
      return CUDA_ERROR_INVALID_VALUE;
  }
  for (std::size_t i = 0; i != count; ++i) {
    const std::uint32_t bit = device_bit(map[i].location.id);
    pool->readable =
        map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE ? pool->readable | bit : pool->readable & ~bit;
    pool->writable =
        map[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE ? pool->writable | bit : pool->writable & ~bit;
  }
  for (auto& [begin, region] : call.driver.space.regions()) {
    if (region.pool != id_of(handle)) continue;
    region.readable = pool->readable;
    region.writable = pool->writable;
  }
  return CUDA_SUCCESS;
}

CUresult get_access(Call& call, CUmemAccess_flags* flags, CUmemoryPool handle,
                    const CUmemLocation* location) {
  const auto pool = find_pool(call.driver, handle);
  if (pool == nullptr || flags == nullptr || location == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (find_device(call.driver, location->id) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  const std::uint32_t bit = device_bit(location->id);
  *flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
  if ((pool->readable & bit) != 0) *flags = CU_MEM_ACCESS_FLAGS_PROT_READ;
  if ((pool->writable & bit) != 0) *flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  return CUDA_SUCCESS;
}

CUresult pool_of_device(const char* name, CUmemoryPool* out, CUdevice ordinal, std::uint64_t Device::*which) {
  return call(name, Needs::initialisation, [&](Call& made) {
    const Device* device = find_device(made.driver, ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *out = handle_of<CUmemoryPool>(device->*which);
    return CUDA_SUCCESS;
  });
}

}  // namespace
}  // namespace vasim::cuda

using namespace vasim::cuda;  // NOLINT: the entry points below are the driver's own names

extern "C" {

CUresult CUDAAPI cuMemAllocAsync(CUdeviceptr* dptr, size_t bytesize, CUstream stream) {
  return call("cuMemAllocAsync", Needs::context,
              [&](Call& made) { return allocate(made, dptr, bytesize, nullptr, stream); });
}

CUresult CUDAAPI cuMemAllocFromPoolAsync(CUdeviceptr* dptr, size_t bytesize, CUmemoryPool pool,
                                         CUstream stream) {
  return call("cuMemAllocFromPoolAsync", Needs::context, [&](Call& made) {
    if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return allocate(made, dptr, bytesize, pool, stream);
  });
}

CUresult CUDAAPI cuMemFreeAsync(CUdeviceptr dptr, CUstream stream) {
  return call("cuMemFreeAsync", Needs::context,
              [&](Call& made) { return free_in_order(made, dptr, stream); });
}

CUresult CUDAAPI cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* poolProps) {
  return call("cuMemPoolCreate", Needs::device, [&](Call& made) { return create(made, pool, poolProps); });
}

CUresult CUDAAPI cuMemPoolDestroy(CUmemoryPool pool) {
  return call("cuMemPoolDestroy", Needs::device, [&](Call& made) { return destroy(made, pool); });
}

CUresult CUDAAPI cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep) {
  return call("cuMemPoolTrimTo", Needs::device, [&](Call& made) {
    const auto found = find_pool(made.driver, pool);
    if (found == nullptr) return CUDA_ERROR_INVALID_VALUE;
    trim(made.driver, *found, minBytesToKeep);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void* value) {
  return call("cuMemPoolSetAttribute", Needs::device,
              [&](Call& made) { return set_attribute(made, pool, attr, value); });
}

CUresult CUDAAPI cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void* value) {
  return call("cuMemPoolGetAttribute", Needs::device,
              [&](Call& made) { return get_attribute(made, pool, attr, value); });
}

CUresult CUDAAPI cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc* map, size_t count) {
  return call("cuMemPoolSetAccess", Needs::device,
              [&](Call& made) { return set_access(made, pool, map, count); });
}

CUresult CUDAAPI cuMemPoolGetAccess(CUmemAccess_flags* flags, CUmemoryPool memPool, CUmemLocation* location) {
  return call("cuMemPoolGetAccess", Needs::device,
              [&](Call& made) { return get_access(made, flags, memPool, location); });
}

CUresult CUDAAPI cuDeviceGetDefaultMemPool(CUmemoryPool* pool_out, CUdevice dev) {
  return pool_of_device("cuDeviceGetDefaultMemPool", pool_out, dev, &Device::default_pool);
}

CUresult CUDAAPI cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice dev) {
  return pool_of_device("cuDeviceGetMemPool", pool, dev, &Device::current_pool);
}

CUresult CUDAAPI cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool) {
  return call("cuDeviceSetMemPool", Needs::device, [&](Call& made) {
    Device* device = find_device(made.driver, dev);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    const auto found = find_pool(made.driver, pool);
    if (found == nullptr || found->device != dev) return CUDA_ERROR_INVALID_VALUE;
    device->current_pool = id_of(pool);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
