// How far the device was when somebody last looked, on every timeline that resources wait for.
//
// Always true: whoever asks between two looks gets one answer, so that a resource's handle and its memory are
// found done by the same collect(); values never fall. No driver call is made under a lock that seen(),
// passed(), knows() or add() take (T2).
//
// Beside the device's timelines there is the walks' own: a look begins a walk over what was retired, and
// publish() ends it. next_walk() has passed when a walk that begins from now on has ended, so that memory
// which waits for it is nobody's before the handles that waited with it are destroyed.
#pragma once

#include <atomic>
#include <mutex>

#include "resource_calls.hpp"

namespace vaspace::vulkan {

// Thread-safe.
class TimelineSnapshot {
 public:
  static constexpr std::size_t kMaxTimelines = Heap::kMaxTimelines;
  static constexpr TimelineId kWalks{~0U};

  // Errors: out_of_space (kMaxTimelines are there).
  [[nodiscard]] Result<void> add(TimelineId timeline, VkSemaphore semaphore) noexcept {
    const std::lock_guard lock(mutex_);
    for (Entry& entry : entries_) {
      if (entry.timeline.load(std::memory_order_relaxed) != 0) continue;
      entry.semaphore = semaphore;
      entry.value.store(0, std::memory_order_relaxed);
      entry.next.store(0, std::memory_order_relaxed);
      entry.timeline.store(static_cast<std::uint32_t>(timeline), std::memory_order_release);
      return {};
    }
    return fail(ErrorCode::out_of_space);
  }
  // Waits for a look that is under way: the semaphore may be destroyed afterwards.
  void forget(TimelineId timeline) noexcept {
    const std::lock_guard asking(asking_);
    const std::lock_guard lock(mutex_);
    if (Entry* entry = find(timeline)) entry->timeline.store(0, std::memory_order_release);
  }
  // One thread at a time from here to publish(). Asks the device; what it said is not told before publish().
  // A device that is lost runs no more, and everything has passed.
  void look(const ResourceCalls& calls) noexcept {
    const std::lock_guard asking(asking_);
    walks_.fetch_add(1, std::memory_order_acq_rel);
    VkSemaphore semaphores[kMaxTimelines]{};
    {
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 0; i < kMaxTimelines; ++i) {
        if (entries_[i].timeline.load(std::memory_order_relaxed) != 0) semaphores[i] = entries_[i].semaphore;
      }
    }
    for (std::size_t i = 0; i < kMaxTimelines; ++i) {
      if (semaphores[i] == VK_NULL_HANDLE) continue;
      const auto value = calls.counter(semaphores[i]);
      if (value) entries_[i].next.store(*value, std::memory_order_release);
      if (!value && value.error().code == ErrorCode::device_lost)
        lost_.store(true, std::memory_order_release);
    }
  }
  void publish() noexcept {
    const std::lock_guard asking(asking_);
    for (Entry& entry : entries_)
      entry.value.store(entry.next.load(std::memory_order_relaxed), std::memory_order_release);
    if (lost_.load(std::memory_order_relaxed)) lost_told_.store(true, std::memory_order_release);
    walks_told_.store(walks_.load(std::memory_order_relaxed), std::memory_order_release);
  }
  [[nodiscard]] TimelinePoint next_walk() const noexcept {
    return {kWalks, walks_.load(std::memory_order_acquire) + 1};
  }
  // As seen by the last look().
  [[nodiscard]] bool seen(TimelinePoint point) noexcept {
    if (point == TimelinePoint{} || lost_.load(std::memory_order_acquire)) return true;
    const Entry* entry = find(point.timeline);
    return entry != nullptr && entry->next.load(std::memory_order_acquire) >= point.value;
  }
  // As published. Errors: invalid_argument.
  [[nodiscard]] Result<bool> passed(TimelinePoint point) noexcept {
    if (point == TimelinePoint{} || lost_told_.load(std::memory_order_acquire)) return true;
    if (point.timeline == kWalks) return walks_told_.load(std::memory_order_acquire) >= point.value;
    const Entry* entry = find(point.timeline);
    if (entry == nullptr) return fail(ErrorCode::invalid_argument);
    return entry->value.load(std::memory_order_acquire) >= point.value;
  }
  [[nodiscard]] bool knows(TimelinePoint point) noexcept {
    return point == TimelinePoint{} || find(point.timeline) != nullptr;
  }

 private:
  struct Entry {
    std::atomic<std::uint32_t> timeline{0};
    std::atomic<std::uint64_t> value{0};
    std::atomic<std::uint64_t> next{0};
    VkSemaphore semaphore = VK_NULL_HANDLE;
  };
  [[nodiscard]] Entry* find(TimelineId timeline) noexcept {
    for (Entry& entry : entries_) {
      const auto id = static_cast<std::uint32_t>(timeline);
      if (id != 0 && entry.timeline.load(std::memory_order_acquire) == id) return &entry;
    }
    return nullptr;
  }

  std::mutex asking_;  // of those who ask the device, and of forget(); nobody else takes it
  std::mutex mutex_;   // of writers of timelines and semaphores; inside it; no driver call is made under it
  std::atomic<std::uint64_t> walks_{0};
  std::atomic<std::uint64_t> walks_told_{0};
  std::atomic<bool> lost_{false};
  std::atomic<bool> lost_told_{false};
  Entry entries_[kMaxTimelines];
};

}  // namespace vaspace::vulkan
