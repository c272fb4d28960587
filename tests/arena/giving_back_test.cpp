// Reservations and pages: taken on demand, given back by collect and flush and by nothing else (DESIGN,
// decision 9).
#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "support/arena_fixture.hpp"
#include "support/arena_scale.hpp"
#include "support/backend_memory.hpp"

namespace vaspace::test {
namespace {

class GivingBack : public VaTest {
 protected:
  [[nodiscard]] std::vector<Allocation> fill(std::size_t count, Bytes size) {
    std::vector<Allocation> made;
    for (std::size_t i = 0; i < count; ++i) {
      const auto allocation = va().allocate({size, {}, {}, 0});
      EXPECT_TRUE(allocation);
      if (allocation) made.push_back(*allocation);
    }
    return made;
  }
  void free(const std::vector<Allocation>& allocations) {
    for (const Allocation& allocation : allocations)
      va().free(allocation);
  }
  [[nodiscard]] std::uint64_t created() { return stage_->counting().counts().objects_created; }
  [[nodiscard]] std::uint64_t reservations() { return va().report().total.reservations; }
};

std::vector<Subject> arenas() {
  return {kSubjects[0], kSubjects[1]};
}
std::vector<Device> paged_devices() {
  return {device_named("AddressPages"), device_named("Cpu64KiB"), device_named("CpuLikeCuda")};
}

using ArenaGivingBack = GivingBack;
INSTANTIATE_TEST_SUITE_P(, ArenaGivingBack,
                         testing::Combine(testing::ValuesIn(arenas()), testing::ValuesIn(kDevices)), name_of);
// Where they are not cut out of blocks, reservations are of the size that the table says.
std::vector<Device> without_blocks() {
  std::vector<Device> devices;
  for (const Device& device : kDevices)
    if (!device.commits) devices.push_back(device);
  return devices;
}
using WindowsGivingBack = GivingBack;
INSTANTIATE_TEST_SUITE_P(, WindowsGivingBack,
                         testing::Combine(testing::ValuesIn(arenas()), testing::ValuesIn(without_blocks())),
                         name_of);
using PagesGivingBack = GivingBack;
INSTANTIATE_TEST_SUITE_P(, PagesGivingBack,
                         testing::Combine(testing::ValuesIn(kSubjects), testing::ValuesIn(paged_devices())),
                         name_of);

TEST_P(ArenaGivingBack, ReservationsAreMadeOnDemandAndGivenBackByCollectOnly) {
  open({.arena = {.earn = {}}});
  EXPECT_EQ(stage_->counting().counts(), BackendCounts{}) << "creating an allocator calls no driver";
  EXPECT_EQ(reservations(), 0U);
  const auto small = fill(1, 100_B);
  EXPECT_EQ(reservations(), 1U);
  const auto again = fill(100, 100_B);
  EXPECT_EQ(reservations(), 1U) << "the first one has room";
  const auto large = fill(1, 1_MiB);
  EXPECT_EQ(reservations(), 2U);
  free(large);
  EXPECT_EQ(reservations(), 2U) << "free gives nothing back";
  va().collect();
  EXPECT_EQ(reservations(), 1U);
  free(again);
  va().collect();
  EXPECT_EQ(reservations(), 1U) << "something lives in it";
  free(small);
  va().collect();
  EXPECT_EQ(reservations(), 0U);
  va().flush();
  EXPECT_EQ(stage_->ledger().reservations(), 0);
}

TEST_P(WindowsGivingBack, AFullReservationIsFollowedByAnother) {
  static constexpr SizeClass kTable[] = {{256_B, 2_MiB, Strategy::slab}, {kMaxBytes, 2_MiB}};
  open({.arena = {.classes = kTable, .earn = {}}});
  const auto first = fill((2_MiB) / (256_B), 256_B);
  EXPECT_EQ(reservations(), 1U);
  const auto second = fill(1, 256_B);
  EXPECT_EQ(reservations(), 2U);
  const auto objects = fill(9, 512_KiB);
  EXPECT_GE(reservations(), 4U);
  free(first);
  va().collect();
  va().collect();  // finds that no slot went through the thread's magazine since the last one
  EXPECT_EQ(va().report().arenas[0].reservations, 1U) << "the empty one is not the last";
  free(second);
  free(objects);
  va().collect();
  EXPECT_EQ(reservations(), 0U);
}

// R7: neither the driver nor the host allocator hears of a free, however much it frees.
TEST_P(PagesGivingBack, R7_FreeCallsNeitherDriverNorHost) {
  open();
  auto made = fill(20, 3_MiB);
  const auto small = fill(1000, 300_B);
  made.insert(made.end(), small.begin(), small.end());
  const BackendCounts calls = stage_->counting().counts();
  const std::int64_t requests = stage_->host().requests();
  for (std::size_t i = 0; i < made.size(); ++i)
    i % 2 == 0 ? va().free(made[i]) : va().free(made[i].address);
  EXPECT_EQ(stage_->counting().counts(), calls);
  EXPECT_EQ(stage_->host().requests(), requests);
}

// What is retained is at most the fixed rest and one percent of live, whatever was freed.
TEST_P(PagesGivingBack, CollectRetainsNoMoreThanItMay) {
  for (const Bytes retain : {0_B, 2_MiB, 8_MiB}) {
    open({.arena = {.earn = {}, .retain = retain, .collect_step = 1_GiB}});
    const auto stays = fill(50, 1_MiB);
    free(fill(100, 1_MiB));
    va().collect();
    const AllocatorReport report = va().report();
    EXPECT_LE(report.retained, retain + Bytes{report.total.live.value / 100});
    EXPECT_GE(report.retained + device().page, retain) << "and not less: it is wanted back soon";
    EXPECT_EQ(report.total.committed, 50_MiB + report.retained);
    free(stays);
    va().collect();
    EXPECT_LE(va().report().retained, retain);
    stage_->close();
  }
}

TEST_P(PagesGivingBack, RetainedPagesAreUsedBeforeTheDeviceIsAsked) {
  open({.arena = {.retain = 8_MiB}});
  const auto stays = fill(1, 1_MiB);
  free(fill(6, 1_MiB));
  va().collect();
  EXPECT_GE(va().report().retained, 6_MiB);
  const std::uint64_t before = created();
  const auto again = fill(6, 1_MiB);
  EXPECT_EQ(created(), before) << "the same sizes again";
  free(again);
  free(stays);
}

// Even where what comes next goes elsewhere.
TEST_P(PagesGivingBack, RetainedPagesMoveToWhereTheyAreNeeded) {
  open({.arena = {.retain = 16_MiB}});
  const auto stays = fill(1, 1_MiB);
  free(fill(8, 1_MiB));
  va().collect();
  ASSERT_GE(va().report().retained, 8_MiB);
  const std::uint64_t before = created();
  const auto elsewhere = fill(1, 6_MiB);  // of another size class
  EXPECT_EQ(created(), before);
  EXPECT_EQ(driver_->apply({VaOpKind::find, 0, 0}).find("validate"), std::string::npos);
  free(elsewhere);
  free(stays);
}

// A collect is a bounded step: so many bytes of pages and no more, and the next goes on.
TEST_P(PagesGivingBack, CollectGivesBackNoMoreThanItsStep) {
  const Bytes step = 8_MiB;
  open({.arena = {.retain = {}, .retain_percent = 0, .collect_step = step}});
  const auto large = fill(1, 31_MiB);
  const auto stays = fill(1, 1_MiB);
  const auto many = fill(30, 1_MiB);
  free(large);
  free(many);
  std::uint64_t unbound = stage_->counting().counts().unbound_bytes;
  for (int i = 0; i < 20; ++i) {
    va().collect();
    const std::uint64_t now = stage_->counting().counts().unbound_bytes;
    EXPECT_LE(now - unbound, step.value) << "collect " << i;
    unbound = now;
    ASSERT_EQ(va().validate(), nullptr);
  }
  EXPECT_EQ(va().report().retained, Bytes{});
  if (subject().arena) {
    EXPECT_EQ(reservations(), 1U);
  }
  free(stays);
}

TEST_P(PagesGivingBack, FlushLeavesNoPageWithoutALiveByte) {
  open();
  std::mt19937_64 random(5);
  for (int i = 0; i < scaled(300); ++i)
    ASSERT_EQ(driver_->apply({VaOpKind::allocate, 1 + random() % (200_KiB).value, 0}), "");
  for (int i = 0; i < scaled(200); ++i)
    ASSERT_EQ(driver_->apply({VaOpKind::free, random(), 0}), "");
  ASSERT_EQ(driver_->apply({VaOpKind::flush}), "");
  EXPECT_EQ(va().committed(), driver_->touched());
  EXPECT_EQ(va().report().retained, Bytes{});
  ASSERT_EQ(driver_->check_contents(), "");
  ASSERT_EQ(driver_->free_all([](std::size_t) { return 0; }), "");
}

// The OS is asked, not the library.
TEST(PhysicalMemory, FallsAfterFlush) {
  for (const Subject& subject : kSubjects) {
    Stage stage(subject, device_named("Cpu64KiB"));
    ASSERT_TRUE(stage.open());
    const Bytes before = physical_in_heap_files();
    std::vector<Allocation> made;
    for (int i = 0; i < 32; ++i) {
      made.push_back(*stage.va().allocate({1_MiB, {}, {}, 0}));
      write_pattern(made.back());
    }
    const Bytes full = physical_in_heap_files();
    EXPECT_GE(full, before + 32_MiB);
    EXPECT_EQ(stage.va().report().physical, full);
    for (std::size_t i = 0; i < made.size(); i += 2)
      stage.va().free(made[i]);
    EXPECT_EQ(physical_in_heap_files(), full) << "free gives nothing back";
    stage.va().flush();
    EXPECT_EQ(physical_in_heap_files(), full - 16_MiB);
    EXPECT_EQ(stage.va().committed(), full - 16_MiB);
    for (std::size_t i = 1; i < made.size(); i += 2) {
      EXPECT_TRUE(holds_pattern(made[i]));
      stage.va().free(made[i].address);
    }
    stage.va().flush();
    EXPECT_EQ(physical_in_heap_files(), before);
    stage.close();
    EXPECT_EQ(stage.left(), "");
  }
}

}  // namespace
}  // namespace vaspace::test
