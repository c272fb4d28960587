#include "vaspace/va/page_pool.hpp"

#include <array>
#include <gtest/gtest.h>
#include <vector>

#include "vaspace/device/address_backend.hpp"
#include "vaspace/device/counting_backend.hpp"

#include "support/faulty_backend.hpp"
#include "support/host.hpp"

namespace vaspace {
namespace {

using test::Call;
using test::FaultyBackend;
using test::TestHost;

class PagePoolTest : public testing::Test {
 protected:
  static constexpr Bytes kPage = 64_KiB;
  static constexpr std::array<Bytes, 1> kPages{kPage};

  PagePoolTest() : device_(*AddressBackend::create({.physical_size = kPage * 100, .page_sizes = kPages})) {}

  [[nodiscard]] Bytes on_device() { return device_->budget(0)->usage; }
  [[nodiscard]] std::vector<PhysicalId> take(std::size_t count) {
    std::vector<PhysicalId> pages(count);
    EXPECT_TRUE(pool_.take(Address{1ULL << 40U}, pages));
    return pages;
  }

  HostObject<AddressBackend> device_;
  CountingBackend counting_{*device_};
  FaultyBackend faulty_{counting_};
  TestHost host_;
  PagePool pool_{faulty_, kPage, 0, host_.allocator()};
};

TEST_F(PagePoolTest, PooledPagesAreGivenBeforeNewOnes) {
  const auto pages = take(5);
  EXPECT_EQ(pool_.held(), 5U);
  pool_.give(pages, 3);
  EXPECT_EQ(pool_.pooled(), 3U);
  EXPECT_EQ(pool_.held(), 3U) << "what is not kept has gone back to the device";
  EXPECT_EQ(on_device(), kPage * 3);
  counting_.reset();
  const auto again = take(2);
  EXPECT_EQ(counting_.counts().create_physical, 0U);
  const auto more = take(3);
  EXPECT_EQ(counting_.counts().objects_created, 2U) << "one pooled, two new";
  EXPECT_EQ(pool_.held(), 5U);
  pool_.give(again, 0);
  pool_.give(more, 0);
  EXPECT_EQ(on_device(), Bytes{});
}

TEST_F(PagePoolTest, TrimKeepsWhatItIsTold) {
  const auto pages = take(10);
  pool_.give(pages, kUnlimited);
  EXPECT_EQ(pool_.pooled(), 10U);
  pool_.trim(4);
  EXPECT_EQ(pool_.pooled(), 4U);
  EXPECT_EQ(pool_.held(), 4U);
  EXPECT_EQ(on_device(), kPage * 4);
  pool_.trim(7);
  EXPECT_EQ(pool_.pooled(), 4U);
  pool_.trim(0);
  EXPECT_EQ(on_device(), Bytes{});
}

TEST_F(PagePoolTest, ThePoolsEndGivesEverythingBack) {
  {
    PagePool pool(*device_, kPage, 0, host_.allocator());
    std::vector<PhysicalId> pages(6);
    ASSERT_TRUE(pool.take({}, pages));
    pool.give(pages, kUnlimited);
  }
  EXPECT_EQ(on_device(), Bytes{});
}

// R7: all or none; what was pooled stays pooled.
TEST_F(PagePoolTest, R7_ATakeThatTheDeviceRefusesChangesNothing) {
  const auto pages = take(3);
  pool_.give(pages, kUnlimited);
  faulty_.fail_at(Call::create_physical, 1, {ErrorCode::out_of_device_memory, -2});
  std::vector<PhysicalId> out(5);
  const Result<void> taken = pool_.take({}, out);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error(), (Error{ErrorCode::out_of_device_memory, -2}));
  EXPECT_EQ(pool_.pooled(), 3U);
  EXPECT_EQ(pool_.held(), 3U);
  EXPECT_TRUE(pool_.take({}, out));
  EXPECT_EQ(pool_.held(), 5U);
  pool_.give(out, 0);
}

// R7: who looks at what it wanted after a refusal finds nothing there that is the pool's.
TEST_F(PagePoolTest, R7_ARefusedTakeLeavesNoPageInTheCallersHands) {
  const auto pages = take(3);
  pool_.give(pages, kUnlimited);
  faulty_.fail_at(Call::create_physical, 1, {ErrorCode::out_of_device_memory, -2});
  std::vector<PhysicalId> out(5);
  ASSERT_FALSE(pool_.take({}, out));
  for (const PhysicalId page : out)
    EXPECT_FALSE(page);
}

TEST_F(PagePoolTest, PooledAndNewPagesCanBeHadApart) {
  const auto pages = take(2);
  pool_.give(pages, kUnlimited);
  std::vector<PhysicalId> out(5);
  EXPECT_EQ(pool_.take_pooled(out), 2U);
  EXPECT_EQ(pool_.pooled(), 0U);
  ASSERT_TRUE(pool_.create({}, std::span(out).subspan(2)));
  EXPECT_EQ(pool_.held(), 2U) << "who keeps a budget counts them";
  pool_.count(3);
  EXPECT_EQ(pool_.held(), 5U);
  pool_.give(out, 0);
  EXPECT_EQ(on_device(), Bytes{});
}

// R7: a page that the device does not take back stays pooled and counted, and is offered again.
TEST_F(PagePoolTest, R7_RefusedPagesStayCountedAndAreOfferedAgain) {
  const auto pages = take(4);
  faulty_.fail_at(Call::destroy_physical, 1, {ErrorCode::driver_error, -9}, true);
  pool_.give(pages, 0);
  EXPECT_EQ(pool_.held(), 4U);
  EXPECT_EQ(pool_.pooled(), 4U);
  pool_.trim(0);
  EXPECT_EQ(pool_.held(), 4U) << "still refused";
  faulty_.stop_failing();
  pool_.trim(0);
  EXPECT_EQ(pool_.held(), 0U);
  EXPECT_EQ(on_device(), Bytes{});
}

TEST_F(PagePoolTest, R7_WhatIsRefusedTogetherIsTriedOneByOne) {
  const auto pages = take(4);
  faulty_.fail_at(Call::destroy_physical, 1, {ErrorCode::driver_error, -9});
  pool_.give(pages, 0);
  EXPECT_EQ(pool_.held(), 0U);
  EXPECT_EQ(on_device(), Bytes{});
}

TEST_F(PagePoolTest, R7_WithoutHostMemoryPagesGoBackToTheDevice) {
  const auto pages = take(4);
  host_.fail_forever(true);
  host_.fail_at(1);
  pool_.give(pages, kUnlimited);
  EXPECT_EQ(pool_.pooled(), 0U);
  EXPECT_EQ(pool_.held(), 0U);
  EXPECT_EQ(on_device(), Bytes{});
}

// A device that takes nothing back, and no host memory to remember by: still counted.
TEST_F(PagePoolTest, R7_ALostPageStaysCounted) {
  const auto pages = take(1);
  host_.fail_forever(true);
  host_.fail_at(1);
  faulty_.fail_at(Call::destroy_physical, 1, {ErrorCode::device_lost, -4}, true);
  pool_.give(pages, 0);
  EXPECT_EQ(pool_.held(), 1U);
  EXPECT_EQ(pool_.pooled(), 0U);
}

}  // namespace
}  // namespace vaspace
