// A page table of a few windows, of either kind, and one batch that a test has in hand.
#pragma once

#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

#include "vaspace/va/mapped_page_table.hpp"

#include "support/host.hpp"
#include "support/va_pages.hpp"

namespace vaspace::test {

using Touch = PageTable::Touch;
using Step = PageTable::Step;

constexpr Bytes kPage = 64_KiB;

// Either kind, by the same names.
class AnyPageTable {
  template <class F>
  auto on(F&& f) {
    return array_ ? f(*array_) : f(*mapped_);
  }

 public:
  AnyPageTable(bool mapped, Bytes page, Bytes window, const HostAllocator& host) {
    if (mapped) {
      mapped_.emplace(page, window, host);
    } else {
      array_.emplace(page, window, host);
    }
  }
  bool add_window(std::uint32_t w, Address address, Bytes size) {
    return on([&](auto& t) { return t.add_window(w, address, size); });
  }
  void remove_window(std::uint32_t w) {
    on([&](auto& t) { t.remove_window(w); });
  }
  std::uint32_t window_bound(std::uint32_t w) {
    return on([&](auto& t) { return t.window_bound(w); });
  }
  Touch touch(Offset begin, Bytes size) {
    return on([&](auto& t) { return t.touch(begin, size); });
  }
  bool touch_bound(Offset begin, Bytes size, std::uint32_t times = 1) {
    return on([&](auto& t) { return t.touch_bound(begin, size, times); });
  }
  void release(Offset begin, Bytes size) {
    on([&](auto& t) { t.release(begin, size); });
  }
  Step begin_bind(Offset begin, Bytes size, PageBatch& batch, bool& waited) {
    return on([&](auto& t) { return t.begin_bind(begin, size, batch, waited); });
  }
  void end_bind(const PageBatch& batch, bool bound, Error error) {
    on([&](auto& t) { t.end_bind(batch, bound, error); });
  }
  Error last_error() {
    return on([&](auto& t) { return t.last_error(); });
  }
  void detach(PageBatch& batch, std::uint32_t most) {
    on([&](auto& t) { t.detach(batch, most); });
  }
  void detach_range(PageBatch& batch, Offset& cursor, Offset end) {
    on([&](auto& t) { t.detach_range(batch, cursor, end); });
  }
  void detach_all(PageBatch& batch, Offset& cursor, Offset end) {
    on([&](auto& t) { t.detach_all(batch, cursor, end); });
  }
  void end_unbind(const PageBatch& batch, bool unbound) {
    on([&](auto& t) { t.end_unbind(batch, unbound); });
  }
  std::uint64_t empty() {
    return on([&](auto& t) { return t.empty(); });
  }
  std::uint64_t bound() {
    return on([&](auto& t) { return t.bound(); });
  }
  Offset window_begin(std::uint32_t w) {
    return on([&](auto& t) { return t.window_begin(w); });
  }
  Offset window_end(std::uint32_t w) {
    return on([&](auto& t) { return t.window_end(w); });
  }
  [[nodiscard]] const char* validate() const { return array_ ? array_->validate() : mapped_->validate(); }

 private:
  std::optional<PageTable> array_;
  std::optional<MappedPageTable> mapped_;
};

// One table of a few windows of 256 pages.
class PageTableTest : public testing::TestWithParam<bool> {
 protected:
  static constexpr Bytes kWindow = kPage * 256;
  static constexpr Address kHome{1ULL << 40U};

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
  AnyPageTable table_{GetParam(), kPage, kWindow, host_.allocator()};
  PageBatch batch_;
  PageRows rows_;
  bool waited_ = false;
  bool damaged_ = false;
};

}  // namespace vaspace::test
