// Which pages of an offset space are bound, and in whose hands they are meanwhile. R7, T2.
#include "page_table_fixture.hpp"

namespace vaspace::test {
namespace {

TYPED_TEST_SUITE(PageTableTest, PageTables);

TYPED_TEST(PageTableTest, WhatIsBoundIsTouchedWhollyOrNotAtAll) {
  this->settle(0, 2);
  this->settle(3, 1);
  this->release(0, 2);
  ASSERT_EQ(this->table_.empty(), 2U);
  EXPECT_FALSE(this->table_.touch_bound(this->at(0), kPage * 4)) << "page 2 is not bound";
  EXPECT_FALSE(this->table_.touch_bound(this->at(200), kPage));
  EXPECT_EQ(this->table_.empty(), 2U);
  EXPECT_TRUE(this->table_.touch_bound(this->at(0), kPage * 2));
  EXPECT_TRUE(this->table_.touch_bound(this->at(3), 4_KiB, 5)) << "five ranges in one page";
  EXPECT_EQ(this->table_.empty(), 0U);
  for (std::uint64_t i = 0; i < 5; ++i)
    this->table_.release(this->at(3) + 4_KiB * i, 4_KiB);
  EXPECT_EQ(this->table_.empty(), 0U) << "the first is there still";
  this->release(3);
  this->release(0, 2);
  EXPECT_EQ(this->table_.empty(), 3U);
  this->table_.detach(this->batch_, 64);
  EXPECT_EQ(this->pages(), (std::vector<std::uint32_t>{0, 1, 3}));
}

TYPED_TEST(PageTableTest, ARangeTouchesEveryPageThatItReachesInto) {
  EXPECT_EQ(this->table_.touch(this->at(2) + kPage - 1_B, 2_B), Touch::commit);
  ASSERT_EQ(this->table_.begin_bind(this->at(2), kPage * 2, this->batch_, this->waited_), Step::bind);
  EXPECT_EQ(this->pages(), (std::vector<std::uint32_t>{2, 3}));
  EXPECT_EQ(this->batch_.addresses[0], kHome + kPage * 2);
  EXPECT_EQ(this->batch_.addresses[1], kHome + kPage * 3);
}

TYPED_TEST(PageTableTest, APageIsBoundOnceAndReadyForTheSecondRange) {
  this->settle(4);
  EXPECT_EQ(this->table_.bound(), 1U);
  EXPECT_EQ(this->table_.window_bound(0), 1U);
  EXPECT_EQ(this->touch(4), Touch::ready);
  EXPECT_EQ(this->begin(4), Step::done);
  this->release(4);
  EXPECT_EQ(this->table_.empty(), 0U) << "one range still touches it";
  this->release(4);
  EXPECT_EQ(this->table_.empty(), 1U);
  EXPECT_EQ(this->table_.bound(), 1U) << "release gives nothing back";
}

TYPED_TEST(PageTableTest, AnEmptyPageIsReadyAgain) {
  this->settle(7);
  this->release(7);
  ASSERT_EQ(this->table_.empty(), 1U);
  EXPECT_EQ(this->touch(7), Touch::ready);
  EXPECT_EQ(this->table_.empty(), 0U);
}

TYPED_TEST(PageTableTest, OnlyWhatIsMissingIsBound) {
  this->settle(1);
  this->settle(3);
  EXPECT_EQ(this->touch(0, 5), Touch::commit);
  ASSERT_EQ(this->begin(0, 5), Step::bind);
  EXPECT_EQ(this->pages(), (std::vector<std::uint32_t>{0, 2, 4}));
  this->end(true);
  EXPECT_EQ(this->begin(0, 5), Step::done);
}

TYPED_TEST(PageTableTest, BatchesHoldSixtyFourPages) {
  static_assert(PageBatch::kCapacity == 64);
  EXPECT_EQ(this->touch(10, 150), Touch::commit);
  for (const std::uint32_t count : {64U, 64U, 22U}) {
    ASSERT_EQ(this->begin(10, 150), Step::bind);
    EXPECT_EQ(this->batch_.count, count);
    EXPECT_EQ(this->problem(), "");
    this->end(true);
  }
  EXPECT_EQ(this->begin(10, 150), Step::done);
  EXPECT_EQ(this->table_.bound(), 150U);
}

// T2: a page in another's hands is waited for, and nothing else is.
TYPED_TEST(PageTableTest, T2_WhoNeedsAPageInOthersHandsBindsTheRestFirstAndThenWaits) {
  (void)this->touch(5);
  ASSERT_EQ(this->begin(5), Step::bind);
  PageBatch theirs = this->batch_;
  (void)this->touch(4, 3);
  ASSERT_EQ(this->begin(4, 3), Step::bind) << "pages 4 and 6 are nobody's";
  EXPECT_EQ(this->pages(), (std::vector<std::uint32_t>{4, 6}));
  EXPECT_FALSE(this->waited_);
  this->end(true);
  ASSERT_EQ(this->begin(4, 3), Step::wait);
  EXPECT_TRUE(this->waited_);
  this->rows_.fill(theirs);
  this->table_.end_bind(theirs, true, {});
  EXPECT_EQ(this->begin(4, 3), Step::done);
}

// R7, T2: who waited sees why the bind failed; who comes later tries again.
TYPED_TEST(PageTableTest, R7_T2_AFailedBindIsSeenByThoseWhoWaitedForIt) {
  (void)this->touch(5);
  ASSERT_EQ(this->begin(5), Step::bind);
  const PageBatch theirs = this->batch_;
  (void)this->touch(5);
  bool we_waited = false;
  ASSERT_EQ(this->table_.begin_bind(this->at(5), kPage, this->batch_, we_waited), Step::wait);
  const Error why{ErrorCode::out_of_device_memory, -3};
  this->table_.end_bind(theirs, false, why);
  EXPECT_EQ(this->table_.begin_bind(this->at(5), kPage, this->batch_, we_waited), Step::failed);
  EXPECT_EQ(this->table_.last_error(), why);
  EXPECT_EQ(this->table_.window_bound(0), 0U);
  (void)this->touch(5);
  bool later_waited = false;
  EXPECT_EQ(this->table_.begin_bind(this->at(5), kPage, this->batch_, later_waited), Step::bind);
  this->end(false, why);
  this->release(5);
  this->release(5);
  this->release(5);
}

TYPED_TEST(PageTableTest, R7_AWaiterThatGivesUpLetsGoOfWhatItHasJustTaken) {
  (void)this->touch(8);
  ASSERT_EQ(this->begin(8), Step::bind);
  const PageBatch theirs = this->batch_;
  (void)this->touch(8);
  bool we_waited = false;
  ASSERT_EQ(this->table_.begin_bind(this->at(8), kPage, this->batch_, we_waited), Step::wait);
  this->table_.end_bind(theirs, false, {ErrorCode::driver_error, 1});
  (void)this->touch(7);  // unbound too, and before the page that failed
  EXPECT_EQ(this->table_.begin_bind(this->at(7), kPage * 2, this->batch_, we_waited), Step::failed);
  EXPECT_EQ(this->problem(), "");
  EXPECT_EQ(this->table_.window_bound(0), 0U) << "page 7 is in nobody's hands";
  this->release(8);
  this->release(7, 2);
}

TYPED_TEST(PageTableTest, AFailedBindThatNobodyWaitedForIsForgotten) {
  (void)this->touch(9);
  ASSERT_EQ(this->begin(9), Step::bind);
  this->end(false, {ErrorCode::driver_error, 1});
  this->waited_ = true;
  EXPECT_EQ(this->begin(9), Step::bind) << "no second range touches the page: nobody can have waited";
  this->end(true);
}

TYPED_TEST(PageTableTest, TheLongestEmptyIsDetachedFirst) {
  for (const std::uint64_t page : {3U, 1U, 2U})
    this->settle(page);
  for (const std::uint64_t page : {2U, 3U, 1U})
    this->release(page);
  EXPECT_EQ(this->table_.empty(), 3U);
  this->table_.detach(this->batch_, 2);
  EXPECT_EQ(this->pages(), (std::vector<std::uint32_t>{2, 3}));
  EXPECT_EQ(this->table_.empty(), 1U);
  EXPECT_EQ(this->table_.bound(), 3U) << "still bound until the unbind is done (V27)";
  this->table_.end_unbind(this->batch_, true);
  EXPECT_EQ(this->table_.bound(), 1U);
  this->table_.detach(this->batch_, 64);
  EXPECT_EQ(this->pages(), (std::vector<std::uint32_t>{1}));
  this->table_.end_unbind(this->batch_, true);
  EXPECT_EQ(this->table_.window_bound(0), 0U);
}

TYPED_TEST(PageTableTest, WhatIsTouchedAgainIsNotDetached) {
  this->settle(1);
  this->settle(2);
  this->release(1);
  this->release(2);
  EXPECT_EQ(this->touch(1), Touch::ready);
  this->table_.detach(this->batch_, 64);
  EXPECT_EQ(this->pages(), (std::vector<std::uint32_t>{2}));
  this->table_.end_unbind(this->batch_, true);
  this->release(1);
  this->table_.detach(this->batch_, 64);
  EXPECT_EQ(this->pages(), (std::vector<std::uint32_t>{1})) << "in the queue once more";
  this->table_.end_unbind(this->batch_, true);
}

TYPED_TEST(PageTableTest, DetachTakesNoMoreThanABatch) {
  this->settle(0, 100);
  this->release(0, 100);
  this->table_.detach(this->batch_, 1000);
  EXPECT_EQ(this->batch_.count, PageBatch::kCapacity);
  this->table_.end_unbind(this->batch_, true);
  this->table_.detach(this->batch_, 1000);
  EXPECT_EQ(this->batch_.count, 36U);
  this->table_.end_unbind(this->batch_, true);
}

// R7: what the driver does not take back stays bound, counted and queued, behind the others.
TYPED_TEST(PageTableTest, R7_ARefusedUnbindIsQueuedAgain) {
  this->settle(1);
  this->settle(2);
  this->release(1);
  this->release(2);
  this->table_.detach(this->batch_, 1);
  ASSERT_EQ(this->pages(), (std::vector<std::uint32_t>{1}));
  this->table_.end_unbind(this->batch_, false);
  EXPECT_EQ(this->table_.empty(), 2U);
  EXPECT_EQ(this->table_.bound(), 2U);
  EXPECT_EQ(this->problem(), "");
  this->table_.detach(this->batch_, 64);
  EXPECT_EQ(this->pages(), (std::vector<std::uint32_t>{2, 1}));
  this->table_.end_unbind(this->batch_, true);
}

// T2: a page that is just being unbound is waited for, whether the unbind succeeds or not.
TYPED_TEST(PageTableTest, T2_APageThatIsBeingUnboundIsWaitedFor) {
  for (const bool unbound : {true, false}) {
    this->settle(6);
    this->release(6);
    this->table_.detach(this->batch_, 1);
    const PageBatch theirs = this->batch_;
    EXPECT_EQ(this->touch(6), Touch::commit);
    this->waited_ = false;
    ASSERT_EQ(this->begin(6), Step::wait);
    this->table_.end_unbind(theirs, unbound);
    EXPECT_EQ(this->table_.empty(), 0U) << "it is touched";
    EXPECT_EQ(this->problem(), "");
    EXPECT_EQ(this->begin(6), unbound ? Step::bind : Step::done);
    if (unbound) this->end(true);
    this->release(6);
  }
}

TYPED_TEST(PageTableTest, DetachRangeTakesTheEmptyPagesOfARange) {
  this->settle(0, 10);
  this->release(0, 10);
  (void)this->touch(4);
  Offset cursor = this->at(2) + 5_B;  // begins inside page 2
  this->table_.detach_range(this->batch_, cursor, this->at(7));
  EXPECT_EQ(this->pages(), (std::vector<std::uint32_t>{2, 3, 5, 6}));
  EXPECT_GE(cursor, this->at(7));
  this->table_.end_unbind(this->batch_, true);
  EXPECT_EQ(this->table_.bound(), 6U);
  this->release(4);
}

TYPED_TEST(PageTableTest, DetachRangeGoesOnWhereItStopped) {
  this->settle(0, 150);
  this->release(0, 150);
  Offset cursor = this->at(0);
  std::uint32_t sum = 0;
  while (cursor < this->at(150)) {
    this->table_.detach_range(this->batch_, cursor, this->at(150));
    sum += this->batch_.count;
    this->table_.end_unbind(this->batch_, true);
  }
  EXPECT_EQ(sum, 150U);
  EXPECT_EQ(this->table_.bound(), 0U);
}

TYPED_TEST(PageTableTest, DetachAllTakesTouchedPagesToo) {
  this->settle(1, 3);
  this->release(2);
  Offset cursor = this->at(0);
  this->table_.detach_all(this->batch_, cursor, this->at(256));
  EXPECT_EQ(this->pages(), (std::vector<std::uint32_t>{1, 2, 3}));
  this->table_.end_unbind(this->batch_, true);
  EXPECT_EQ(this->table_.bound(), 0U);
  EXPECT_EQ(this->table_.empty(), 0U);
}

TYPED_TEST(PageTableTest, WindowsHaveAddressesOfTheirOwn) {
  const Address low{1ULL << 30U};
  ASSERT_TRUE(this->table_.add_window(3, low, kPage * 8));
  EXPECT_EQ(this->table_.window_begin(3), Offset{kWindow.value * 3});
  EXPECT_EQ(this->table_.window_end(3), this->table_.window_begin(3) + kPage * 8);
  EXPECT_EQ(this->touch(3 * 256 + 7), Touch::commit);
  ASSERT_EQ(this->begin(3 * 256 + 7), Step::bind);
  EXPECT_EQ(this->batch_.addresses[0], low + kPage * 7);
  this->end(true);
  EXPECT_EQ(this->table_.window_bound(3), 1U);
  EXPECT_EQ(this->table_.window_bound(0), 0U);
}

TYPED_TEST(PageTableTest, AWindowIsUsedAgainAtAnotherAddress) {
  this->settle(256 * 1 - 1);
  ASSERT_TRUE(this->table_.add_window(1, Address{1ULL << 33U}, kWindow));
  this->settle(256);
  this->release(256);
  this->table_.detach(this->batch_, 64);
  this->table_.end_unbind(this->batch_, true);
  ASSERT_EQ(this->table_.window_bound(1), 0U);
  this->table_.remove_window(1);
  EXPECT_EQ(this->problem(), "");
  ASSERT_TRUE(this->table_.add_window(1, Address{1ULL << 35U}, kPage * 2));
  EXPECT_EQ(this->touch(256), Touch::commit);
  ASSERT_EQ(this->begin(256), Step::bind);
  EXPECT_EQ(this->batch_.addresses[0], Address{1ULL << 35U});
  this->end(true);
}

// R7: neither release nor detach nor their kind asks for host memory.
TYPED_TEST(PageTableTest, R7_OnlyTouchAndWindowsAskForHostMemory) {
  (void)this->touch(0, 100);
  const std::int64_t before = this->host_.requests();
  while (this->begin(0, 100) == Step::bind)
    this->end(true);
  this->release(0, 100);
  Offset cursor = this->at(0);
  this->table_.detach_range(this->batch_, cursor, this->at(50));
  this->table_.end_unbind(this->batch_, true);
  this->table_.detach(this->batch_, 64);
  this->table_.end_unbind(this->batch_, true);
  EXPECT_EQ(this->touch(0, 100), Touch::commit) << "the chunk is there";
  this->release(0, 100);
  EXPECT_EQ(this->host_.requests(), before);
}

// A range that is touched at once is one interval until its pages come to differ.
TEST(MappedPageTableTest, RunsOfPagesAreOneInterval) {
  TestHost host;
  MappedPageTable table(kPage, kPage * 4096, host.allocator());
  ASSERT_TRUE(table.add_window(0, Address{1ULL << 40U}, kPage * 4096));
  ASSERT_EQ(table.touch(Offset{}, kPage * 3000), Touch::commit);
  EXPECT_EQ(table.pages().intervals(), 1U);
  PageBatch batch;
  bool waited = false;
  ASSERT_EQ(table.begin_bind(Offset{}, kPage * 3000, batch, waited), Step::bind);
  EXPECT_EQ(table.pages().intervals(), 2U);
  table.end_bind(batch, false, {});
  EXPECT_EQ(table.pages().intervals(), 1U);
  table.release(Offset{}, kPage * 3000);
  EXPECT_EQ(table.pages().intervals(), 0U);
  EXPECT_EQ(table.validate(), nullptr);
}

}  // namespace
}  // namespace vaspace::test
