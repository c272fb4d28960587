// The simulated driver as a test sees it: chosen and configured before an instance is created, asked
// afterwards.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "vasim_vulkan.h"

namespace vasim::test {

// Whether the tests run on another driver (VASIM_TEST_DRIVER_FILES names its manifest).
bool on_other_driver();

// Lets the loader find the driver, configured so. To be called before an instance is created.
void choose_driver(const std::string& settings);

// The control functions of the driver that the loader has loaded. Not on another driver.
const VasimVulkanControl& control();

// The rules that were broken since the reports were cleared.
std::set<std::string> broken_rules();
// All reports, a line each, for a failing test to show.
std::string all_reports();

}  // namespace vasim::test
