#include "vaspace/arena/size_class.hpp"

#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "support/property.hpp"

namespace vaspace {
namespace {

using test::require;
using Table = std::vector<SizeClass>;

// The table read from top to bottom.
std::uint32_t choose_naively(const Table& table, Bytes size, Alignment alignment) {
  bool objects_only = false;
  for (std::uint32_t k = 0; k < table.size(); ++k) {
    const SizeClass& c = table[k];
    if (size > c.max_size || (objects_only && c.strategy == Strategy::slab)) continue;
    const bool every_slot = c.strategy == Strategy::object || c.max_size.value % alignment.value == 0;
    if (every_slot) return k;
    objects_only = true;
  }
  return static_cast<std::uint32_t>(table.size());
}

std::vector<Bytes> sizes_around(const Table& table) {
  std::vector<Bytes> sizes;
  const auto add = [&](std::uint64_t size) {
    if (size != 0) sizes.emplace_back(size);
  };
  for (const SizeClass& c : table)
    for (std::uint64_t d = 0; d <= 2; ++d) {
      add(c.max_size.value - d);
      if (c.max_size.value <= kMaxBytes.value - d) add(c.max_size.value + d);
    }
  for (unsigned bits = 0; bits < 64; ++bits) {
    const std::uint64_t power = std::uint64_t{1} << bits;
    add(power - 1);
    add(power);
    add(power + 1);
  }
  add(kMaxBytes.value);
  return sizes;
}

void expect_same(const Table& table) {
  const SizeClassIndex index(table);
  for (const Bytes size : sizes_around(table)) {
    for (unsigned bits = 0; bits < 64; ++bits) {
      const Alignment alignment{std::uint64_t{1} << bits};
      const std::uint32_t want = choose_naively(table, size, alignment);
      const std::uint32_t have = index.choose(size, alignment);
      require(have == want, std::to_string(size.value) + " at " + std::to_string(alignment.value) + ": " +
                                std::to_string(have) + ", not " + std::to_string(want));
    }
  }
}

Table standard() {
  return {kStandardSizeClasses.begin(), kStandardSizeClasses.end()};
}

TEST(SizeClassIndex, TheStandardTableIsReadRightAroundEveryEdge) {
  ASSERT_TRUE(validate_size_classes(kStandardSizeClasses));
  expect_same(standard());
}

TEST(SizeClassIndex, AnAlignmentAboveASlotsGoesToTheFirstObjectArena) {
  const SizeClassIndex index(kStandardSizeClasses);
  EXPECT_EQ(index.choose(100_B, Alignment{512}), 0U);
  EXPECT_EQ(index.choose(100_B, Alignment{1024}), 3U);
  EXPECT_EQ(index.choose(2_KiB, Alignment{2048}), 2U);
  EXPECT_EQ(index.choose(2_KiB, Alignment{4096}), 3U);
  EXPECT_EQ(index.choose(5_KiB, Alignment{std::uint64_t{1} << 40U}), 4U);
}

TEST(SizeClassIndex, BehindALimitedTableEverythingIsTooLarge) {
  const Table slabs{{256_B, 64_KiB, Strategy::slab}, {1_KiB, 64_KiB, Strategy::slab}};
  const SizeClassIndex index(slabs);
  EXPECT_EQ(index.choose(1_KiB, {}), 1U);
  EXPECT_EQ(index.choose(Bytes{1025}, {}), 2U);
  EXPECT_EQ(index.choose(kMaxBytes, {}), 2U);
  EXPECT_EQ(index.choose(1_B, Alignment{2048}), 2U) << "no object arena";
  expect_same(slabs);
}

// Odd sizes, several classes between two powers of two, up to the most that a table has.
RC_GTEST_PROP(SizeClassIndexProperty, RandomTablesAreReadRight, ()) {
  const auto steps = *rc::gen::container<std::vector<std::uint32_t>>(
      static_cast<std::size_t>(*rc::gen::inRange(1, static_cast<int>(kMaxSizeClasses) + 1)),
      rc::gen::inRange<std::uint32_t>(1, 5000));
  Table table;
  Bytes size{};
  for (const std::uint32_t step : steps) {
    size += Bytes{step};
    const bool slab = size <= 64_KiB && *rc::gen::arbitrary<bool>();
    table.push_back({size, 1_MiB, slab ? Strategy::slab : Strategy::object});
  }
  if (*rc::gen::arbitrary<bool>()) table.back() = {kMaxBytes, {}, Strategy::object};
  require(validate_size_classes(table).has_value(), "a good table");
  expect_same(table);
}

void expect_refused(const Table& table, const char* why) {
  const Result<void> valid = validate_size_classes(table);
  ASSERT_FALSE(valid) << why;
  EXPECT_EQ(valid.error().code, ErrorCode::invalid_configuration) << why;
}

TEST(SizeClassTable, MalformedOnesAreRefused) {
  expect_refused({}, "empty");
  expect_refused({{2_KiB, 1_MiB}, {1_KiB, 1_MiB}}, "unsorted");
  expect_refused({{1_KiB, 1_MiB}, {1_KiB, 1_MiB}}, "equal");
  expect_refused({{Bytes{}, 1_MiB}}, "a class for nothing");
  expect_refused({{kMaxBytes, {}}, {kMaxBytes, {}}}, "unlimited twice");
  expect_refused({{1_MiB, 512_KiB}}, "a reservation below its class");
  expect_refused({{1_MiB, 1_MiB - 1_B}}, "just below");
  expect_refused({{65_KiB, 1_MiB, Strategy::slab}}, "a slab too large");
  expect_refused({{kMaxBytes, 1_MiB, Strategy::slab}}, "an unlimited slab");
  expect_refused({{64_KiB, 64_KiB, Strategy::slab}}, "a slot that cannot note all it was not asked for");
  expect_refused({{1_KiB, {}, Strategy::slab}}, "a slab over the whole device");
  expect_refused({{1_KiB, 512_B, Strategy::slab}}, "a slab smaller than its slot");
  expect_refused({{1_KiB, Bytes{(1ULL << 48U) + 1}}}, "a reservation beyond all address space");
  expect_refused({{1_KiB, kMaxBytes}}, "a reservation at the 64-bit edge");
  Table many;
  for (std::uint32_t i = 1; i <= kMaxSizeClasses + 1; ++i)
    many.push_back({Bytes{i}, 1_MiB});
  expect_refused(many, "too many");
  many.pop_back();
  EXPECT_TRUE(validate_size_classes(many));
}

TEST(SizeClassTable, EdgesThatAreAllowed) {
  EXPECT_TRUE(
      validate_size_classes(Table{{1_KiB, 64_KiB, Strategy::slab}, {64_KiB, 64_KiB, Strategy::slab}}));
  EXPECT_TRUE(validate_size_classes(kTunedSizeClasses));
  EXPECT_TRUE(validate_size_classes(Table{{1_MiB, 1_MiB}}));
  EXPECT_TRUE(validate_size_classes(Table{{1_B, 64_KiB, Strategy::slab}, {kMaxBytes, 1_MiB}}));
  EXPECT_TRUE(validate_size_classes(Table{{1_KiB, Bytes{1ULL << 48U}}}));
}

}  // namespace
}  // namespace vaspace
