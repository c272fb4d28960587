// The largest windows of a page table, what it asks the host for, and what validate() finds. R7, R8.
#include "page_table_fixture.hpp"

namespace vaspace::test {
namespace {

TEST(PageTableLargeTest, PageNumbersAbove28BitsAreQueuedAsTheyAre) {
  TestHost host;
  const Bytes window{1ULL << 40U};  // 2^24 pages of 64 KiB
  PageTable table(kPage, window, host.allocator());
  PageRows rows;
  const auto at = [&](std::uint32_t w) { return table.window_begin(w); };
  for (const std::uint32_t w : {1U, 17U, 33U}) {
    ASSERT_TRUE(table.add_window(w, Address{(w + 1) * window.value}, window));
    ASSERT_EQ(table.touch(at(w), 1_B), Touch::commit);
    PageBatch batch;
    bool waited = false;
    ASSERT_EQ(table.begin_bind(at(w), 1_B, batch, waited), Step::bind);
    rows.fill(batch);
    table.end_bind(batch, true, {});
  }
  for (const std::uint32_t w : {1U, 17U, 33U})
    table.release(at(w), 1_B);
  PageBatch batch;
  table.detach(batch, 64);
  EXPECT_EQ(batch.count, 3U);
  EXPECT_EQ(batch.addresses[2], Address{34 * window.value});
  table.end_unbind(batch, true);
  EXPECT_EQ(table.bound(), 0U);
}

TEST(PageTableLargeTest, R8_AWindowWhosePagesNoNumberCanNameIsRefused) {
  TestHost host;
  PageTable table(kPage, Bytes{1ULL << 40U}, host.allocator());
  EXPECT_FALSE(table.add_window(255, Address{1ULL << 50U}, Bytes{1ULL << 40U}));
  EXPECT_FALSE(table.add_window(~std::uint32_t{0}, Address{1ULL << 50U}, Bytes{1ULL << 40U}));
  EXPECT_EQ(host.requests(), 0);
  EXPECT_EQ(table.validate(), nullptr);
}

// R7: at every request for host memory, a refusal changes nothing, and the next try succeeds.
TEST(PageTableHostTest, R7_HostFailureAtEveryRequestChangesNothing) {
  int refused = 0;
  for (int nth = 1; nth < 50; ++nth) {
    TestHost host;
    host.fail_at(nth);
    {
      PageTable table(kPage, kPage * 4096, host.allocator());
      const auto windows = [&] { return table.add_window(2, Address{1ULL << 40U}, kPage * 4096); };
      if (!windows()) {
        ++refused;
        EXPECT_EQ(table.validate(), nullptr);
        ASSERT_TRUE(windows());
      }
      const Offset begin = table.window_begin(2) + kPage * 1000;
      const Bytes size = kPage * 2000;  // three chunks
      if (table.touch(begin, size) == Touch::no_host) {
        ++refused;
        EXPECT_EQ(table.validate(), nullptr);
        EXPECT_EQ(table.empty(), 0U);
        ASSERT_EQ(table.touch(begin, size), Touch::commit);
      }
      table.release(begin, size);
      EXPECT_EQ(table.validate(), nullptr);
    }
    EXPECT_EQ(host.bytes(), 0);
    if (host.requests() < nth) break;
  }
  EXPECT_GE(refused, 4) << "chunks, windows, and three chunks of pages";
}

// validate() finds each kind of damage. What damages is a call that breaks its contract.
class PageTableDamage : public PageTableTest {
 protected:
  void SetUp() override {
    PageTableTest::SetUp();
    damaged_ = true;
  }
};

TEST_P(PageTableDamage, ABoundPageWithoutMemoryIsFound) {
  (void)touch(1);
  (void)begin(1);
  table_.end_bind(batch_, true, {});  // never filled
  EXPECT_EQ(problem(), "a bound page has no physical memory");
}

TEST_P(PageTableDamage, AnUnboundPageWithMemoryIsFound) {
  (void)touch(1);
  (void)begin(1);
  end(true);
  table_.end_bind(batch_, false, {});
  EXPECT_EQ(problem(), "an unbound page has physical memory");
}

// No damage: whoever let go of a page while it was in hand finds it among the empty ones.
TEST_P(PageTableDamage, APageLetGoWhileInHandIsQueued) {
  (void)touch(1);
  (void)begin(1);
  release(1);
  end(true);
  EXPECT_EQ(problem(), "");
  EXPECT_EQ(table_.empty(), 1U);
}

TEST_P(PageTableDamage, AMiscountedWindowIsFound) {
  settle(1);
  ASSERT_TRUE(table_.add_window(0, kHome, kWindow));  // a second time
  EXPECT_EQ(problem(), "a window's bound pages are miscounted");
}

TEST_P(PageTableDamage, MiscountedBoundPagesAreFound) {
  settle(1);
  table_.remove_window(0);  // with a bound page in it
  EXPECT_EQ(problem(), "bound pages are miscounted");
}

TEST_P(PageTableDamage, MiscountedEmptyPagesAreFound) {
  settle(1);
  release(1);
  table_.detach(batch_, 1);
  table_.end_unbind(batch_, false);
  table_.end_unbind(batch_, false);  // a second time
  EXPECT_EQ(problem(), "empty pages are miscounted");
}

INSTANTIATE_TEST_SUITE_P(Array, PageTableDamage, testing::Values(false));

}  // namespace
}  // namespace vaspace::test
