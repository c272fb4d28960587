#include "driver_control.hpp"

#include <cstdlib>
#include <dlfcn.h>
#include <stdexcept>

namespace vasim::test {

bool on_other_driver() {
  return std::getenv("VASIM_TEST_DRIVER_FILES") != nullptr;
}

void choose_driver(const std::string& settings) {
  const char* const other = std::getenv("VASIM_TEST_DRIVER_FILES");
  const char* const manifest = other != nullptr ? other : VASIM_VULKAN_MANIFEST;
  setenv("VK_DRIVER_FILES", manifest, 1);
  setenv("VK_ICD_FILENAMES", manifest, 1);
  setenv("NODEVICE_SELECT", "1", 1);  // a layer of Mesa's that would reorder devices
  setenv("VASIM_VULKAN", settings.c_str(), 1);
}

const VasimVulkanControl& control() {
  static const VasimVulkanControl* const found = [] {
    void* const driver = dlopen(VASIM_VULKAN_LIBRARY, RTLD_NOW | RTLD_NOLOAD);
    if (driver == nullptr) throw std::runtime_error("the simulated driver is not loaded");
    const auto get = reinterpret_cast<PFN_vasim_vulkan_control>(dlsym(driver, "vasim_vulkan_control"));
    return get(VASIM_VULKAN_CONTROL_VERSION);
  }();
  return *found;
}

std::set<std::string> broken_rules() {
  std::set<std::string> rules;
  VasimVulkanReport report{};
  for (std::size_t i = 0; control().report_at(i, &report) != 0; ++i)
    rules.insert(report.rule);
  return rules;
}

std::string all_reports() {
  std::string lines;
  VasimVulkanReport report{};
  for (std::size_t i = 0; control().report_at(i, &report) != 0; ++i)
    lines += std::string(report.rule) + ": " + report.object + ": " + report.reason + "\n";
  return lines;
}

}  // namespace vasim::test
