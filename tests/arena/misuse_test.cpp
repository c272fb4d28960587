// R6: what a caller does wrong is told, once, and changes nothing.
#include <gtest/gtest.h>
#include <vector>

#include "support/arena_fixture.hpp"

namespace vaspace::test {
namespace {

class VaMisuse : public VaTest {
 protected:
  static constexpr Bytes kSizes[] = {100_B, 1500_B, 4_KiB, 100_KiB, 3_MiB};

  void SetUp() override {
    open({.shared_device = true});
    for (const Bytes size : kSizes)
      ASSERT_EQ(allocate(size), "");
  }
  void TearDown() override {
    ASSERT_EQ(driver_->check_contents(), "");
    ASSERT_EQ(driver_->free_all([](std::size_t) { return 0; }), "");
    VaTest::TearDown();
  }
  [[nodiscard]] Allocation take(Bytes size, Alignment alignment = {}) {
    const auto allocation = va().allocate({size, alignment, "taken", 1});
    EXPECT_TRUE(allocation);
    return *allocation;
  }
  // Nothing has changed: the driver compares everything.
  [[nodiscard]] std::string unchanged() { return driver_->apply({VaOpKind::find, 0, 0}); }

  // free() reports it once, with what try_free() answers.
  template <class Handle>
  void expect_misuse(const Handle& handle, std::uint64_t subject, ErrorCode code) {
    const Result<void> tried = va().try_free(handle);
    ASSERT_FALSE(tried);
    EXPECT_EQ(tried.error().code, code) << to_string(tried.error().code);
    auto& misuses = stage_->misuses();
    misuses.clear();
    va().free(handle);
    ASSERT_EQ(misuses.size(), 1U);
    EXPECT_EQ(misuses[0].code, code);
    EXPECT_EQ(misuses[0].subject, subject);
    const std::string function = misuses[0].function;
    EXPECT_EQ(function, VaTest::subject().arena ? "ArenaAllocator::free" : "DefaultAllocator::free");
    misuses.clear();
    EXPECT_EQ(unchanged(), "");
  }
  void expect_misuse(const Allocation& handle, ErrorCode code) {
    expect_misuse(handle, handle.id.bits(), code);
  }
  void expect_misuse(Address address, ErrorCode code) { expect_misuse(address, address.value, code); }
};

std::vector<Device> misuse_devices() {
  return {device_named("Address"), device_named("AddressPages"), device_named("AddressCommits"),
          device_named("Cpu64KiB")};
}
INSTANTIATE_TEST_SUITE_P(, VaMisuse,
                         testing::Combine(testing::ValuesIn(kSubjects), testing::ValuesIn(misuse_devices())),
                         name_of);

TEST_P(VaMisuse, R6_ADoubleFreeIsTold) {
  for (const Bytes size : kSizes) {
    const Allocation gone = take(size);
    va().free(gone);
    expect_misuse(gone, ErrorCode::stale_handle);
  }
}

TEST_P(VaMisuse, R6_AStaleHandleOfAReusedPlaceIsTold) {
  for (const Bytes size : kSizes) {
    const Allocation first = take(size);
    va().free(first);
    const Allocation second = take(size);
    EXPECT_EQ(second.address, first.address) << "the same place";
    const Result<void> freed = va().try_free(first);
    ASSERT_FALSE(freed);
    EXPECT_EQ(freed.error().code, ErrorCode::stale_handle);
    EXPECT_EQ(va().find(second.address)->name, "taken");
    va().free(second);
  }
}

TEST_P(VaMisuse, R6_AHandleIntoAReservationThatHasGoneIsTold) {
  const auto gone = driver_->live();
  ASSERT_EQ(driver_->free_all([](std::size_t) { return 0; }), "");
  for (const auto& [address, live] : gone) {
    EXPECT_FALSE(va().try_free(live.allocation));
    EXPECT_EQ(va().try_free(Address{address}).error().code, ErrorCode::unknown_address);
  }
  for (const Bytes size : kSizes)
    ASSERT_EQ(allocate(size), "");
  for (const auto& [address, live] : gone) {
    EXPECT_FALSE(va().try_free(live.allocation));
    EXPECT_EQ(unchanged(), "");
  }
}

TEST_P(VaMisuse, R6_NobodysHandleIsTold) {
  expect_misuse(Allocation{}, ErrorCode::unknown_handle);
  for (std::uint32_t arena = 0; arena < 16; ++arena) {
    const Allocation nobodys{Address{1}, 1_B, {arena << 28U | 77, 0x12345678}};
    const Result<void> freed = va().try_free(nobodys);
    ASSERT_FALSE(freed);
    EXPECT_EQ(freed.error().code, ErrorCode::unknown_handle);
  }
}

TEST_P(VaMisuse, R6_ALiveIdAtAnotherAddressIsTold) {
  Allocation wrong = driver_->live().begin()->second.allocation;
  wrong.address += 1_B;
  expect_misuse(wrong, ErrorCode::unknown_handle);
}

// Of another allocator with the same history: on the same backend, and on another one, where even the
// addresses are the same.
TEST_P(VaMisuse, R6_AForeignHandleIsTold) {
  ArenaConfig config;
  const auto elsewhere = device().open();
  for (Backend* backend : {static_cast<Backend*>(&stage_->ledger()), elsewhere.get()}) {
    auto other = VaTest::subject().make(*backend, config);
    if (!other) continue;  // the device is one allocator's already, where reserving commits
    std::vector<Allocation> theirs;
    for (const Bytes size : kSizes) {
      const auto allocation = (*other)->allocate({size, {}, {}, 0});
      ASSERT_TRUE(allocation);
      theirs.push_back(*allocation);
    }
    for (const Allocation& foreign : theirs) {
      const Result<void> freed = va().try_free(foreign);
      ASSERT_FALSE(freed);
      EXPECT_EQ(freed.error().code, ErrorCode::unknown_handle);
      stage_->misuses().clear();
      va().free(foreign);
      EXPECT_EQ(stage_->misuses().size(), 1U);
      EXPECT_EQ(unchanged(), "");
    }
    if (backend != elsewhere.get()) {
      for (const Allocation& foreign : theirs)
        expect_misuse(foreign.address, ErrorCode::unknown_address);
    }
    for (const Allocation& mine : theirs)
      (*other)->free(mine);
  }
}

TEST_P(VaMisuse, R6_UnknownInteriorAndFreeAddressesAreTold) {
  expect_misuse(Address{}, ErrorCode::unknown_address);
  expect_misuse(Address{12345}, ErrorCode::unknown_address);
  expect_misuse(Address{~std::uint64_t{0}}, ErrorCode::unknown_address);
  for (const Bytes size : kSizes) {
    const Allocation mine = take(size);
    va().free(mine.address);
    expect_misuse(mine.address, ErrorCode::unknown_address);
  }
  for (const auto& [address, live] : driver_->live()) {
    expect_misuse(Address{address + 1}, ErrorCode::interior_address);
    expect_misuse(Address{address + live.allocation.size.value - 1}, ErrorCode::interior_address);
  }
}

TEST_P(VaMisuse, R6_FindTellsWhatIsNotThere) {
  EXPECT_EQ(va().find(Address{64}).error().code, ErrorCode::unknown_address);
  const auto& [address, live] = *driver_->live().begin();
  EXPECT_EQ(va().find(Address{address + 1}).error().code, ErrorCode::interior_address);
}

// With no handler, a misuse says what it is and aborts.
TEST(VaMisuseDeathTest, R6_TheDefaultHandlerAborts) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  for (const Subject& subject : kSubjects) {
    const auto backend = device_named("Address").open();
    auto va = subject.make(*backend, {});
    ASSERT_TRUE(va);
    const auto allocation = (*va)->allocate({100_B, {}, {}, 0});
    ASSERT_TRUE(allocation);
    (*va)->free(*allocation);
    EXPECT_DEATH((*va)->free(*allocation), "stale_handle");
    EXPECT_DEATH((*va)->free(allocation->address), "unknown_address");
  }
}

}  // namespace
}  // namespace vaspace::test
