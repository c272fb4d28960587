// The baseline to compare with: one reservation made at creation, one object strategy for every size.
//
//   |--a--|==hole==|----b----|-c-|==============hole===============|    best fit over all of it
#pragma once

#include "vaspace/arena/basic_allocator.hpp"
#include "vaspace/base/misuse.hpp"
#include "vaspace/base/observer.hpp"

namespace vaspace {

struct DefaultConfig {
  // 0: the device's memory size, or the largest reservation that the backend makes where that is less.
  Bytes reservation{};
  Bytes page_size{};              // one that the backend offers; 0: the smallest
  std::uint32_t memory_type = 0;  // of profile().memory_types
  Alignment granule{256};         // raised where the reservation would need 2^32 of them
  Bytes retain = 2_MiB;           // as in ArenaConfig
  std::uint32_t retain_percent = 1;
  Bytes collect_step = 64_MiB;
  bool index_addresses = false;
  HostAllocator host = default_host_allocator();
  MisuseHandler on_misuse{};
  Observer observer{};
  LeakHandler on_leak{};
};

template <class Policy>
class BasicDefaultAllocator : public BasicAllocator<Policy> {
 public:
  // `backend` outlives the allocator. Errors: invalid_configuration, out_of_host_memory, or as
  // Backend::reserve.
  [[nodiscard]] static Result<BasicDefaultAllocator> create(Backend& backend,
                                                            const DefaultConfig& config = {}) noexcept;

 private:
  using BasicAllocator<Policy>::BasicAllocator;
};

using DefaultAllocator = BasicDefaultAllocator<SingleThreaded>;
using ThreadSafeDefaultAllocator = BasicDefaultAllocator<ThreadSafe>;
extern template class BasicDefaultAllocator<SingleThreaded>;
extern template class BasicDefaultAllocator<ThreadSafe>;

}  // namespace vaspace
