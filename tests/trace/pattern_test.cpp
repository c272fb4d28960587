// The checker behind `replay --verify`: a single wrong byte anywhere is found.
#include "pattern.hpp"

#include <gtest/gtest.h>
#include <set>
#include <vector>

#include "interval_set.hpp"
#include "verifier.hpp"

namespace vaspace::tools {
namespace {

using Memory = std::vector<std::byte>;

TEST(Pattern, WhatWasFilledIsRight) {
  for (std::size_t size = 1; size < 10000; size += size < 100 ? 1 : 997) {
    Memory memory(size);
    fill_pattern(memory, pattern_seed(size));
    EXPECT_EQ(find_damage(memory, pattern_seed(size)), std::nullopt) << size;
  }
}

TEST(Pattern, EverySingleByteIsChecked) {
  for (const std::size_t size : std::initializer_list<std::size_t>{1, 7, 8, 9, 63, 4096, 4103, 12345}) {
    Memory memory(size);
    fill_pattern(memory, pattern_seed(3));
    for (std::size_t at = 0; at < size; ++at) {
      memory[at] ^= std::byte{1};
      ASSERT_EQ(find_damage(memory, pattern_seed(3)), at) << size;
      memory[at] ^= std::byte{1};
    }
  }
}

TEST(Pattern, FillsNotAByteMore) {
  for (const std::size_t size : std::initializer_list<std::size_t>{1, 5, 8, 13, 4099}) {
    Memory memory(size + 16, std::byte{0xee});
    fill_pattern(std::span(memory).first(size), pattern_seed(1));
    for (std::size_t i = size; i < memory.size(); ++i)
      ASSERT_EQ(memory[i], std::byte{0xee});
  }
}

TEST(Pattern, AnotherAllocationsBytesDoNotPass) {
  Memory memory(4096);
  fill_pattern(memory, pattern_seed(1));
  EXPECT_TRUE(find_damage(memory, pattern_seed(2)).has_value());
  EXPECT_TRUE(find_damage(Memory(4096), pattern_seed(1)).has_value()) << "zeros: a page that was lost";
}

TEST(Pattern, ItsOwnBytesMovedDoNotPass) {
  Memory memory(8192);
  fill_pattern(memory, pattern_seed(1));
  for (const std::size_t by : std::initializer_list<std::size_t>{1, 8, 4096})
    EXPECT_TRUE(find_damage(std::span(memory).subspan(by), pattern_seed(1)).has_value()) << by;
}

TEST(Pattern, SeedsDiffer) {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t i = 0; i < 10000; ++i)
    seeds.insert(pattern_seed(i));
  EXPECT_EQ(seeds.size(), 10000U);
}

Allocation allocation_in(Memory& memory, std::size_t offset, std::size_t size) {
  return {Address{reinterpret_cast<std::uintptr_t>(memory.data()) + offset}, Bytes{size}, {1, 1}};
}

AllocationRequest asked(const Allocation& allocation, std::uint64_t alignment = 1) {
  return {.size = allocation.size, .alignment = Alignment{alignment}};
}

TEST(PatternVerifier, ACleanRunHasNoErrors) {
  Memory memory(1000);
  PatternVerifier verifier;
  const Allocation a = allocation_in(memory, 0, 500), b = allocation_in(memory, 500, 500);
  verifier.begin(0, a, asked(a));
  verifier.begin(1, b, asked(b));
  verifier.end(0, a);
  verifier.end(1, b);
  EXPECT_EQ(verifier.errors(), 0U);
  EXPECT_EQ(verifier.first_error(), "");
}

TEST(PatternVerifier, OneByteInTheMiddleIsReported) {
  Memory memory(100001);
  PatternVerifier verifier;
  const Allocation a = allocation_in(memory, 0, memory.size());
  verifier.begin(5, a, asked(a));
  memory[50000] ^= std::byte{0x80};
  verifier.end(5, a);
  EXPECT_EQ(verifier.errors(), 1U);
  EXPECT_NE(verifier.first_error().find("byte 50000 of 100001"), std::string::npos) << verifier.first_error();
}

TEST(PatternVerifier, AnOverlapIsReported) {
  Memory memory(1000);
  PatternVerifier verifier;
  const Allocation a = allocation_in(memory, 0, 600), b = allocation_in(memory, 599, 300);
  verifier.begin(0, a, asked(a));
  verifier.begin(1, b, asked(b));
  verifier.end(0, a);
  verifier.end(1, b);
  EXPECT_EQ(verifier.errors(), 1U);
}

TEST(Verifier, AWrongAlignmentOrSizeIsReported) {
  OverlapVerifier verifier;
  const Allocation a{Address{0x1010}, 100_B, {1, 1}};
  verifier.begin(0, a, asked(a, 32));
  EXPECT_EQ(verifier.errors(), 1U);
  const Allocation b{Address{0x2000}, 100_B, {1, 1}};
  verifier.begin(1, b, {.size = 101_B, .alignment = Alignment{16}});
  EXPECT_EQ(verifier.errors(), 2U);
}

TEST(OverlapVerifier, ReportsOverlapAndWhatIsNotLive) {
  OverlapVerifier verifier;
  const Allocation a{Address{0x1000}, 256_B, {1, 1}}, b{Address{0x10ff}, 16_B, {2, 1}};
  verifier.begin(0, a, asked(a));
  verifier.begin(1, b, asked(b));
  EXPECT_EQ(verifier.errors(), 1U);
  verifier.end(0, a);
  EXPECT_EQ(verifier.errors(), 1U);
  verifier.end(0, a);
  EXPECT_EQ(verifier.errors(), 2U);
}

TEST(IntervalSet, TouchingIsNotOverlapping) {
  IntervalSet set;
  EXPECT_FALSE(set.insert(Address{100}, 50_B));
  EXPECT_FALSE(set.insert(Address{150}, 50_B));
  EXPECT_FALSE(set.insert(Address{50}, 50_B));
  EXPECT_EQ(set.size(), 3U);
}

TEST(IntervalSet, EveryOverlapIsFound) {
  IntervalSet set;
  ASSERT_FALSE(set.insert(Address{100}, 50_B));
  for (const auto& [begin, size] : {std::pair{100, 50}, {99, 2}, {149, 1}, {149, 100}, {50, 500}, {120, 5}})
    EXPECT_EQ(set.insert(Address{static_cast<std::uint64_t>(begin)}, Bytes{static_cast<std::uint64_t>(size)}),
              Address{100})
        << begin;
  EXPECT_EQ(set.size(), 1U);
}

TEST(IntervalSet, WhatWrapsIsRefused) {
  IntervalSet set;
  EXPECT_TRUE(set.insert(Address{100}, kMaxBytes));
  EXPECT_TRUE(set.insert(Address{100}, 0_B));
}

TEST(IntervalSet, OnlyWhatWasKeptIsRemoved) {
  IntervalSet set;
  ASSERT_FALSE(set.insert(Address{100}, 50_B));
  EXPECT_FALSE(set.remove(Address{100}, 49_B));
  EXPECT_FALSE(set.remove(Address{101}, 49_B));
  EXPECT_TRUE(set.remove(Address{100}, 50_B));
  EXPECT_FALSE(set.remove(Address{100}, 50_B));
}

}  // namespace
}  // namespace vaspace::tools
