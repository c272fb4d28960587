// Devices as data: the simulated driver's profiles (src/simulators/vulkan/profiles), and what real devices
// report (tests/heap/devices, each with where somebody published the report). Both are written alike.
//
// Always true: what cannot be read throws std::runtime_error or an exception of the JSON library's, so that a
// test that asks for a device that is not there fails.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vaspace/device/profile.hpp"

namespace vaspace::test {

struct DeviceFile {
  std::string name;    // of the file, without .json
  std::string source;  // where it is known from
  std::string driver;  // empty for a simulated one
  DeviceProfile profile;
  // 0 where the report does not say.
  std::uint64_t most_allocations = 0;
  std::uint64_t buffer_image_granularity = 0;
  std::uint64_t non_coherent_atom = 0;
};

// Of both folders, sorted by name; files that begin with an underscore are bases of others, and no devices.
[[nodiscard]] std::vector<DeviceFile> simulated_devices();
[[nodiscard]] std::vector<DeviceFile> reported_devices();

}  // namespace vaspace::test
