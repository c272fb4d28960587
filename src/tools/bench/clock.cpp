#include "bench/clock.hpp"

#include <algorithm>

namespace vaspace::tools::bench {

std::uint64_t clock_floor_ns() {
  static const std::uint64_t floor = [] {
    std::uint64_t least = ~std::uint64_t{0};
    for (int i = 0; i < 100'000; ++i) {
      const std::uint64_t from = now_ns();
      least = std::min(least, now_ns() - from);
    }
    return least;
  }();
  return floor;
}

}  // namespace vaspace::tools::bench
