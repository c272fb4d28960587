// One operation after the other, for a profiler that counts instructions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/workload.hpp"

namespace vaspace::tools::bench {

struct Counted {
  std::uint64_t count = 0;
  Unit unit = Unit::pair;
};

// What is between the slashes of WORKLOAD/MODE/LIVE/SUBJECT:
//   W1/in_order|reverse|shuffled/COUNT/SUBJECT    allocates COUNT and frees them in that order
//   W5/256|mixed/FRAMES/SUBJECT                   FRAMES in steady state
//   W8/same|mixed/LIVE/SUBJECT                    100,000 pairs
// All of it, and no more, happens within the function count_these(). Throws WrongUsage for anything else.
[[nodiscard]] Counted run_to_count(const std::vector<std::string>& what);

}  // namespace vaspace::tools::bench
