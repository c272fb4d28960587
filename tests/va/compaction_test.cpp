// Compaction that keeps every address, on memory that is really measured: what it must reach. R9.
#include <atomic>
#include <cstdio>
#include <thread>

#include "compaction_fixture.hpp"

namespace vaspace::test {
namespace {

TEST_F(Compaction, WithoutAliasingPhysicalFallsToTheFloorOfTheSmallestPage) {
  open({.size = churned()}, {.aliasing = false});
  const std::vector<Thing> things = churn(30);
  const Bytes live = bytes_of(things);
  const Bytes before = physical();
  const Bytes floor = space_->floor(kSmall);
  const StepReport done = compact_all();
  (void)space_->trim(Bytes{});
  std::printf(
      "  live %.1f MiB; physical %.1f (%.2f x live) -> %.1f MiB (%.2f x live), floor(64 KiB) %.1f: %.3f x\n",
      mib(live), mib(before), ratio(before, live), mib(physical()), ratio(physical(), live), mib(floor),
      ratio(physical(), floor));
  EXPECT_TRUE(all_intact(things));
  EXPECT_LE(ratio(physical(), floor), 1.02);
  EXPECT_GE(ratio(before, live), 3.0) << "there was something to do";
  EXPECT_EQ(done.meshed, 0U);
  EXPECT_EQ(done.refused + done.postponed, 0U);
  EXPECT_EQ(space_->report().large_pages, 0U);
  EXPECT_EQ(space_->validate(), nullptr);
}

TEST_F(Compaction, WithAliasingManyPagesShareOne) {
  open({.size = churned()});
  const std::vector<Thing> things = churn(30);
  const Bytes live = bytes_of(things);
  const Bytes before = physical();
  const StepReport done = compact_all();
  (void)space_->trim(Bytes{});
  const PagedSpaceReport report = space_->report();
  std::printf(
      "  live %.1f MiB; physical %.1f (%.2f x live) -> %.1f MiB (%.3f x live); %llu pages demoted, %llu "
      "meshed, "
      "%.1f MiB copied\n",
      mib(live), mib(before), ratio(before, live), mib(physical()), ratio(physical(), live),
      (unsigned long long)done.demoted, (unsigned long long)done.meshed, mib(done.copied));
  EXPECT_TRUE(all_intact(things));
  EXPECT_LE(ratio(physical(), live), 1.20);
  EXPECT_GT(done.meshed, done.demoted / 3);
  EXPECT_GT(report.meshed_pages, done.meshed);
  EXPECT_EQ(space_->validate(), nullptr);
  EXPECT_EQ(compact_all().pages(), 0U) << "there is nothing left to do";
}

// Whatever the driver can and cannot do, nothing is lost, and what can be reached is.
TEST_F(Compaction, OnEverySetOfCapabilities) {
  for (unsigned set = 0; set < 32; ++set) {
    cpu::BackendConfig device;
    device.partial_unbind = (set & 1U) != 0;
    device.physical_offset = (set & 2U) != 0;
    device.aliasing = (set & 4U) != 0;
    device.replace = (set & 8U) != 0;
    device.bind_latency_ns = (set & 16U) != 0 ? 20'000 : 0;
    open({.size = 4_MiB}, device);
    std::vector<Thing> things = churn(30);
    // Where a bind is replaced in one step, who reads meanwhile never meets a hole.
    const bool readers =
        device.replace && (device.partial_unbind || (device.physical_offset && device.aliasing));
    std::atomic<bool> stop{!readers};
    std::atomic<bool> wrong{false};
    std::thread reader([&] {
      while (!stop.load())
        if (!all_intact(things)) wrong = true;
    });
    EXPECT_EQ(space_->can_demote(), device.partial_unbind || device.physical_offset);
    EXPECT_EQ(space_->can_mesh(), device.aliasing);
    const StepReport done = compact_all();
    EXPECT_EQ(done.refused, 0U) << set;
    (void)space_->trim(Bytes{});
    stop = true;
    reader.join();
    EXPECT_FALSE(wrong.load()) << set;
    ASSERT_TRUE(all_intact(things)) << set;
    ASSERT_STREQ(space_->validate(), nullptr) << set;
    if (!space_->can_demote()) {
      EXPECT_EQ(physical(), space_->floor(kLarge)) << set;
    } else if (!device.aliasing) {
      EXPECT_EQ(physical(), space_->floor(kSmall)) << set;
    } else {
      EXPECT_LE(ratio(physical(), bytes_of(things)), 1.6) << set;  // two large pages are few to choose from
    }
    for (Thing& t : things) {
      ++t.seed;
      t.fill();
    }
    ASSERT_TRUE(all_intact(things)) << set;
  }
}

// One page size and no sharing: nothing but empty pages can go back.
TEST_F(Compaction, WithOnePageSizeAndNoAliasingOnlyEmptyPagesGo) {
  const Bytes sizes[] = {2_MiB};
  open({.size = 64_MiB}, {.page_sizes = sizes, .aliasing = false});
  const std::vector<Thing> things = churn(30);
  EXPECT_FALSE(space_->can_demote() || space_->can_mesh());
  EXPECT_EQ(compact_all().pages(), 0U);
  (void)space_->trim(Bytes{});
  EXPECT_EQ(physical(), space_->floor(kLarge));
  EXPECT_TRUE(all_intact(things));
}

TEST_F(Compaction, EveryWriteAfterItReachesItsOwnObjectOnly) {
  open({.size = 16_MiB});
  std::vector<Thing> things = churn(30);
  (void)compact_all();
  for (std::size_t i = 0; i < things.size(); i += 2) {
    things[i].seed += 1'000'000;
    things[i].fill();
  }
  EXPECT_TRUE(all_intact(things));
}

TEST_F(Compaction, WhatIsPutBesideSharedPagesGetsPagesOfItsOwn_R1) {
  open({.size = 8_MiB});
  std::vector<Thing> things = churn(30);
  (void)compact_all();
  ASSERT_GT(space_->report().meshed_pages, 0U);
  // Every hole of the space is filled again, in pieces of 4 KiB.
  const std::size_t old = things.size();
  for (Bytes offset{}; offset < 8_MiB; offset += 4_KiB) {
    const Thing more = thing(offset, 4_KiB);
    const Result<void> acquired = space_->acquire(more.address, more.size);
    if (!acquired) {
      ASSERT_EQ(acquired.error().code, ErrorCode::wrong_state) << "some of it is live";
      continue;
    }
    more.fill();
    things.push_back(more);
  }
  EXPECT_GT(things.size(), old + 200);
  EXPECT_TRUE(all_intact(things));
  ASSERT_EQ(space_->validate(), nullptr);
}

// Two pages that share one, freed, still share it: what is put over both must not be in one place twice.
TEST_F(Compaction, WhatIsPutOverTwoPagesThatShareGetsTwo_R1) {
  open({.size = 4_MiB});
  const Thing low = put(64_KiB, 8_KiB);
  const Thing high = put(160_KiB, 8_KiB);
  (void)compact_all();
  ASSERT_EQ(space_->report().meshed_pages, 2U);
  drop(low);
  drop(high);
  const Thing both = put(64_KiB, 128_KiB);
  EXPECT_TRUE(both.intact());
  EXPECT_EQ(space_->report().meshed_pages, 0U);
  ASSERT_STREQ(space_->validate(), nullptr);
}

TEST_F(Compaction, TheSameStepsDoTheSame_R9) {
  std::vector<std::uint64_t> first;
  for (int run = 0; run < 2; ++run) {
    open({.size = 8_MiB});
    const std::vector<Thing> things = churn(30);
    std::vector<std::uint64_t> now;
    for (bool finished = false; !finished;) {
      const StepReport step = space_->compact({.pages = 7});
      finished = step.finished;
      now.insert(now.end(), {step.demoted, step.dropped, step.meshed, step.copied.value, space_->measure()});
    }
    if (run == 0) first = now;
    EXPECT_EQ(now, first);
  }
}

}  // namespace
}  // namespace vaspace::test
