#include "vaspace/base/units.hpp"

#include <cstdint>
#include <gtest/gtest.h>
#include <type_traits>

namespace vaspace {
namespace {

template <class A, class B>
concept Adds = requires(A a, B b) {
  a + b;
};
template <class A, class B>
concept Subtracts = requires(A a, B b) {
  a - b;
};
template <class A, class B>
concept Compares = requires(A a, B b) {
  a < b;
};
template <class A, class B>
concept AddsTo = requires(A a, B b) {
  a += b;
};

// A point and a length.
static_assert(Adds<Offset, Bytes> && Adds<Address, Bytes> && Adds<Bytes, Bytes>);
static_assert(std::is_same_v<decltype(Offset{} + Bytes{}), Offset>);
static_assert(std::is_same_v<decltype(Address{} - Address{}), Bytes>);
// What must not compile.
static_assert(!Adds<Offset, Offset> && !Adds<Address, Address> && !Adds<Offset, Address>);
static_assert(!Adds<Bytes, Offset> && !AddsTo<Offset, Offset>);
static_assert(!Subtracts<Offset, Address> && !Subtracts<Bytes, Offset>);
static_assert(!Compares<Offset, Address> && !Compares<Offset, Bytes> && !Compares<Bytes, Alignment>);
static_assert(!Adds<Bytes, std::uint64_t> && !Adds<Offset, std::uint64_t> && !Compares<Bytes, std::uint64_t>);
static_assert(!std::is_convertible_v<std::uint64_t, Bytes> && !std::is_convertible_v<std::uint64_t, Offset>);
static_assert(!std::is_convertible_v<Bytes, std::uint64_t> && !std::is_convertible_v<Offset, Address>);
// A unit costs what its number costs.
static_assert(sizeof(Bytes) == 8 && sizeof(Offset) == 8 && sizeof(Address) == 8 && sizeof(Alignment) == 8);
static_assert(std::is_trivially_copyable_v<Bytes> && std::is_trivially_copyable_v<Offset>);

TEST(Units, Literals) {
  EXPECT_EQ(1_KiB, Bytes{1024});
  EXPECT_EQ(3_MiB, 3 * 1024 * 1_KiB);
  EXPECT_EQ(1_GiB / 1_MiB, 1024U);
  EXPECT_EQ(1_TiB, 1024 * 1_GiB);
  EXPECT_EQ(7_B * 2, 14_B);
}

TEST(Units, PointsAndLengths) {
  Offset offset{16};
  offset += 4_B;
  EXPECT_EQ(offset, Offset{20});
  EXPECT_EQ(offset - 20_B, Offset{});
  EXPECT_EQ(Address{100} - Address{60}, 40_B);
  EXPECT_LT(Address{60}, Address{100});
  Bytes bytes = 5_B;
  bytes += 3_B;
  bytes -= 1_B;
  EXPECT_EQ(bytes, 7_B);
}

TEST(Units, AlignmentIsAPowerOfTwo_R8) {
  EXPECT_FALSE(Alignment{0}.valid());
  EXPECT_FALSE(Alignment{3}.valid());
  EXPECT_FALSE(Alignment{~0ULL}.valid());
  EXPECT_TRUE(Alignment{}.valid());
  for (unsigned bit = 0; bit < 64; ++bit) {
    const Alignment alignment{1ULL << bit};
    EXPECT_TRUE(alignment.valid());
    EXPECT_EQ(alignment.log2(), bit);
  }
  EXPECT_EQ(Alignment{64_KiB}.value, 65536U);
}

TEST(Units, Align) {
  EXPECT_EQ(align_up(0_B, Alignment{16}), 0_B);
  EXPECT_EQ(align_up(1_B, Alignment{16}), 16_B);
  EXPECT_EQ(align_up(Offset{16}, Alignment{16}), Offset{16});
  EXPECT_EQ(align_down(Address{31}, Alignment{16}), Address{16});
  EXPECT_TRUE(is_aligned(Offset{32}, Alignment{16}));
  EXPECT_FALSE(is_aligned(40_B, Alignment{16}));
  EXPECT_TRUE(is_aligned(41_B, Alignment{1}));
}

TEST(Units, CheckedArithmeticStopsAtTheEdge_R8) {
  EXPECT_EQ(checked_add(kMaxBytes - 1_B, 1_B), kMaxBytes);
  EXPECT_FALSE(checked_add(kMaxBytes, 1_B));
  EXPECT_FALSE(checked_add(1_B, kMaxBytes));
  EXPECT_EQ(checked_align_up(5_B, Alignment{4}), 8_B);
  EXPECT_EQ(checked_align_up(Bytes{1ULL << 63U}, Alignment{1ULL << 63U}), Bytes{1ULL << 63U});
  EXPECT_FALSE(checked_align_up(Bytes{(1ULL << 63U) + 1}, Alignment{1ULL << 63U}));
  EXPECT_FALSE(checked_align_up(kMaxBytes, Alignment{2}));
  EXPECT_EQ(checked_align_up(kMaxBytes, Alignment{1}), kMaxBytes);
}

}  // namespace
}  // namespace vaspace
