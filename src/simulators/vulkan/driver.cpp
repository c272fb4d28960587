#include "driver.hpp"

#include <cstdio>
#include <cstdlib>

namespace vasim {

Driver& driver() {
  // Never destroyed: queue threads and a program's exit handlers may still report.
  static Driver* const only = new Driver;
  return *only;
}

void complain(const std::string& what) {
  std::fprintf(stderr, "vasim: %s\n", what.c_str());
}

bool begin_instance() {
  Driver& here = driver();
  const std::lock_guard lock(here.mutex);
  if (here.instances > 0) {
    ++here.instances;
    return true;
  }
  const char* const variable = std::getenv("VASIM_VULKAN");
  std::string error;
  const std::optional<Settings> settings = parse_settings(variable == nullptr ? "" : variable, error);
  if (!settings) {
    complain("VASIM_VULKAN: " + error);
    return false;
  }
  if (!here.failures.configure(*settings)) {
    complain("VASIM_VULKAN: fail= names a function that this driver has not");
    return false;
  }
  here.reports.configure(*settings);
  here.settings = *settings;
  here.started = std::chrono::steady_clock::now();
  here.queues_held = false;
  here.instances = 1;
  return true;
}

void end_instance() {
  Driver& here = driver();
  const std::lock_guard lock(here.mutex);
  --here.instances;
}

}  // namespace vasim
