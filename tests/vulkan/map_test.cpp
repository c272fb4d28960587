// Maps, flushes, invalidations.
#include <cstring>

#include "vulkan/fake_backend.hpp"

namespace vaspace::test {
namespace {

class MapTest : public FakeBackend {
 protected:
  // The one range that the driver saw last.
  static std::pair<VkDeviceSize, VkDeviceSize> last(const std::vector<VkMappedMemoryRange>& list) {
    return {list.back().offset, list.back().size};
  }
};

TEST_F(MapTest, V10_AnObjectIsMappedOnceHoweverOftenItIsAskedFor) {
  create();
  const Reservation made = reserve(64_KiB).value();
  std::byte* const whole = backend->map(made.address, 64_KiB).value();
  std::byte* const part = backend->map(made.address + 1000_B, 24_B).value();
  EXPECT_EQ(part, whole + 1000);
  EXPECT_EQ(driver.map_calls, 1);
  ASSERT_TRUE(backend->unmap(made.address, 64_KiB));
  EXPECT_EQ(driver.unmap_calls, 0);
  std::memset(part, 1, 24);
  ASSERT_TRUE(backend->unmap(made.address + 1000_B, 24_B));
  EXPECT_EQ(driver.unmap_calls, 1);
  EXPECT_EQ(code(backend->unmap(made.address, 64_KiB)), ErrorCode::wrong_state);
  EXPECT_EQ(driver.unmap_calls, 1);
  EXPECT_TRUE(backend->map(made.address, 1_B));
  EXPECT_EQ(driver.map_calls, 2);
}

TEST_F(MapTest, V10_ObjectsAreMappedEachByItself) {
  create();
  const Reservation a = reserve(4_KiB).value();
  const Reservation b = reserve(4_KiB).value();
  ASSERT_TRUE(backend->map(a.address, 1_B));
  ASSERT_TRUE(backend->map(b.address, 1_B));
  EXPECT_EQ(driver.map_calls, 2);
  ASSERT_TRUE(backend->unmap(a.address, 1_B));
  EXPECT_EQ(code(backend->unmap(a.address, 1_B)), ErrorCode::wrong_state);
  EXPECT_TRUE(backend->unmap(b.address, 1_B));
}

TEST_F(MapTest, V11_OnlyHostVisibleMemoryIsMapped) {
  create();
  const Reservation made = reserve(4_KiB, FakeDriver::kDeviceLocal).value();
  EXPECT_EQ(code(backend->map(made.address, 4_KiB)), ErrorCode::not_supported);
  EXPECT_EQ(code(backend->unmap(made.address, 4_KiB)), ErrorCode::not_supported);
  EXPECT_EQ(code(backend->flush(made.address, 4_KiB)), ErrorCode::not_supported);
  EXPECT_EQ(driver.map_calls, 0);
}

TEST_F(MapTest, RangesThatAreNoneAreRefused) {
  create();
  const Reservation made = reserve(4_KiB).value();
  EXPECT_EQ(code(backend->map(made.address, 0_B)), ErrorCode::invalid_size);
  EXPECT_EQ(code(backend->map(made.address, 4_KiB + 1_B)), ErrorCode::invalid_argument);
  EXPECT_EQ(code(backend->map(made.address + 1_B, kMaxBytes)), ErrorCode::invalid_argument);
  EXPECT_EQ(code(backend->map(made.end(), 1_B)), ErrorCode::unknown_address);
  EXPECT_EQ(code(backend->map(Address{1}, 1_B)), ErrorCode::unknown_address);
  EXPECT_EQ(driver.map_calls, 0);
}

TEST_F(MapTest, V12_RangesAreWidenedToWholeAtoms) {
  create();
  const Reservation made = reserve(4_KiB, FakeDriver::kCached).value();
  ASSERT_TRUE(backend->map(made.address, 4_KiB));
  using Range = std::pair<VkDeviceSize, VkDeviceSize>;
  ASSERT_TRUE(backend->flush(made.address + 70_B, 1_B));
  EXPECT_EQ(last(driver.flushed), Range(64, 64));
  ASSERT_TRUE(backend->flush(made.address + 63_B, 2_B));
  EXPECT_EQ(last(driver.flushed), Range(0, 128));
  ASSERT_TRUE(backend->flush(made.address + 64_B, 64_B));
  EXPECT_EQ(last(driver.flushed), Range(64, 64));
  ASSERT_TRUE(backend->flush(made.address + 4095_B, 1_B));
  EXPECT_EQ(last(driver.flushed), Range(4032, 64));
  ASSERT_TRUE(backend->invalidate(made.address + 1_B, 4_KiB - 1_B));
  EXPECT_EQ(last(driver.invalidated), Range(0, 4096));
  EXPECT_EQ(driver.flushed.size(), 4U);
  EXPECT_EQ(driver.invalidated.size(), 1U);
}

TEST_F(MapTest, V12_TheLastAtomMayEndWithTheObject) {
  driver.limits.nonCoherentAtomSize = 1024;
  create();
  const Reservation made = reserve(1_KiB + 256_B, FakeDriver::kCached).value();
  ASSERT_TRUE(backend->map(made.address, 1_KiB));
  ASSERT_TRUE(backend->flush(made.address + 1200_B, 10_B));
  EXPECT_EQ(last(driver.flushed), (std::pair<VkDeviceSize, VkDeviceSize>(1024, 256)));
}

TEST_F(MapTest, V12_EveryRangeOfASmallObject) {
  for (const VkDeviceSize atom : {1U, 64U, 256U, 1024U}) {
    driver.limits.nonCoherentAtomSize = atom;
    create();
    const Reservation made = reserve(1280_B, FakeDriver::kCached).value();
    ASSERT_TRUE(backend->map(made.address, 1280_B));
    for (std::uint64_t begin = 0; begin < 1280; begin += 7) {
      for (std::uint64_t size = 1; begin + size <= 1280; size += 31) {
        ASSERT_TRUE(backend->flush(made.address + Bytes{begin}, Bytes{size}));
        const auto [offset, length] = last(driver.flushed);
        ASSERT_LE(offset, begin);
        ASSERT_GE(offset + length, begin + size);
      }
    }
  }
}

TEST_F(MapTest, CoherentMemoryNeedsNoCall) {
  create();
  const Reservation made = reserve(4_KiB).value();
  ASSERT_TRUE(backend->map(made.address, 4_KiB));
  EXPECT_TRUE(backend->flush(made.address, 4_KiB));
  EXPECT_TRUE(backend->invalidate(made.address, 4_KiB));
  EXPECT_TRUE(driver.flushed.empty());
  EXPECT_TRUE(driver.invalidated.empty());
}

TEST_F(MapTest, V12_WhatIsNotMappedIsNotFlushed) {
  create();
  const Reservation made = reserve(4_KiB, FakeDriver::kCached).value();
  EXPECT_EQ(code(backend->flush(made.address, 1_B)), ErrorCode::wrong_state);
  EXPECT_EQ(code(backend->invalidate(made.address, 1_B)), ErrorCode::wrong_state);
  EXPECT_EQ(code(backend->flush(made.address, 0_B)), ErrorCode::invalid_size);
  EXPECT_EQ(code(backend->flush(made.address + 4095_B, 2_B)), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace vaspace::test
