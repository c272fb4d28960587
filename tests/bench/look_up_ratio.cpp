// A look-up among 10^6 mappings takes at most three times what a flat sorted table takes, in the same run.
// Asked once a night, on a machine with nothing else to do: it is the one thing here that looks at a clock.
#include <cstdio>

#include "bench/address_map.hpp"

int main() {
  using namespace vaspace::tools::bench;
  constexpr double kMost = 3;
  bool measured = false;
  bool good = true;
  for (const TimingRow& row : measure_address_map(amount_of(false), [] {})) {
    if (row.subject != "address_map" || !row.to_limit) continue;
    std::printf("%8llu mappings: %.2f x\n", (unsigned long long)row.key.live, row.to_limit->median);
    measured = measured || row.key.live == 1'000'000;
    good = good && row.refused == 0 && row.to_limit->median <= kMost;
  }
  return measured && good ? 0 : 1;
}
