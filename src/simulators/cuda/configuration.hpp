// What VASIM_CUDA says:
// "profile=two_devices;delay_us=0..200;fail=cuMemCreate:3:CUDA_ERROR_OUT_OF_MEMORY;abort=1".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "faults.hpp"

namespace vasim::cuda {

struct Configuration {
  std::string profile = "default";
  std::uint64_t delay_from_us = 20;  // a piece of work starts this late, drawn anew for each
  std::uint64_t delay_to_us = 200;
  std::uint64_t seed = 1;  // of delays and shares
  std::string log;         // a file that reports are appended to; empty: standard error
  bool quiet = false;      // reports are counted, not written
  int abort = 0;           // 1: at a break that the real driver would not notice; 2: at any
  bool leaks = false;      // what is left at exit is reported
  std::vector<FaultRule> faults;
  std::vector<DeviceLoss> losses;
  std::vector<MemoryTaken> taken;
};

// Nothing, and `error` says why, where a word is unknown or a figure is none.
[[nodiscard]] std::optional<Configuration> parse_configuration(std::string_view text, std::string& error);

}  // namespace vasim::cuda
