// How often who has mapped what an arena allocator placed: that has no record to count in.
//
// Always true: an allocation that is in here is mapped so often, or is being unmapped for the last time; one
// that is not, not at all. Counting up asks for host memory, counting down does not (R7). Thread-safe; of
// nearly all that are not in here a load tells it.
#pragma once

#include <array>
#include <atomic>
#include <mutex>

#include "vaspace/base/host_array.hpp"
#include "vaspace/heap/heap_allocation.hpp"

namespace vaspace {

class SmallMaps {
 public:
  explicit SmallMaps(const HostAllocator& host) noexcept : entries_(host) {
    for (std::uint32_t& head : heads_)
      head = kNone;
  }

  // False: it is not in here.
  [[nodiscard]] bool may_hold(AllocationId id) const noexcept {
    return in_bucket_[bucket_of(id)].load(std::memory_order_relaxed) != 0;
  }
  // One map more. False: no host memory.
  [[nodiscard]] bool add(const HeapAllocation& allocation) noexcept;
  // One less, until end_remove() says whether the driver has done its part; false: it has none.
  [[nodiscard]] bool begin_remove(const HeapAllocation& allocation) noexcept;
  void end_remove(const HeapAllocation& allocation, bool done) noexcept;
  // It has ended; how many it had.
  [[nodiscard]] std::uint32_t forget(const HeapAllocation& allocation) noexcept;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::uint32_t kHeads = 256;

  struct Entry {
    AllocationId id{};
    std::uint32_t shelf = 0;
    std::uint32_t count = 0;
    std::uint32_t next = kNone;
  };

  [[nodiscard]] static std::uint32_t bucket_of(AllocationId id) noexcept {
    return static_cast<std::uint32_t>((id.bits() * 0x9E3779B97F4A7C15ULL) >> 56U) % kHeads;
  }
  // The link that names it, or the last of its chain.
  [[nodiscard]] std::uint32_t& link_to(const HeapAllocation& allocation) noexcept;
  void drop(std::uint32_t& link) noexcept;

  std::array<std::atomic<std::uint32_t>, kHeads> in_bucket_{};
  std::mutex mutex_;  // of what follows
  HostArray<Entry> entries_;
  std::uint32_t first_free_ = kNone;
  std::uint32_t heads_[kHeads];
};

}  // namespace vaspace
