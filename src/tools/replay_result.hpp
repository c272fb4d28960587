// What one replay of one trace through one allocator came to.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "vaspace/base/units.hpp"

#include "statistics.hpp"

namespace vaspace::tools {

// Live and committed bytes over the run: of each of the equal parts into which its operations are cut, the
// largest.
struct Curve {
  static constexpr std::size_t kColumns = 64;
  std::array<Bytes, kColumns> live{};
  std::array<Bytes, kColumns> committed{};
  std::array<bool, kColumns> sampled{};

  void raise(std::size_t column, Bytes now_live, Bytes now_committed) {
    live[column] = std::max(live[column], now_live);
    committed[column] = std::max(committed[column], now_committed);
    sampled[column] = true;
  }
  void raise(const Curve& other) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      if (other.sampled[i]) raise(i, other.live[i], other.committed[i]);
    }
  }
  // Where there are fewer operations than columns, the state stays as the one before left it.
  void fill_gaps() {
    for (std::size_t i = 1; i < kColumns; ++i) {
      if (!sampled[i]) raise(i, live[i - 1], committed[i - 1]);
    }
  }
};

struct ReplayResult {
  std::uint64_t operations = 0;  // alloc and free rows
  std::uint64_t failed = 0;      // allocations refused; their frees are skipped
  std::uint64_t verify_errors = 0;
  std::string first_failure;  // for a person; empty where there is none
  std::string first_verify_error;
  Spread allocate_ns;
  Spread free_ns;
  Spread collect_ns;
  Bytes peak_live{};
  Bytes peak_reserved{};
  Bytes peak_committed{};
  double mean_live = 0;  // over operations
  double mean_committed = 0;
  Bytes end_live{};  // after the last row and a flush()
  Bytes end_committed{};
  Bytes internal_waste{};  // used - live when live was at its peak
  Curve curve;
};

}  // namespace vaspace::tools
