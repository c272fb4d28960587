// Failures on demand: which call of which function is refused, and with what. Not synchronised.
#pragma once

#include <cstdint>
#include <cuda.h>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vasim::cuda {

struct FaultRule {
  std::string function;           // "*": any
  std::uint64_t first = 1;        // the first matching call that it strikes, from 1
  std::uint64_t times = 1;        // how many in a row from there
  std::uint32_t per_million = 0;  // above 0: this share of matching calls instead, drawn from `seed`
  std::uint64_t seed = 0;
  bool late = false;  // the call is accepted; what it put on a stream fails there
  CUresult code = CUDA_ERROR_UNKNOWN;
  std::uint64_t seen = 0;
};

// From that call on (counted over all functions, from 1), once.
struct DeviceLoss {
  int device = 0;
  std::uint64_t at_call = 1;
  CUresult code = CUDA_ERROR_ECC_UNCORRECTABLE;
};
struct MemoryTaken {
  int device = 0;
  std::uint64_t bytes = 0;
  std::uint64_t at_call = 1;
};

struct Strike {
  CUresult now = CUDA_SUCCESS;
  CUresult late = CUDA_SUCCESS;
};

class Faults {
 public:
  void add(FaultRule rule) { rules_.push_back(std::move(rule)); }
  void clear() { rules_.clear(); }

  // Every rule that matches counts the call, also where another one strikes.
  [[nodiscard]] Strike next_call(std::string_view function);

 private:
  std::vector<FaultRule> rules_;
};

}  // namespace vasim::cuda
