// What kind of machine is played: data, read from a JSON file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vasim::cuda {

struct Granularity {
  std::uint64_t minimum = 0;
  std::uint64_t recommended = 0;
};

struct DeviceProfile {
  std::string name;
  std::uint64_t memory = 0;
  int capability_major = 0;
  int capability_minor = 0;
  int multiprocessors = 0;
  Granularity granularity;
  Granularity
      exportable_granularity;  // of memory created with a handle type (C3: it depends on the properties)
  unsigned handle_types = 0;   // CUmemAllocationHandleType bits that creation accepts
  unsigned exportable = 0;     // those of them that can be exported (C14)
  std::vector<int> peers;      // the devices whose memory this one can reach
  bool unified = false;        // the host can read and write device addresses
};

struct Profile {
  std::string name;
  int driver_version = 0;
  std::uint64_t reservation_limit = 0;    // bytes of all live reservations together (C2)
  std::uint64_t reservation_largest = 0;  // bytes of one
  bool hint_honoured = true;              // false: a hinted reservation always lands elsewhere (C18)
  std::vector<DeviceProfile> devices;
};

// `name` is the name of a file in the folder "profiles" beside the library, or a path ending in ".json". On
// failure the profile has no device and `error` says why.
[[nodiscard]] Profile read_profile(const std::string& name, std::string& error);

}  // namespace vasim::cuda
