// What submits and sparse binds have in common: semaphores and fences. Under the device's lock.
#pragma once

#include "queue.hpp"

namespace vasim {

void add_wait(Device& device, Batch& batch, VkSemaphore semaphore, std::uint64_t value, bool has_values);
void add_signal(Device& device, Batch& batch, VkSemaphore semaphore, std::uint64_t value, bool has_values);
void add_fence(Device& device, Batch& batch, VkFence fence);

}  // namespace vasim
