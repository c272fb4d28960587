#include "timeline_table.hpp"

namespace vaspace::vulkan {

namespace {

constexpr std::uint32_t kIndexMask = 0xffff;

}  // namespace

// An id: 16 bits of generation, 16 of index + 1.
TimelineTable::Entry* TimelineTable::entry_of(TimelineId timeline) noexcept {
  const auto bits = static_cast<std::uint32_t>(timeline);
  const std::uint32_t number = bits & kIndexMask;
  if (number == 0 || number > entries_.size()) return nullptr;
  Entry& entry = entries_[number - 1];
  const bool same = entry.semaphore != VK_NULL_HANDLE && (entry.generation & kIndexMask) == bits >> 16U;
  return same ? &entry : nullptr;
}

Result<TimelineId> TimelineTable::add(VkSemaphore semaphore) noexcept {
  const std::lock_guard lock(mutex_);
  std::uint32_t index = 0;
  while (index < entries_.size() && entries_[index].semaphore != VK_NULL_HANDLE)
    ++index;
  if (index + 1 >= kIndexMask) return fail(ErrorCode::out_of_host_memory);
  if (index == entries_.size() && !entries_.push_back({})) return fail(ErrorCode::out_of_host_memory);
  entries_[index].semaphore = semaphore;
  return TimelineId{((entries_[index].generation & kIndexMask) << 16U) | (index + 1)};
}

Result<void> TimelineTable::forget(TimelineId timeline) noexcept {
  const std::lock_guard lock(mutex_);
  Entry* entry = entry_of(timeline);
  if (entry == nullptr) return fail(ErrorCode::invalid_argument);
  entry->semaphore = VK_NULL_HANDLE;
  ++entry->generation;
  return {};
}

Result<VkSemaphore> TimelineTable::find(TimelineId timeline) noexcept {
  const std::lock_guard lock(mutex_);
  const Entry* entry = entry_of(timeline);
  if (entry == nullptr) return fail(ErrorCode::invalid_argument);
  return entry->semaphore;
}

Result<bool> has_reached(const Driver& driver, VkSemaphore semaphore, std::uint64_t value) noexcept {
  std::uint64_t reached = 0;
  const VkResult result = driver.get_counter_value(driver.device, semaphore, &reached);
  if (result != VK_SUCCESS) return refusal(result, "vkGetSemaphoreCounterValue");
  return reached >= value;
}

Result<void> wait_for(const Driver& driver, VkSemaphore semaphore, std::uint64_t value,
                      std::uint64_t timeout_ns) noexcept {
  VkSemaphoreWaitInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
  info.semaphoreCount = 1;
  info.pSemaphores = &semaphore;
  info.pValues = &value;
  const VkResult result = driver.wait_semaphores(driver.device, &info, timeout_ns);
  if (result != VK_SUCCESS) return refusal(result, "vkWaitSemaphores");
  return {};
}

}  // namespace vaspace::vulkan
