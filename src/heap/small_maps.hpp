// How often who has mapped what an arena allocator placed: that has no record to count in.
//
// Always true: an allocation that is in here is mapped so often; one that is not, not at all. Counting up
// asks for host memory, counting down does not (R7). Thread-safe; where nothing is mapped so, asking costs a
// load.
#pragma once

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

  // False: nothing is in here.
  [[nodiscard]] bool any() const noexcept { return live_.load(std::memory_order_relaxed) != 0; }
  // One map more. False: no host memory.
  [[nodiscard]] bool add(const HeapAllocation& allocation) noexcept;
  // One less; false: it has none.
  [[nodiscard]] bool remove(const HeapAllocation& allocation) noexcept;
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

  [[nodiscard]] std::uint32_t& head_of(const HeapAllocation& allocation) noexcept {
    return heads_[((allocation.id.bits() * 0x9E3779B97F4A7C15ULL) >> 56U) % kHeads];
  }
  // The link that names it, or the last of its chain.
  [[nodiscard]] std::uint32_t& link_to(const HeapAllocation& allocation) noexcept;
  void drop(std::uint32_t& link) noexcept;

  std::atomic<std::uint32_t> live_{0};
  std::mutex mutex_;  // of what follows
  HostArray<Entry> entries_;
  std::uint32_t first_free_ = kNone;
  std::uint32_t heads_[kHeads];
};

}  // namespace vaspace
