// Memory pools for stream-ordered allocation.
//
// reserved = used + cached, always. A freed block stays cached, with its addresses, until the pool is
// trimmed; it is given to a stream that is ordered after the free, or to any once the free is over.
#pragma once

#include "call.hpp"

namespace vasim::cuda {

struct Block {
  AddressRange range;
  std::shared_ptr<Physical> physical;
  Point freed;  // by that work
};

struct Pool {
  int device = 0;
  bool is_default = false;
  std::uint64_t max_size = 0;  // bytes; 0: the device's memory
  std::uint64_t release_threshold = 0;
  bool follow_events = true;  // the three ways of reuse that attributes allow
  bool opportunistic = true;
  bool internal_dependencies = true;
  std::uint64_t used = 0, used_high = 0;
  std::uint64_t reserved = 0, reserved_high = 0;
  std::uint32_t readable = 0, writable = 0;  // a bit per device
  std::vector<Block> cached;
};

[[nodiscard]] std::shared_ptr<Pool> make_default_pool(const Device& device);
[[nodiscard]] std::shared_ptr<Pool> find_pool(Driver& driver, CUmemoryPool handle);

// CUDA_ERROR_OUT_OF_MEMORY, or the address.
[[nodiscard]] CUresult allocate_from(Call& call, Stream& stream, std::uint64_t pool, std::uint64_t size,
                                     CUdeviceptr* out);

// Its block goes back to the pool, freed by the work `freed`.
void recycle(Driver& driver, Region& region, Point freed);

// Gives cached blocks back until at most `keep` bytes are reserved.
void trim(const Driver& driver, Pool& pool, std::uint64_t keep);
// What every synchronisation does: down to the release thresholds.
void trim_to_thresholds(const Driver& driver);
// Everything that can be: before a request for memory is refused.
void trim_all(const Driver& driver);

}  // namespace vasim::cuda
