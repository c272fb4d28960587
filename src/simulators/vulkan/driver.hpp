// What the driver has once per process: reports, failures, and what was configured.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "failure.hpp"
#include "report.hpp"
#include "settings.hpp"

namespace vasim {

struct Device;
struct PhysicalDevice;

struct Driver {
  Reports reports;
  Failures failures;
  std::atomic<std::uint64_t> memory_bytes{0};
  std::atomic<std::uint64_t> live_objects{0};
  std::atomic<bool> queues_held{false};

  std::mutex mutex;  // what follows
  Settings settings;
  std::chrono::steady_clock::time_point started;
  unsigned instances = 0;
  std::set<Device*> devices;
  std::set<PhysicalDevice*> physical_devices;
};

Driver& driver();

// Reads VASIM_VULKAN where no instance lives. False where it is not understood: what, was said.
bool begin_instance();
void end_instance();

// A line on standard error about the driver itself.
void complain(const std::string& what);

}  // namespace vasim
