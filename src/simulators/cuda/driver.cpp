#include "driver.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "leaks.hpp"
#include "pool.hpp"

namespace vasim::cuda {
namespace {

void make_devices(Driver& driver) {
  for (std::size_t i = 0; i != driver.profile.devices.size(); ++i) {
    Device device;
    device.ordinal = static_cast<int>(i);
    device.profile = &driver.profile.devices[i];
    device.memory = std::make_unique<DeviceMemory>(device.ordinal, device.profile->memory);
    if (!device.memory->good()) driver.fault = "the system gives no file for device memory";
    device.primary_id = new_id();
    device.default_pool = device.current_pool = new_id();
    driver.pools.emplace(device.default_pool, make_default_pool(device));
    driver.devices.push_back(std::move(device));
  }
}

void report_leaks_at_exit() {
  static const int registered = std::atexit([] {
    const Lock lock(machine().mutex);
    if (machine().driver != nullptr && machine().driver->configuration.leaks) report_leaks(*machine().driver);
  });
  (void)registered;
}

}  // namespace

Machine& machine() {
  static auto* const only = new Machine();
  return *only;
}

std::unique_ptr<Driver> make_driver(const char* configuration) {
  auto driver = std::make_unique<Driver>();
  if (configuration == nullptr) configuration = std::getenv("VASIM_CUDA");
  const auto parsed = parse_configuration(configuration != nullptr ? configuration : "", driver->fault);
  if (parsed) {
    driver->configuration = *parsed;
    driver->reports.write_to(parsed->log, parsed->quiet, parsed->abort);
    driver->profile = read_profile(parsed->profile, driver->fault);
    for (const FaultRule& rule : parsed->faults)
      driver->faults.add(rule);
    make_devices(*driver);
    if (parsed->leaks) report_leaks_at_exit();
  }
  if (!driver->fault.empty())
    driver->reports.add({"configuration", "VASIM_CUDA", driver->fault, CUDA_ERROR_SYSTEM_NOT_READY});
  return driver;
}

std::uint64_t new_id() {
  // Far from any address that a process has, and apart, so that handle + 1 is no handle.
  static std::atomic<std::uint64_t> last{0x0005'a000'0000'0000U};
  return last.fetch_add(64, std::memory_order_relaxed);
}

Context* find_context(Driver& driver, CUcontext handle) {
  const auto found = driver.contexts.find(id_of(handle));
  return found != driver.contexts.end() ? found->second.get() : nullptr;
}

MemoryHandle* find_handle(Driver& driver, CUmemGenericAllocationHandle handle) {
  const auto found = driver.handles.find(handle);
  return found != driver.handles.end() ? &found->second : nullptr;
}

Device* find_device(Driver& driver, int ordinal) {
  if (ordinal < 0 || static_cast<std::size_t>(ordinal) >= driver.devices.size()) return nullptr;
  return &driver.devices[static_cast<std::size_t>(ordinal)];
}

CUresult error_of(Driver& driver, const Context& context) {
  return context.error != CUDA_SUCCESS ? context.error : find_device(driver, context.device)->lost;
}

bool can_reach(const Driver& driver, int device, int peer) {
  if (device == peer) return true;
  const auto& peers = driver.profile.devices[static_cast<std::size_t>(device)].peers;
  return std::find(peers.begin(), peers.end(), peer) != peers.end();
}

}  // namespace vasim::cuda
