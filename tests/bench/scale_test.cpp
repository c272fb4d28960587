#include "bench/scale.hpp"

#include <gtest/gtest.h>
#include <set>

namespace vaspace::tools::bench {
namespace {

const Amount kLittle = [] {
  Amount amount = amount_of(true);
  amount.pairs = 2'000;
  amount.scale_rounds = 1;
  return amount;
}();

template <class Rows>
std::set<std::string> subjects_of(const Rows& rows) {
  std::set<std::string> names;
  for (const auto& row : rows)
    names.insert(row.subject);
  return names;
}

TEST(Scale, EachDecadeHasItsTimesAndItsMetadata) {
  unsigned ticks = 0;
  const ScaleRows rows = measure_scale({}, kLittle, [&] { ++ticks; });
  EXPECT_EQ(ticks, scale_ticks(kLittle));
  EXPECT_EQ(subjects_of(rows.timings),
            (std::set<std::string>{"limit_lifo", "arena", "arena_standard", "default"}));
  EXPECT_EQ(subjects_of(rows.metadata), (std::set<std::string>{"arena", "arena_standard", "default"}));
  ASSERT_EQ(rows.timings.size(), 2U * 2 * 4);
  std::set<std::pair<std::string, std::uint64_t>> decades;
  for (const TimingRow& row : rows.timings) {
    decades.emplace(row.key.mode, row.key.live);
    EXPECT_EQ(row.key.workload, "scale");
    EXPECT_EQ(row.refused, 0U) << row.subject << " " << row.key.live;
    EXPECT_GT(row.ns.median, 0);
  }
  EXPECT_EQ(decades, (std::set<std::pair<std::string, std::uint64_t>>{
                         {"mixed", 10'000}, {"mixed", 100'000}, {"large", 10'000}, {"large", 100'000}}));
  for (const MetadataRow& row : rows.metadata)
    EXPECT_GT(row.bytes_per_live, 1) << row.subject;
}

TEST(Scale, AsksOnlyWhatIsWanted) {
  Options options;
  options.subjects = {"default", "slab"};
  EXPECT_EQ(subjects_of(measure_scale(options, kLittle, [] {}).timings),
            (std::set<std::string>{"limit_lifo", "default"}));
  EXPECT_TRUE(measure_reservations(options, kLittle, [] {}).timings.empty());
}

TEST(Scale, EveryAllocationIsAReservation) {
  unsigned ticks = 0;
  const ScaleRows rows = measure_reservations({}, kLittle, [&] { ++ticks; });
  EXPECT_EQ(ticks, reservation_ticks(kLittle));
  ASSERT_EQ(rows.timings.size(), 2U * 2 * 4);  // decades, policies, steps
  for (const TimingRow& row : rows.timings) {
    EXPECT_EQ(row.refused, 0U) << row.key.mode;  // of find: addresses that it does not know
    EXPECT_GT(row.ns.median, 0);
  }
  ASSERT_EQ(rows.metadata.size(), 4U);
  for (const MetadataRow& row : rows.metadata)
    EXPECT_GT(row.bytes_per_live, 48) << row.mode;  // a window and its only node, at least
}

TEST(Scale, IsNoPartOfAQuickRunUnlessNamed) {
  Options options;
  EXPECT_TRUE(options.wants("scale"));
  options.quick = true;
  EXPECT_FALSE(options.wants("scale"));
  EXPECT_TRUE(options.wants("W8"));
  options.only = {"scale"};
  EXPECT_TRUE(options.wants("scale"));
  EXPECT_FALSE(options.wants("W8"));
}

}  // namespace
}  // namespace vaspace::tools::bench
