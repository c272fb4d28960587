#include "vaspace/base/host_array.hpp"

#include <cstdint>
#include <gtest/gtest.h>
#include <utility>

#include "support/host.hpp"

namespace vaspace {
namespace {

TEST(HostAllocator, TheDefaultOneAligns) {
  const HostAllocator host = default_host_allocator();
  for (std::size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    void* memory = host.allocate(host.user, 3 * alignment, alignment);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % alignment, 0U);
    host.deallocate(host.user, memory, 3 * alignment, alignment);
  }
}

TEST(HostAllocator, TheTestsOneFailsAtTheNthRequest_R7) {
  test::TestHost host;
  const HostAllocator allocator = host.allocator();
  host.fail_at(2);
  void* first = allocator.allocate(allocator.user, 8, 8);
  EXPECT_NE(first, nullptr);
  EXPECT_EQ(allocator.allocate(allocator.user, 8, 8), nullptr);
  void* third = allocator.allocate(allocator.user, 8, 8);
  EXPECT_NE(third, nullptr);
  EXPECT_EQ(host.bytes(), 16);
  EXPECT_EQ(host.requests(), 3);
  host.fail_forever(true);
  host.fail_at(1);
  EXPECT_EQ(allocator.allocate(allocator.user, 8, 8), nullptr);
  EXPECT_EQ(allocator.allocate(allocator.user, 8, 8), nullptr);
  allocator.deallocate(allocator.user, first, 8, 8);
  allocator.deallocate(allocator.user, third, 8, 8);
  EXPECT_EQ(host.blocks(), 0);
}

TEST(HostArray, HoldsWhatIsPushed) {
  test::TestHost host;
  {
    HostArray<int> array(host.allocator());
    EXPECT_TRUE(array.empty());
    EXPECT_EQ(host.requests(), 0) << "an empty array costs nothing";
    for (int i = 0; i < 1000; ++i)
      ASSERT_TRUE(array.push_back(i));
    EXPECT_LT(host.requests(), 20) << "growth is amortised";
    int want = 0;
    for (const int value : array)
      EXPECT_EQ(value, want++);
    EXPECT_EQ(want, 1000);
    EXPECT_EQ(array.back(), 999);
    array.pop_back();
    EXPECT_EQ(array.span().size(), 999U);
    array.clear();
    EXPECT_GE(array.capacity(), 1000U);
    array.release();
    EXPECT_EQ(host.bytes(), 0);
  }
  EXPECT_EQ(host.blocks(), 0);
}

TEST(HostArray, AFailedGrowthChangesNothing_R7) {
  test::TestHost host;
  HostArray<int> array(host.allocator());
  ASSERT_TRUE(array.resize(4, 7));
  const int* data = array.data();
  host.fail_forever(true);
  host.fail_at(1);
  EXPECT_FALSE(array.push_back(1));
  EXPECT_FALSE(array.resize(5));
  EXPECT_FALSE(array.reserve(100));
  EXPECT_FALSE(array.reserve_more(1));
  EXPECT_EQ(array.size(), 4U);
  EXPECT_EQ(array.capacity(), 4U);
  EXPECT_EQ(array.data(), data);
  EXPECT_EQ(array[3], 7);
  EXPECT_TRUE(array.resize(2)) << "shrinking asks for nothing";
  EXPECT_TRUE(array.reserve_more(2));
}

TEST(HostArray, SizesAtTheEdgeAreRefused_R8) {
  test::TestHost host;
  HostArray<std::uint64_t> array(host.allocator());
  EXPECT_FALSE(array.reserve(~std::size_t{0}));
  EXPECT_FALSE(array.reserve(~std::size_t{0} / 8 + 1));
  EXPECT_EQ(host.requests(), 0) << "the product would have wrapped";
}

TEST(HostArray, AnElementOfItsOwnCanBePushed) {
  HostArray<int> array;
  ASSERT_TRUE(array.resize(1, 42));
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(array.push_back(array[0]));
  EXPECT_EQ(array.back(), 42);
}

TEST(HostArray, Moves_R10) {
  test::TestHost host;
  {
    HostArray<int> from(host.allocator());
    ASSERT_TRUE(from.push_back(1));
    HostArray<int> to = std::move(from);
    EXPECT_EQ(to[0], 1);
    from = HostArray<int>(host.allocator());
    ASSERT_TRUE(from.push_back(2));
    to = std::move(from);
    EXPECT_EQ(to[0], 2);
    EXPECT_EQ(host.blocks(), 1);
  }
  EXPECT_EQ(host.blocks(), 0);
}

}  // namespace
}  // namespace vaspace
