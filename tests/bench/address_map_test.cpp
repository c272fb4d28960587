#include "bench/address_map.hpp"

#include <gtest/gtest.h>
#include <set>

namespace vaspace::tools::bench {
namespace {

TEST(AddressMapBench, EachDecadeHasItsLookUpsBesideATableAndNothingIsRefused) {
  Amount amount = amount_of(true);
  amount.pairs = 3'000;
  amount.scale_rounds = 2;
  unsigned ticks = 0;
  const std::vector<TimingRow> rows = measure_address_map(amount, [&] { ++ticks; });
  EXPECT_EQ(ticks, address_map_ticks(amount));
  ASSERT_EQ(rows.size(), 2U * 4);  // decades, steps
  std::set<std::pair<std::string, std::string>> steps;
  for (const TimingRow& row : rows) {
    EXPECT_EQ(row.key.workload, "map");
    EXPECT_EQ(row.refused, 0U) << row.key.mode << " of " << row.key.live;
    EXPECT_GT(row.ns.median, 0);
    EXPECT_EQ(row.to_limit.has_value(), row.key.mode == "look_up");
    steps.emplace(row.key.mode, row.subject);
  }
  EXPECT_EQ(steps, (std::set<std::pair<std::string, std::string>>{{"look_up", "flat_table"},
                                                                  {"look_up", "address_map"},
                                                                  {"plan", "address_map"},
                                                                  {"change", "address_map"}}));
}

}  // namespace
}  // namespace vaspace::tools::bench
