// Blocks of small pages that become large ones, and those that do not. R7.
#include "compaction_fixture.hpp"

namespace vaspace::test {
namespace {

TEST_F(Compaction, FullBlocksOfSmallPagesArePromotedAndLooseOnesAreNot) {
  open({.size = 16_MiB, .large_first = false});
  std::vector<Thing> things;
  for (Bytes offset{}; offset < 4_MiB; offset += 64_KiB)
    things.push_back(put(offset, 64_KiB));
  for (Bytes offset = 4_MiB; offset < 6_MiB; offset += 64_KiB)
    things.push_back(put(offset, 4_KiB));
  EXPECT_EQ(space_->report().large_pages, 0U);
  const std::uint64_t mappings = space_->report().mappings;
  StepReport step = space_->promote({.pages = 1});
  EXPECT_EQ(step.promoted, 1U);
  EXPECT_FALSE(step.finished);
  step = space_->promote({});
  EXPECT_EQ(step.promoted, 1U);
  EXPECT_TRUE(step.finished);
  const PagedSpaceReport report = space_->report();
  EXPECT_EQ(report.large_pages, 2U);
  EXPECT_EQ(report.small_pages, 32U);
  EXPECT_LT(report.mappings, mappings);
  EXPECT_TRUE(all_intact(things));
  EXPECT_EQ(physical(), 6_MiB);
  std::printf("  %llu mappings of 64 KiB pages became %llu\n", (unsigned long long)mappings,
              (unsigned long long)report.mappings);
}

// It would undo what compaction has gained.
TEST_F(Compaction, ABlockWithASharedPageIsNotPromoted) {
  open({.size = 4_MiB, .large_first = false});
  put(0_B, 32_KiB);
  put(kSmall, kLarge - kSmall);
  put(kLarge + 32_KiB, 32_KiB);
  ASSERT_EQ(compact_all().meshed, 1U);
  const Bytes before = physical();
  const StepReport report = space_->promote({});
  EXPECT_TRUE(report.finished);
  EXPECT_EQ(report.promoted, 0U);
  EXPECT_EQ(physical(), before);
}

// Each driver call of it refused in turn: no memory is lost, nothing stays paused or guarded for good.
TEST_F(Compaction, WhateverPromotionIsRefusedNothingIsLost_R7) {
  int refused = 0;
  for (std::int64_t nth = 1;; ++nth) {
    ASSERT_LT(nth, 200);
    open({.size = 2_MiB, .large_first = false});
    put(0_B, kSmall);
    const Thing rest = put(kSmall, kLarge - kSmall);
    const Bytes before = space_->report().committed;
    faulty_->fail_any_at(nth, {ErrorCode::driver_error, 9});
    const StepReport report = space_->promote({});
    const bool hit = faulty_->refused() != 0;
    faulty_->stop_failing();
    EXPECT_TRUE(rest.intact());
    if (report.promoted == 0) {
      ++refused;
      EXPECT_EQ(report.refused, 1U) << nth;
      EXPECT_LE(space_->report().guarded, 1U) << nth << ": the one whose way back was refused";
      // What stayed staged or guarded is mended by the next step, which does the whole of it.
      EXPECT_LE(space_->report().committed, before + kLarge) << nth;
      StepReport again = space_->promote({});
      while (again.promoted == 0 && !again.finished)
        again = space_->promote({});
      if (again.promoted == 0) again = space_->promote({});
      EXPECT_EQ(again.promoted, 1U) << nth;
    }
    EXPECT_EQ(space_->report().guarded, 0U) << nth;
    (void)space_->trim(0_B);
    EXPECT_EQ(space_->report().committed, kLarge) << nth;
    EXPECT_TRUE(rest.intact());
    rest.fill();
    ASSERT_EQ(space_->validate(), nullptr) << nth;
    if (!hit) break;
  }
  EXPECT_GT(refused, 5);
}

}  // namespace
}  // namespace vaspace::test
