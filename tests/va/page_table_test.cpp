// Which pages of an offset space are bound, and in whose hands they are meanwhile. R7, T2.
#include "page_table_fixture.hpp"

namespace vaspace::test {
namespace {

TEST_P(PageTableTest, WhatIsBoundIsTouchedWhollyOrNotAtAll) {
  settle(0, 2);
  settle(3, 1);
  release(0, 2);
  ASSERT_EQ(table_.empty(), 2U);
  EXPECT_FALSE(table_.touch_bound(at(0), kPage * 4)) << "page 2 is not bound";
  EXPECT_FALSE(table_.touch_bound(at(200), kPage));
  EXPECT_EQ(table_.empty(), 2U);
  EXPECT_TRUE(table_.touch_bound(at(0), kPage * 2));
  EXPECT_TRUE(table_.touch_bound(at(3), 4_KiB, 5)) << "five ranges in one page";
  EXPECT_EQ(table_.empty(), 0U);
  for (std::uint64_t i = 0; i < 5; ++i)
    table_.release(at(3) + 4_KiB * i, 4_KiB);
  EXPECT_EQ(table_.empty(), 0U) << "the first is there still";
  release(3);
  release(0, 2);
  EXPECT_EQ(table_.empty(), 3U);
  table_.detach(batch_, 64);
  EXPECT_EQ(pages(), (std::vector<std::uint32_t>{0, 1, 3}));
}

TEST_P(PageTableTest, ARangeTouchesEveryPageThatItReachesInto) {
  EXPECT_EQ(table_.touch(at(2) + kPage - 1_B, 2_B), Touch::commit);
  ASSERT_EQ(table_.begin_bind(at(2), kPage * 2, batch_, waited_), Step::bind);
  EXPECT_EQ(pages(), (std::vector<std::uint32_t>{2, 3}));
  EXPECT_EQ(batch_.addresses[0], kHome + kPage * 2);
  EXPECT_EQ(batch_.addresses[1], kHome + kPage * 3);
}

TEST_P(PageTableTest, APageIsBoundOnceAndReadyForTheSecondRange) {
  settle(4);
  EXPECT_EQ(table_.bound(), 1U);
  EXPECT_EQ(table_.window_bound(0), 1U);
  EXPECT_EQ(touch(4), Touch::ready);
  EXPECT_EQ(begin(4), Step::done);
  release(4);
  EXPECT_EQ(table_.empty(), 0U) << "one range still touches it";
  release(4);
  EXPECT_EQ(table_.empty(), 1U);
  EXPECT_EQ(table_.bound(), 1U) << "release gives nothing back";
}

TEST_P(PageTableTest, AnEmptyPageIsReadyAgain) {
  settle(7);
  release(7);
  ASSERT_EQ(table_.empty(), 1U);
  EXPECT_EQ(touch(7), Touch::ready);
  EXPECT_EQ(table_.empty(), 0U);
}

TEST_P(PageTableTest, OnlyWhatIsMissingIsBound) {
  settle(1);
  settle(3);
  EXPECT_EQ(touch(0, 5), Touch::commit);
  ASSERT_EQ(begin(0, 5), Step::bind);
  EXPECT_EQ(pages(), (std::vector<std::uint32_t>{0, 2, 4}));
  end(true);
  EXPECT_EQ(begin(0, 5), Step::done);
}

TEST_P(PageTableTest, BatchesHoldSixtyFourPages) {
  static_assert(PageBatch::kCapacity == 64);
  EXPECT_EQ(touch(10, 150), Touch::commit);
  for (const std::uint32_t count : {64U, 64U, 22U}) {
    ASSERT_EQ(begin(10, 150), Step::bind);
    EXPECT_EQ(batch_.count, count);
    EXPECT_EQ(problem(), "");
    end(true);
  }
  EXPECT_EQ(begin(10, 150), Step::done);
  EXPECT_EQ(table_.bound(), 150U);
}

// T2: a page in another's hands is waited for, and nothing else is.
TEST_P(PageTableTest, T2_WhoNeedsAPageInOthersHandsBindsTheRestFirstAndThenWaits) {
  (void)touch(5);
  ASSERT_EQ(begin(5), Step::bind);
  PageBatch theirs = batch_;
  (void)touch(4, 3);
  ASSERT_EQ(begin(4, 3), Step::bind) << "pages 4 and 6 are nobody's";
  EXPECT_EQ(pages(), (std::vector<std::uint32_t>{4, 6}));
  EXPECT_FALSE(waited_);
  end(true);
  ASSERT_EQ(begin(4, 3), Step::wait);
  EXPECT_TRUE(waited_);
  rows_.fill(theirs);
  table_.end_bind(theirs, true, {});
  EXPECT_EQ(begin(4, 3), Step::done);
}

// R7, T2: who waited sees why the bind failed; who comes later tries again.
TEST_P(PageTableTest, R7_T2_AFailedBindIsSeenByThoseWhoWaitedForIt) {
  (void)touch(5);
  ASSERT_EQ(begin(5), Step::bind);
  const PageBatch theirs = batch_;
  (void)touch(5);
  bool we_waited = false;
  ASSERT_EQ(table_.begin_bind(at(5), kPage, batch_, we_waited), Step::wait);
  const Error why{ErrorCode::out_of_device_memory, -3};
  table_.end_bind(theirs, false, why);
  EXPECT_EQ(table_.begin_bind(at(5), kPage, batch_, we_waited), Step::failed);
  EXPECT_EQ(table_.last_error(), why);
  EXPECT_EQ(table_.window_bound(0), 0U);
  (void)touch(5);
  bool later_waited = false;
  EXPECT_EQ(table_.begin_bind(at(5), kPage, batch_, later_waited), Step::bind);
  end(false, why);
  release(5);
  release(5);
  release(5);
}

TEST_P(PageTableTest, R7_AWaiterThatGivesUpLetsGoOfWhatItHasJustTaken) {
  (void)touch(8);
  ASSERT_EQ(begin(8), Step::bind);
  const PageBatch theirs = batch_;
  (void)touch(8);
  bool we_waited = false;
  ASSERT_EQ(table_.begin_bind(at(8), kPage, batch_, we_waited), Step::wait);
  table_.end_bind(theirs, false, {ErrorCode::driver_error, 1});
  (void)touch(7);  // unbound too, and before the page that failed
  EXPECT_EQ(table_.begin_bind(at(7), kPage * 2, batch_, we_waited), Step::failed);
  EXPECT_EQ(problem(), "");
  EXPECT_EQ(table_.window_bound(0), 0U) << "page 7 is in nobody's hands";
  release(8);
  release(7, 2);
}

TEST_P(PageTableTest, AFailedBindThatNobodyWaitedForIsForgotten) {
  (void)touch(9);
  ASSERT_EQ(begin(9), Step::bind);
  end(false, {ErrorCode::driver_error, 1});
  waited_ = true;
  EXPECT_EQ(begin(9), Step::bind) << "no second range touches the page: nobody can have waited";
  end(true);
}

TEST_P(PageTableTest, TheLongestEmptyIsDetachedFirst) {
  for (const std::uint64_t page : {3U, 1U, 2U})
    settle(page);
  for (const std::uint64_t page : {2U, 3U, 1U})
    release(page);
  EXPECT_EQ(table_.empty(), 3U);
  table_.detach(batch_, 2);
  EXPECT_EQ(pages(), (std::vector<std::uint32_t>{2, 3}));
  EXPECT_EQ(table_.empty(), 1U);
  EXPECT_EQ(table_.bound(), 3U) << "still bound until the unbind is done (V27)";
  table_.end_unbind(batch_, true);
  EXPECT_EQ(table_.bound(), 1U);
  table_.detach(batch_, 64);
  EXPECT_EQ(pages(), (std::vector<std::uint32_t>{1}));
  table_.end_unbind(batch_, true);
  EXPECT_EQ(table_.window_bound(0), 0U);
}

TEST_P(PageTableTest, WhatIsTouchedAgainIsNotDetached) {
  settle(1);
  settle(2);
  release(1);
  release(2);
  EXPECT_EQ(touch(1), Touch::ready);
  table_.detach(batch_, 64);
  EXPECT_EQ(pages(), (std::vector<std::uint32_t>{2}));
  table_.end_unbind(batch_, true);
  release(1);
  table_.detach(batch_, 64);
  EXPECT_EQ(pages(), (std::vector<std::uint32_t>{1})) << "in the queue once more";
  table_.end_unbind(batch_, true);
}

TEST_P(PageTableTest, DetachTakesNoMoreThanABatch) {
  settle(0, 100);
  release(0, 100);
  table_.detach(batch_, 1000);
  EXPECT_EQ(batch_.count, PageBatch::kCapacity);
  table_.end_unbind(batch_, true);
  table_.detach(batch_, 1000);
  EXPECT_EQ(batch_.count, 36U);
  table_.end_unbind(batch_, true);
}

// R7: what the driver does not take back stays bound, counted and queued, behind the others.
TEST_P(PageTableTest, R7_ARefusedUnbindIsQueuedAgain) {
  settle(1);
  settle(2);
  release(1);
  release(2);
  table_.detach(batch_, 1);
  ASSERT_EQ(pages(), (std::vector<std::uint32_t>{1}));
  table_.end_unbind(batch_, false);
  EXPECT_EQ(table_.empty(), 2U);
  EXPECT_EQ(table_.bound(), 2U);
  EXPECT_EQ(problem(), "");
  table_.detach(batch_, 64);
  EXPECT_EQ(pages(), (std::vector<std::uint32_t>{2, 1}));
  table_.end_unbind(batch_, true);
}

// T2: a page that is just being unbound is waited for, whether the unbind succeeds or not.
TEST_P(PageTableTest, T2_APageThatIsBeingUnboundIsWaitedFor) {
  for (const bool unbound : {true, false}) {
    settle(6);
    release(6);
    table_.detach(batch_, 1);
    const PageBatch theirs = batch_;
    EXPECT_EQ(touch(6), Touch::commit);
    waited_ = false;
    ASSERT_EQ(begin(6), Step::wait);
    table_.end_unbind(theirs, unbound);
    EXPECT_EQ(table_.empty(), 0U) << "it is touched";
    EXPECT_EQ(problem(), "");
    EXPECT_EQ(begin(6), unbound ? Step::bind : Step::done);
    if (unbound) end(true);
    release(6);
  }
}

TEST_P(PageTableTest, DetachRangeTakesTheEmptyPagesOfARange) {
  settle(0, 10);
  release(0, 10);
  (void)touch(4);
  Offset cursor = at(2) + 5_B;  // begins inside page 2
  table_.detach_range(batch_, cursor, at(7));
  EXPECT_EQ(pages(), (std::vector<std::uint32_t>{2, 3, 5, 6}));
  EXPECT_GE(cursor, at(7));
  table_.end_unbind(batch_, true);
  EXPECT_EQ(table_.bound(), 6U);
  release(4);
}

TEST_P(PageTableTest, DetachRangeGoesOnWhereItStopped) {
  settle(0, 150);
  release(0, 150);
  Offset cursor = at(0);
  std::uint32_t sum = 0;
  while (cursor < at(150)) {
    table_.detach_range(batch_, cursor, at(150));
    sum += batch_.count;
    table_.end_unbind(batch_, true);
  }
  EXPECT_EQ(sum, 150U);
  EXPECT_EQ(table_.bound(), 0U);
}

TEST_P(PageTableTest, DetachAllTakesTouchedPagesToo) {
  settle(1, 3);
  release(2);
  Offset cursor = at(0);
  table_.detach_all(batch_, cursor, at(256));
  EXPECT_EQ(pages(), (std::vector<std::uint32_t>{1, 2, 3}));
  table_.end_unbind(batch_, true);
  EXPECT_EQ(table_.bound(), 0U);
  EXPECT_EQ(table_.empty(), 0U);
}

TEST_P(PageTableTest, WindowsHaveAddressesOfTheirOwn) {
  const Address low{1ULL << 30U};
  ASSERT_TRUE(table_.add_window(3, low, kPage * 8));
  EXPECT_EQ(table_.window_begin(3), Offset{kWindow.value * 3});
  EXPECT_EQ(table_.window_end(3), table_.window_begin(3) + kPage * 8);
  EXPECT_EQ(touch(3 * 256 + 7), Touch::commit);
  ASSERT_EQ(begin(3 * 256 + 7), Step::bind);
  EXPECT_EQ(batch_.addresses[0], low + kPage * 7);
  end(true);
  EXPECT_EQ(table_.window_bound(3), 1U);
  EXPECT_EQ(table_.window_bound(0), 0U);
}

TEST_P(PageTableTest, AWindowIsUsedAgainAtAnotherAddress) {
  settle(256 * 1 - 1);
  ASSERT_TRUE(table_.add_window(1, Address{1ULL << 33U}, kWindow));
  settle(256);
  release(256);
  table_.detach(batch_, 64);
  table_.end_unbind(batch_, true);
  ASSERT_EQ(table_.window_bound(1), 0U);
  table_.remove_window(1);
  EXPECT_EQ(problem(), "");
  ASSERT_TRUE(table_.add_window(1, Address{1ULL << 35U}, kPage * 2));
  EXPECT_EQ(touch(256), Touch::commit);
  ASSERT_EQ(begin(256), Step::bind);
  EXPECT_EQ(batch_.addresses[0], Address{1ULL << 35U});
  end(true);
}

// R7: neither release nor detach nor their kind asks for host memory.
TEST_P(PageTableTest, R7_OnlyTouchAndWindowsAskForHostMemory) {
  (void)touch(0, 100);
  const std::int64_t before = host_.requests();
  while (begin(0, 100) == Step::bind)
    end(true);
  release(0, 100);
  Offset cursor = at(0);
  table_.detach_range(batch_, cursor, at(50));
  table_.end_unbind(batch_, true);
  table_.detach(batch_, 64);
  table_.end_unbind(batch_, true);
  EXPECT_EQ(touch(0, 100), Touch::commit) << "the chunk is there";
  release(0, 100);
  EXPECT_EQ(host_.requests(), before);
}

// A range that is touched at once is one interval until its pages come to differ.
TEST(MappedPageTableTest, RunsOfPagesAreOneInterval) {
  TestHost host;
  MappedPageTable table(kPage, kPage * 4096, host.allocator());
  ASSERT_TRUE(table.add_window(0, Address{1ULL << 40U}, kPage * 4096));
  ASSERT_EQ(table.touch(Offset{}, kPage * 3000), Touch::commit);
  EXPECT_EQ(table.intervals(), 1U);
  PageBatch batch;
  bool waited = false;
  ASSERT_EQ(table.begin_bind(Offset{}, kPage * 3000, batch, waited), Step::bind);
  EXPECT_EQ(table.intervals(), 2U);
  table.end_bind(batch, false, {});
  EXPECT_EQ(table.intervals(), 1U);
  table.release(Offset{}, kPage * 3000);
  EXPECT_EQ(table.intervals(), 0U);
  EXPECT_EQ(table.validate(), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Kinds, PageTableTest, testing::Bool(),
                         [](const auto& kind) { return std::string(kind.param ? "Mapped" : "Array"); });

}  // namespace
}  // namespace vaspace::test
