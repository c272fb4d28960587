// Numbers that are the same on every run and every machine.
#pragma once

#include <cstdint>

namespace vaspace::test {

class TestRandom {
 public:
  explicit TestRandom(std::uint64_t seed) : state_(seed) {}
  // In [0, n).
  std::uint64_t below(std::uint64_t n) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state_ >> 33U) % n;
  }

 private:
  std::uint64_t state_;
};

}  // namespace vaspace::test
