// Random numbers that are the same everywhere: splitmix64.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>

namespace vaspace::tools::bench {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }
  // In [0, n); n is in [1, 2^32].
  std::uint32_t below(std::uint64_t n) { return static_cast<std::uint32_t>(((next() >> 32U) * n) >> 32U); }
  // In [from, to].
  std::uint32_t between(std::uint32_t from, std::uint32_t to) { return from + below(to - from + 1ULL); }
  // In [0, 1).
  double unit() { return static_cast<double>(next() >> 11U) * 0x1p-53; }
  // Each doubling of size is equally likely; in [from, to].
  std::uint32_t log_uniform(std::uint32_t from, std::uint32_t to) {
    const double ratio = static_cast<double>(to) / from;
    return static_cast<std::uint32_t>(from * std::pow(ratio, unit()));
  }
  double exponential(double mean) { return -mean * std::log(1 - unit()); }

  template <class Sequence>
  void shuffle(Sequence& sequence) {
    for (std::size_t n = sequence.size(); n > 1; --n)
      std::swap(sequence[n - 1], sequence[below(n)]);
  }

 private:
  std::uint64_t state_;
};

}  // namespace vaspace::tools::bench
