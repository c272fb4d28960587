// Little devices: of memory, of mappings, of reservations.
#include <gtest/gtest.h>
#include <vector>

#include "support/arena_fixture.hpp"

namespace vaspace::test {
namespace {

using SmallDevice = VaTest;
INSTANTIATE_TEST_SUITE_P(, SmallDevice,
                         testing::Combine(testing::ValuesIn(kSubjects), testing::ValuesIn(kDevices)),
                         name_of);

// What does not fit an arena's usual reservation is served all the same.
TEST_P(SmallDevice, R3_TwentyAndSixtyMebibytesOn64AreServed) {
  for (const Bytes size : {20_MiB, 60_MiB, 64_MiB}) {
    if (size == 64_MiB && device().memory) continue;  // nothing new, and slow
    open_on(device().of_size(64_MiB));
    ASSERT_EQ(allocate(size), "");
    ASSERT_EQ(driver_->live().size(), 1U) << size.value << ": " << to_string(driver_->last_error().code);
    ASSERT_EQ(driver_->free_all([](std::size_t) { return 0; }), "");
    stage_->close();
  }
}

TEST_P(SmallDevice, R3_TwentyMebibytesAreServedBesideSmallOnes) {
  open_on(device().of_size(64_MiB));
  for (const Bytes size : {100_B, 1_KiB, 2_KiB, 4_KiB, 64_KiB, 2_MiB, 20_MiB, 20_MiB}) {
    ASSERT_EQ(allocate(size), "");
    ASSERT_EQ(driver_->refusals(), 0U) << size.value << ": " << to_string(driver_->last_error().code);
  }
  ASSERT_EQ(driver_->free_all([](std::size_t n) { return n / 2; }), "");
}

// What one size has used up, another gets once it is free, without a flush of the caller's.
TEST_P(SmallDevice, R3_MemoryGoesFromOneSizeToAnother) {
  open_on(device().of_size(64_MiB));
  for (const Bytes size : {1_MiB, 40_KiB, 10_MiB, 300_B, 60_MiB, 3_KiB}) {
    const std::uint64_t before = driver_->refusals();
    for (int i = 0; i < 60 && driver_->refusals() == before; ++i)
      ASSERT_EQ(allocate(size), "");
    ASSERT_GE(driver_->live().size(), 1U) << size.value << ": " << to_string(driver_->last_error().code);
    while (!driver_->live().empty())
      ASSERT_EQ(driver_->apply({VaOpKind::free, 0, 0}), "");
  }
}

// R7: a used-up mapping budget is a typed error that changes nothing, and is over once something is free.
TEST(FewMappings, R7_AUsedUpBudgetIsATypedErrorAndRecovers) {
  for (const Subject& subject : kSubjects) {
    Device device = device_named("Cpu64KiB");
    device.make = [](Bytes size) { return cpu_device({.page_sizes = kPages64, .max_mappings = 24}, size); };
    Stage stage(subject, device);
    ASSERT_TRUE(stage.open());
    VaDriver driver(stage);
    const auto allocate = [&] { return driver.apply({VaOpKind::allocate, (64_KiB).value, 16}); };
    // Every second page is given back, so that no two neighbours merge.
    for (int round = 0; round < 40 && driver.refusals() == 0; ++round) {
      for (int i = 0; i < 4; ++i)
        ASSERT_EQ(allocate(), "");
      if (driver.live().size() < 3) continue;
      ASSERT_EQ(driver.apply({VaOpKind::free, driver.live().size() - 2, 0}), "");
      ASSERT_EQ(driver.apply({VaOpKind::flush}), "");
    }
    // Whatever happened above, larger ones at other places run into the limit sooner or later.
    for (int i = 0; i < 200 && driver.refusals() == 0; ++i) {
      ASSERT_EQ(driver.apply(
                    {VaOpKind::allocate, (64_KiB).value << (i % 6), static_cast<std::uint64_t>(22 - i % 6)}),
                "");
    }
    ASSERT_NE(driver.refusals(), 0U) << subject;
    EXPECT_EQ(driver.last_error().code, ErrorCode::out_of_mappings) << subject;
    ASSERT_EQ(driver.check_contents(), "");
    ASSERT_EQ(driver.free_all([](std::size_t) { return 0; }), "");
    ASSERT_EQ(allocate(), "");
    EXPECT_EQ(driver.live().size(), 1U) << "recovered";
    ASSERT_EQ(driver.free_all([](std::size_t) { return 0; }), "");
    stage.close();
    EXPECT_EQ(stage.left(), "") << subject;
  }
}

// R7, with the driver's own reason to refuse: unbinding the middle of a merged run takes two mappings more.
TEST(FewMappings, R7_AnUnbindThatTheBudgetForbidsIsQueuedAndTriedAgain) {
  for (const Subject& subject : kSubjects) {
    Device device = device_named("Cpu64KiB");
    device.make = [](Bytes size) { return cpu_device({.page_sizes = kPages64, .max_mappings = 4}, size); };
    Stage stage(subject, device);
    ASSERT_TRUE(stage.open());
    std::vector<Allocation> made;
    for (int i = 0; i < 9; ++i) {
      const auto allocation = stage.va().allocate({64_KiB, {}, {}, 0});
      ASSERT_TRUE(allocation) << to_string(allocation.error().code);
      made.push_back(*allocation);
      write_pattern(made.back());
    }
    const Bytes full = stage.va().committed();
    stage.va().free(made[2]);
    stage.va().free(made[4]);
    stage.va().free(made[6]);
    stage.va().flush();
    EXPECT_EQ(stage.va().validate(), nullptr);
    const AllocatorReport report = stage.va().report();
    EXPECT_GT(report.refused_by_driver, 0U) << subject;
    EXPECT_GT(report.retained, Bytes{}) << "bound, and counted";
    EXPECT_EQ(report.total.committed, full - 3 * 64_KiB + report.retained);
    EXPECT_EQ(stage.tally().unbinds_refused(), report.refused_by_driver);
    // With its neighbours gone it is no middle any more.
    for (const int i : {0, 1, 3, 5, 7}) {
      EXPECT_TRUE(holds_pattern(made[static_cast<std::size_t>(i)]));
      stage.va().free(made[static_cast<std::size_t>(i)]);
    }
    // Each goes once its neighbour has.
    for (int i = 0; i < 9; ++i)
      stage.va().flush();
    EXPECT_EQ(stage.va().report().retained, Bytes{}) << subject;
    EXPECT_EQ(stage.va().committed(), 64_KiB);
    EXPECT_TRUE(holds_pattern(made[8]));
    stage.va().free(made[8]);
    stage.close();
    EXPECT_EQ(stage.left(), "") << subject;
  }
}

// A device that takes few reservations: typed, and over once one is given back.
TEST(FewReservations, R7_ADeviceThatRefusesReservationsIsATypedErrorAndRecovers) {
  for (const Subject& subject : {kSubjects[0], kSubjects[1]}) {
    for (const bool commits : {false, true}) {
      Device device = device_named(commits ? "AddressCommits" : "AddressPages");
      device.make = commits ? [](Bytes size) {
        return owned(AddressBackend::create(
            {.physical_size = size, .reserve_commits = true, .max_reservations = 2}));
      } : [](Bytes size) {
        return owned(
            AddressBackend::create({.physical_size = size, .page_sizes = kPages64, .max_reservations = 2}));
      };
      Stage stage(subject, device);
      ASSERT_TRUE(stage.open());
      std::vector<Allocation> made;
      Error error{};
      for (const Bytes size : {100_B, 1_MiB, 600_B, 3_MiB, 40_MiB, 50_MiB}) {
        const Bytes reserved = stage.va().reserved();
        const auto allocation = stage.va().allocate({size, {}, {}, 0});
        ASSERT_EQ(stage.va().validate(), nullptr);
        if (allocation) {
          made.push_back(*allocation);
          continue;
        }
        error = allocation.error();
        EXPECT_LE(stage.va().reserved(), reserved);
      }
      EXPECT_EQ(error.code, ErrorCode::out_of_address_space) << subject << commits;
      EXPECT_GE(made.size(), 2U);
      for (const Allocation& allocation : made)
        stage.va().free(allocation);
      for (const Bytes size : {40_MiB, 600_B}) {
        const auto allocation = stage.va().allocate({size, {}, {}, 0});
        ASSERT_TRUE(allocation) << "what is empty makes room: " << to_string(allocation.error().code);
        stage.va().free(*allocation);
      }
      stage.close();
      EXPECT_EQ(stage.left(), "");
    }
  }
}

// What reservations cannot be is said at creation, and not by every allocation.
TEST(Traits, ThatTheDeviceLacksAreRefusedAtCreation) {
  const auto commits = device_named("AddressCommits").open();
  const auto pages = device_named("AddressPages").open();
  EXPECT_EQ(ArenaAllocator::create(*commits, {.traits = {.device_address = true}}).error().code,
            ErrorCode::not_supported);
  EXPECT_EQ(ArenaAllocator::create(*commits, {.traits = {.exportable = true}}).error().code,
            ErrorCode::not_supported);
  EXPECT_TRUE(ArenaAllocator::create(*commits, {.traits = {.priority = 1}}));
  // V8: what is cut up for many is no single resource's.
  EXPECT_EQ(ArenaAllocator::create(*commits, {.traits = {.dedicated = MemoryTraits::Dedicated::image}})
                .error()
                .code,
            ErrorCode::invalid_configuration);
  // Where reserving takes no memory they do not matter.
  auto arena = ArenaAllocator::create(*pages, {.traits = {.device_address = true}});
  ASSERT_TRUE(arena);
  const auto allocation = arena->allocate({1_KiB, {}, {}, 0});
  ASSERT_TRUE(allocation);
  arena->free(*allocation);
}

// With a first block of the caller's, what is held follows what lives.
TEST(FirstBlock, IsAllThatLittleTakesAndFurtherOnesFollowWhatIsHeld) {
  auto device = std::move(*AddressBackend::create({.physical_size = 4_GiB, .reserve_commits = true}));
  for (const Bytes wrong : {1_KiB, 96_KiB})
    EXPECT_EQ(ArenaAllocator::create(*device, {.first_block = wrong}).error().code,
              ErrorCode::invalid_configuration);
  auto va =
      ArenaAllocator::create(*device, {.first_block = 256_KiB, .retain = {}, .retain_percent = 0}).value();
  std::vector<Allocation> live;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    live.push_back(va.allocate({Bytes{20'000 + i % 7 * 1000}, {}, {}, 0}).value());
    const std::uint64_t held = va.committed().value;
    if (i == 0) {
      EXPECT_EQ(held, (256_KiB).value);
    }
    ASSERT_LE(held, 2 * va.live().value + (256_KiB).value) << i;
  }
  EXPECT_EQ(va.validate(), nullptr);
  for (const Allocation& allocation : live)
    va.free(allocation);
  va.flush();
  EXPECT_EQ(va.committed(), 0_B);
}

}  // namespace
}  // namespace vaspace::test
