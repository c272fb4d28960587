#include "heaps.hpp"

#include <chrono>

#include "driver.hpp"

namespace vasim {

Heaps::Heaps(const Profile& profile) : share_(profile.budget_share), absolute_(profile.budget_absolute) {
  for (std::uint32_t i = 0; i < profile.memory.memoryHeapCount; ++i)
    heaps_.push_back({profile.memory.memoryHeaps[i].size, 0, 0});
}

void Heaps::configure(const std::vector<OtherUsage>& other) {
  const std::lock_guard lock(mutex_);
  plans_ = other;
  apply_plans();
}

void Heaps::apply_plans() {
  const auto passed = std::chrono::steady_clock::now() - driver().started;
  const auto due = [&](const OtherUsage& plan) {
    if (plan.at_allocation > allocations_) return false;
    return passed >= std::chrono::milliseconds(plan.after_ms);
  };
  for (auto plan = plans_.begin(); plan != plans_.end();) {
    if (!due(*plan)) {
      ++plan;
      continue;
    }
    if (plan->heap < heaps_.size()) heaps_[plan->heap].other = plan->bytes;
    plan = plans_.erase(plan);
  }
}

void Heaps::begin_allocation() {
  const std::lock_guard lock(mutex_);
  ++allocations_;
  apply_plans();
}

bool Heaps::take(std::uint32_t index, VkDeviceSize bytes) {
  const std::lock_guard lock(mutex_);
  Heap& heap = heaps_[index];
  const VkDeviceSize taken = heap.used + heap.other;
  if (taken > heap.size || bytes > heap.size - taken) return false;
  heap.used += bytes;
  return true;
}

void Heaps::give_back(std::uint32_t index, VkDeviceSize bytes) {
  const std::lock_guard lock(mutex_);
  heaps_[index].used -= bytes;
}

void Heaps::set_other(std::uint32_t index, VkDeviceSize bytes) {
  const std::lock_guard lock(mutex_);
  if (index < heaps_.size()) heaps_[index].other = bytes;
}

VkDeviceSize Heaps::used(std::uint32_t index) {
  const std::lock_guard lock(mutex_);
  return heaps_[index].used;
}

VkDeviceSize Heaps::budget(std::uint32_t index) {
  const std::lock_guard lock(mutex_);
  apply_plans();
  if (absolute_ != 0) return absolute_;
  const Heap& heap = heaps_[index];
  const auto whole = static_cast<VkDeviceSize>(static_cast<double>(heap.size) * share_);
  return whole > heap.other ? whole - heap.other : 0;
}

}  // namespace vasim
