// What one worker of a replay has seen, and what all of them come to together.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "replay_result.hpp"

namespace vaspace::tools {

// The allocator's state after an operation and its collect().
struct Sample {
  Bytes live{};  // by the trace's sizes
  Bytes reserved{};
  Bytes committed{};
};

struct Tally {
  // Room for all samples, written once, so that a replay takes no page faults of its own.
  explicit Tally(std::size_t rows);

  void add(const Sample& sample, std::size_t column);

  std::vector<std::uint64_t> allocate_ns, free_ns, collect_ns;
  std::uint64_t operations = 0;
  std::uint64_t failed = 0;
  std::uint64_t first_failed_row = ~std::uint64_t{0};
  std::string first_failure;
  Bytes peak_live{}, peak_reserved{}, peak_committed{};
  Bytes waste_at_peak{};
  long double live_sum = 0;
  long double committed_sum = 0;
  Curve curve;
};

// Fills in all but the fields that the end of a replay decides (end_*, verify_errors).
[[nodiscard]] ReplayResult merge(std::vector<Tally>& tallies);

}  // namespace vaspace::tools
