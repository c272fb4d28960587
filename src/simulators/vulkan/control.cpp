// The functions of vasim_vulkan.h.
#include "device.hpp"
#include "driver.hpp"
#include "instance.hpp"
#include "vasim_vulkan.h"

namespace vasim {
namespace {

int plan(const char* function, FailureRule rule, std::uint64_t seed) {
  rule.function = function;
  return driver().failures.add(rule, seed) ? 1 : 0;
}

std::uint64_t calls_of(const char* function) {
  const std::optional<Call> call = call_named(function);
  return call ? driver().failures.calls(*call) : 0;
}

void set_other_usage(const char* profile, std::uint32_t heap, std::uint64_t bytes) {
  Driver& here = driver();
  const std::lock_guard lock(here.mutex);
  for (PhysicalDevice* const device : here.physical_devices)
    if (profile == nullptr || device->profile.name == profile) device->heaps.set_other(heap, bytes);
}

void lose_devices() {
  Driver& here = driver();
  const std::lock_guard lock(here.mutex);
  for (Device* const device : here.devices)
    device->lose();
}

constexpr VasimVulkanControl kControl = {
    [] { return driver().reports.count(); },
    [](const char* rule) { return driver().reports.count_of(rule); },
    [](std::size_t index, VasimVulkanReport* out) { return driver().reports.at(index, *out) ? 1 : 0; },
    [] { driver().reports.clear(); },
    [](const char* function, std::uint64_t nth, std::int32_t result) {
      return nth == 0 ? 0 : plan(function, {"", nth, 0, static_cast<VkResult>(result)}, 0);
    },
    [](const char* function, double probability, std::uint64_t seed, std::int32_t result) {
      return plan(function, {"", 0, probability, static_cast<VkResult>(result)}, seed);
    },
    [] { driver().failures.clear(); },
    &calls_of,
    [] { return driver().failures.injected(); },
    &set_other_usage,
    &lose_devices,
    [](int hold) { driver().queues_held = hold != 0; },
    [] { return driver().memory_bytes.load(); },
    [] { return driver().live_objects.load(); },
};

}  // namespace
}  // namespace vasim

extern "C" __attribute__((visibility("default"))) const VasimVulkanControl* vasim_vulkan_control(
    std::uint32_t version) {
  return version <= VASIM_VULKAN_CONTROL_VERSION ? &vasim::kControl : nullptr;
}
