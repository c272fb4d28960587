// A page table of a few windows, wherever its entries are, and one batch that a test has in hand.
#pragma once

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "vaspace/va/mapped_page_table.hpp"

#include "support/host.hpp"
#include "support/va_pages.hpp"

namespace vaspace::test {

using Touch = PageTable::Touch;
using Step = PageTable::Step;

constexpr Bytes kPage = 64_KiB;
constexpr Bytes kWindow = kPage * 256;
constexpr Address kHome{1ULL << 40U};

using PageTables = testing::Types<PageTable, MappedPageTable>;

// One table of a few windows of 256 pages.
template <class Table>
class PageTableTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(table_.add_window(0, kHome, kWindow)); }
  void TearDown() override {
    if (!damaged_) {
      EXPECT_EQ(problem(), "");
    }
  }

  [[nodiscard]] std::string problem() const {
    const char* wrong = table_.validate();
    return wrong == nullptr ? "" : wrong;
  }
  [[nodiscard]] static Offset at(std::uint64_t page) { return Offset{page * kPage.value}; }
  [[nodiscard]] Touch touch(std::uint64_t page, std::uint64_t pages = 1) {
    return table_.touch(at(page), kPage * pages);
  }
  void release(std::uint64_t page, std::uint64_t pages = 1) { table_.release(at(page), kPage * pages); }
  [[nodiscard]] Step begin(std::uint64_t page, std::uint64_t pages = 1) {
    return table_.begin_bind(at(page), kPage * pages, batch_, waited_);
  }
  void end(bool bound, Error error = {}) {
    rows_.fill(batch_);
    table_.end_bind(batch_, bound, error);
  }
  // Touched and bound.
  void settle(std::uint64_t page, std::uint64_t pages = 1) {
    (void)touch(page, pages);
    while (begin(page, pages) == Step::bind)
      end(true);
  }
  [[nodiscard]] std::vector<std::uint32_t> pages() const { return PageRows::of(batch_); }

  TestHost host_;
  Table table_{kPage, kWindow, host_.allocator()};
  PageBatch batch_;
  PageRows rows_;
  bool waited_ = false;
  bool damaged_ = false;
};

}  // namespace vaspace::test
