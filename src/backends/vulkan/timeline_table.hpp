// Timeline semaphores that belong to the application, by the ids that points name them with.
//
// Always true: TimelineId{} is never given out here; an id that was forgotten means nothing until 2^16 others
// had its place; no driver call is made under the lock.
#pragma once

#include <mutex>

#include "vaspace/base/host_array.hpp"

#include "driver.hpp"

namespace vaspace::vulkan {

// Thread-safe.
class TimelineTable {
 public:
  explicit TimelineTable(const HostAllocator& host) noexcept : entries_(host) {}

  // Errors: out_of_host_memory.
  [[nodiscard]] Result<TimelineId> add(VkSemaphore semaphore) noexcept;
  // Errors: invalid_argument.
  [[nodiscard]] Result<void> forget(TimelineId timeline) noexcept;
  // Errors: invalid_argument.
  [[nodiscard]] Result<VkSemaphore> find(TimelineId timeline) noexcept;

 private:
  struct Entry {
    VkSemaphore semaphore = VK_NULL_HANDLE;
    std::uint32_t generation = 0;
  };
  [[nodiscard]] Entry* entry_of(TimelineId timeline) noexcept;

  std::mutex mutex_;
  HostArray<Entry> entries_;
};

// Whether the semaphore has reached the value. Errors: the driver's own.
[[nodiscard]] Result<bool> has_reached(const Driver& driver, VkSemaphore semaphore,
                                       std::uint64_t value) noexcept;
// Errors: timed_out, the driver's own.
[[nodiscard]] Result<void> wait_for(const Driver& driver, VkSemaphore semaphore, std::uint64_t value,
                                    std::uint64_t timeout_ns) noexcept;

}  // namespace vaspace::vulkan
