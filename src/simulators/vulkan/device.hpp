// A logical device: its objects, its queues, and the one lock that they share.
//
// One lock for all of it keeps the rules' bookkeeping simple; queues hold it while they carry out an
// operation and not while they wait or are late.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>
#include <vulkan/vk_icd.h>

#include "instance.hpp"
#include "objects.hpp"
#include "order.hpp"
#include "report.hpp"

namespace vasim {

struct Queue;

struct Device {
  Device(PhysicalDevice& its_physical, const VkDeviceCreateInfo& info);
  ~Device();

  [[nodiscard]] bool has(const char* extension) const { return extensions.count(extension) != 0; }
  void lose();
  void end_queues();

  VK_LOADER_DATA loader;
  PhysicalDevice& physical;
  const Profile& profile;
  std::set<std::string> extensions;
  VkPhysicalDeviceFeatures features{};
  bool timeline = false, address = false;
  bool protected_memory = false;
  std::vector<VkDeviceDeviceMemoryReportCreateInfoEXT> memory_listeners;

  Objects objects;  // has a lock of its own

  std::mutex mutex;
  std::condition_variable changed;  // something that a thread may wait for has happened
  Order order;
  std::atomic<bool> lost{false};
  bool ending = false;
  std::uint32_t allocations = 0;  // V4
  VkDeviceSize sparse_bytes = 0;  // V30
  std::uint64_t next_address = std::uint64_t{1} << 40U;
  std::uint64_t delay_low = 0, delay_high = 0;  // microseconds
  std::mt19937_64 random;
  std::vector<std::unique_ptr<Queue>> queues;
};

inline Device& from(VkDevice handle) {
  return *reinterpret_cast<Device*>(handle);
}

// Reports D2 where an operation that the host has not waited for still refers to the object.
void check_unused(Device& device, Object& object, const char* what);

}  // namespace vasim
