#include "pool.hpp"

#include <algorithm>

#include "queueing.hpp"
#include "vmm.hpp"

namespace vasim::cuda {
namespace {

bool reusable(const Call& call, const Stream& stream, const Pool& pool, const Block& block) {
  if (block.freed.stream == stream.id || call.driver.host.covers(block.freed)) return true;
  if (pool.follow_events && stream.clock.covers(block.freed)) return true;
  return pool.opportunistic && is_over(call.driver, block.freed);
}

// The smallest that fits without wasting more than half.
std::vector<Block>::iterator find_block(const Call& call, const Stream& stream, Pool& pool,
                                        std::uint64_t size) {
  auto best = pool.cached.end();
  for (auto at = pool.cached.begin(); at != pool.cached.end(); ++at) {
    const std::uint64_t has = at->physical->size();
    if (has < size || has / 2 > size || !reusable(call, stream, pool, *at)) continue;
    if (best == pool.cached.end() || has < best->physical->size()) best = at;
  }
  return best;
}

// A new block, counted as reserved; empty where there is no memory.
Block new_block(const Call& call, Pool& pool, std::uint64_t size) {
  DeviceMemory& memory = *find_device(call.driver, pool.device)->memory;
  if (pool.max_size != 0 && (size > pool.max_size || pool.reserved > pool.max_size - size)) return {};
  if (memory.free() < size) trim_all(call.driver);
  Block block;
  block.range = AddressRange::reserve(size, host_page(), 0);
  if (block.range.size() == 0) return {};
  block.physical = memory.allocate(size, false);
  return block;
}

}  // namespace

std::shared_ptr<Pool> make_default_pool(const Device& device) {
  auto pool = std::make_shared<Pool>();
  pool->device = device.ordinal;
  pool->is_default = true;
  pool->readable = pool->writable = device_bit(device.ordinal);
  return pool;
}

std::shared_ptr<Pool> find_pool(Driver& driver, CUmemoryPool handle) {
  const auto found = driver.pools.find(id_of(handle));
  return found != driver.pools.end() ? found->second : nullptr;
}

CUresult allocate_from(Call& call, Stream& stream, std::uint64_t pool_id, std::uint64_t size,
                       CUdeviceptr* out) {
  Pool& pool = *call.driver.pools.at(pool_id);
  const std::uint64_t page = host_page();
  if (size == 0 || size > UINT64_MAX - page) return CUDA_ERROR_INVALID_VALUE;
  const std::uint64_t rounded = (size + page - 1) / page * page;
  const auto found = find_block(call, stream, pool, rounded);
  const bool reused = found != pool.cached.end();
  Block block;
  if (!reused) block = new_block(call, pool, rounded);
  if (!reused && block.physical == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  Work work;
  work.name = call.name;
  work.run = [](Lock&, const Clock&) { return CUDA_SUCCESS; };
  const Point born = submit(call, stream, std::move(work));  // may throw: nothing is taken yet
  if (reused) {
    block = std::move(*found);
    pool.cached.erase(found);
  }
  Region region;
  region.kind = RegionKind::pooled;
  region.begin = block.range.begin();
  region.size = block.physical->size();
  region.physical = std::move(block.physical);
  region.range = std::move(block.range);
  region.device = pool.device;
  region.readable = pool.readable;
  region.writable = pool.writable;
  region.accessed = true;
  region.pool = pool_id;
  region.buffer_id = new_id();
  region.born = born;
  // A block that is reused is still visible.
  if (!reused && (!show_on_host(call.driver, region) || !allow_on_host(call.driver, region)))
    return CUDA_ERROR_OUT_OF_MEMORY;
  pool.used += region.size;
  pool.used_high = std::max(pool.used_high, pool.used);
  if (!reused) pool.reserved += region.size;
  pool.reserved_high = std::max(pool.reserved_high, pool.reserved);
  *out = call.driver.space.add(std::move(region)).begin;
  return CUDA_SUCCESS;
}

void recycle(Driver& driver, Region& region, Point freed) {
  const auto found = driver.pools.find(region.pool);
  if (found != driver.pools.end()) {
    Pool& pool = *found->second;
    pool.used -= region.size;
    pool.cached.push_back({std::move(region.range), std::move(region.physical), freed});
  }
  driver.space.remove_region(region.begin);
}

void trim(const Driver& driver, Pool& pool, std::uint64_t keep) {
  for (auto at = pool.cached.begin(); at != pool.cached.end() && pool.reserved > keep;) {
    if (!is_over(driver, at->freed)) {
      ++at;
      continue;
    }
    pool.reserved -= at->physical->size();
    at = pool.cached.erase(at);
  }
}

void trim_to_thresholds(const Driver& driver) {
  for (const auto& [id, pool] : driver.pools)
    trim(driver, *pool, pool->release_threshold);
}

void trim_all(const Driver& driver) {
  for (const auto& [id, pool] : driver.pools)
    trim(driver, *pool, 0);
}

}  // namespace vasim::cuda
