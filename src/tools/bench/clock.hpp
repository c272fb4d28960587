// The clock, and what reading it twice costs.
#pragma once

#include <chrono>
#include <cstdint>

namespace vaspace::tools::bench {

inline std::uint64_t now_ns() noexcept {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

// The least that lies between two readings: what is taken off every timing.
[[nodiscard]] std::uint64_t clock_floor_ns();

// What one of `count` operations took, in picoseconds.
[[nodiscard]] inline std::uint64_t picoseconds_each(std::uint64_t elapsed_ns, std::uint64_t floor_ns,
                                                    std::uint64_t count) noexcept {
  return elapsed_ns <= floor_ns ? 0 : (elapsed_ns - floor_ns) * 1000 / count;
}

}  // namespace vaspace::tools::bench
