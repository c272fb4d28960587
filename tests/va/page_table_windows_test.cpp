// The largest windows of a page table, what it asks the host for, and what validate() finds. R7, R8.
#include "page_table_fixture.hpp"

namespace vaspace::test {
namespace {

template <class Table>
class PageTableLimits : public testing::Test {};
TYPED_TEST_SUITE(PageTableLimits, PageTables);

TYPED_TEST(PageTableLimits, PageNumbersAbove28BitsAreQueuedAsTheyAre) {
  TestHost host;
  const Bytes window{1ULL << 40U};  // 2^24 pages of 64 KiB
  TypeParam table(kPage, window, host.allocator());
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

TYPED_TEST(PageTableLimits, R8_AWindowWhosePagesNoNumberCanNameIsRefused) {
  TestHost host;
  TypeParam table(kPage, Bytes{1ULL << 40U}, host.allocator());
  EXPECT_FALSE(table.add_window(255, Address{1ULL << 50U}, Bytes{1ULL << 40U}));
  EXPECT_FALSE(table.add_window(~std::uint32_t{0}, Address{1ULL << 50U}, Bytes{1ULL << 40U}));
  EXPECT_EQ(host.requests(), 0);
  EXPECT_EQ(table.validate(), nullptr);
}

// R7: at every request for host memory, a refusal changes nothing, and the next try succeeds.
TYPED_TEST(PageTableLimits, R7_HostFailureAtEveryRequestChangesNothing) {
  int refused = 0;
  for (int nth = 1; nth < 50; ++nth) {
    TestHost host;
    host.fail_at(nth);
    {
      TypeParam table(kPage, kPage * 4096, host.allocator());
      const auto windows = [&] { return table.add_window(2, Address{1ULL << 40U}, kPage * 4096); };
      if (!windows()) {
        ++refused;
        EXPECT_EQ(table.validate(), nullptr);
        ASSERT_TRUE(windows());
      }
      const Offset begin = table.window_begin(2) + kPage * 1000;
      const Bytes size = kPage * 2000;  // three chunks of an array
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
  EXPECT_GE(refused, 4) << "windows, and more than one block of entries";
}

// What the map is for: pages that are touched and lie far apart have an interval each, not a chunk.
TEST(MappedPageTableTest, PagesFarApartCostLessThanAnArraysChunks) {
  const Bytes window{1ULL << 36U};  // 2^20 pages
  const auto bytes_of = [&](auto&& table, TestHost& host) {
    EXPECT_TRUE(table.add_window(0, kHome, window));
    for (std::uint32_t i = 0; i < 1000; ++i)
      EXPECT_EQ(table.touch(Offset{} + kPage * (std::uint64_t{1024} * i), kPage), Touch::commit);
    return host.bytes();
  };
  TestHost array_host, map_host;
  const std::int64_t array = bytes_of(PageTable(kPage, window, array_host.allocator()), array_host);
  const std::int64_t map = bytes_of(MappedPageTable(kPage, window, map_host.allocator()), map_host);
  EXPECT_GE(array, 1000 * 16 * 1024);
  EXPECT_LE(map * 50, array);
  RecordProperty("map_bytes", static_cast<int>(map));
}

// validate() finds each kind of damage. What damages is a call that breaks its contract.
template <class Table>
class PageTableDamage : public PageTableTest<Table> {
 protected:
  void SetUp() override {
    PageTableTest<Table>::SetUp();
    this->damaged_ = true;
  }
};
TYPED_TEST_SUITE(PageTableDamage, PageTables);

TYPED_TEST(PageTableDamage, ABoundPageWithoutMemoryIsFound) {
  (void)this->touch(1);
  (void)this->begin(1);
  this->table_.end_bind(this->batch_, true, {});  // never filled
  EXPECT_EQ(this->problem(), "a bound page has no physical memory");
}

TYPED_TEST(PageTableDamage, AnUnboundPageWithMemoryIsFound) {
  (void)this->touch(1);
  (void)this->begin(1);
  this->end(true);
  this->table_.end_bind(this->batch_, false, {});
  EXPECT_EQ(this->problem(), "an unbound page has physical memory");
}

// No damage: whoever let go of a page while it was in hand finds it among the empty ones.
TYPED_TEST(PageTableDamage, APageLetGoWhileInHandIsQueued) {
  (void)this->touch(1);
  (void)this->begin(1);
  this->release(1);
  this->end(true);
  EXPECT_EQ(this->problem(), "");
  EXPECT_EQ(this->table_.empty(), 1U);
}

TYPED_TEST(PageTableDamage, AMiscountedWindowIsFound) {
  this->settle(1);
  ASSERT_TRUE(this->table_.add_window(0, kHome, kWindow));  // a second time
  EXPECT_EQ(this->problem(), "a window's bound pages are miscounted");
}

TYPED_TEST(PageTableDamage, MiscountedBoundPagesAreFound) {
  this->settle(1);
  this->table_.remove_window(0);  // with a bound page in it
  EXPECT_EQ(this->problem(), "bound pages are miscounted");
}

TYPED_TEST(PageTableDamage, MiscountedEmptyPagesAreFound) {
  this->settle(1);
  this->release(1);
  this->table_.detach(this->batch_, 1);
  this->table_.end_unbind(this->batch_, false);
  this->table_.end_unbind(this->batch_, false);  // a second time
  EXPECT_EQ(this->problem(), "empty pages are miscounted");
}

}  // namespace
}  // namespace vaspace::test
