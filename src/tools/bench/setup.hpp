// What every subject is made from.
#pragma once

#include "vaspace/base/host_allocator.hpp"
#include "vaspace/base/units.hpp"

#include "bench/workload.hpp"

namespace vaspace::tools::bench {

struct Setup {
  Bytes heap{};               // to manage
  std::uint32_t handles = 0;  // live at once, at the most
  std::uint32_t slot = 0;     // the largest size
  HostAllocator host = default_host_allocator();
};

[[nodiscard]] inline Setup setup_of(const Workload& workload) {
  return {.heap = workload.heap, .handles = workload.handles, .slot = workload.largest};
}

// A subject is a class with
//   using Handle                                     what the caller holds; Handle{} is none
//   explicit Subject(const Setup&)                   throws Failed
//   Handle allocate(std::uint32_t size, unsigned alignment_log2)
//   void free(Handle)                                of none: nothing happens
//   std::uint64_t refused() const                    allocations that answered none
// Each call costs exactly one call that is not inlined: the subject's own where its library has one.

}  // namespace vaspace::tools::bench
