// Either page table against a naive model with a row per page: every operation, everything compared.
#include <algorithm>
#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <ostream>
#include <rapidcheck/gtest.h>
#include <string>
#include <vector>

#include "vaspace/va/mapped_page_table.hpp"

#include "support/host.hpp"
#include "support/property.hpp"
#include "support/va_pages.hpp"

namespace vaspace {
namespace {

using test::PageRows;
using test::require;
using test::TestHost;
using Step = PageTable::Step;

constexpr Bytes kPage = 64_KiB;
constexpr std::uint32_t kWindowPages = 128;
constexpr std::uint32_t kWindows = 3;

enum class OpKind : std::uint8_t {
  touch,
  touch_bound,
  release,
  begin_bind,
  end_bind,
  detach,
  detach_range,
  end_unbind,
  window
};

struct Op {
  OpKind kind{};
  std::uint32_t a = 0, b = 0;

  friend std::ostream& operator<<(std::ostream& out, const Op& op) {
    return out << "{" << int(op.kind) << ", " << op.a << ", " << op.b << "}";
  }
};

struct Row {
  enum State { unbound, binding, bound, unbinding } state = unbound;
  std::uint32_t touched = 0;
  PhysicalId physical{};
};

// A range that someone has touched, and how far its owner has come.
struct Range {
  std::uint32_t first = 0, count = 0;
  bool waited = false;
};

template <class Table>
class Model {
 public:
  Model() {
    for (std::uint32_t w = 0; w < kWindows; ++w)
      require(table_.add_window(w, home(w), kPage * kWindowPages));
  }

  void apply(const Op& op) {
    const std::int64_t requests = host_.requests();
    switch (op.kind) {
      case OpKind::touch:
        touch(op.a % (kWindows * kWindowPages), op.b);
        break;
      case OpKind::touch_bound:
        touch_bound(op.a % (kWindows * kWindowPages), op.b);
        break;
      case OpKind::release:
        release(op.a);
        break;
      case OpKind::begin_bind:
        begin_bind(op.a);
        break;
      case OpKind::end_bind:
        end_bind(op.a, op.b % 4 != 0);
        break;
      case OpKind::detach:
        detach(op.a % 70);
        break;
      case OpKind::detach_range:
        detach_range(op.a % (kWindows * kWindowPages), op.b);
        break;
      case OpKind::end_unbind:
        end_unbind(op.a, op.b % 4 != 0);
        break;
      case OpKind::window:
        move_window(op.a % kWindows);
        break;
    }
    const bool may_ask = op.kind == OpKind::touch || op.kind == OpKind::window;
    require(may_ask || host_.requests() == requests, "host memory");
    compare();
  }
  void finish() {
    while (!binding_.empty())
      end_bind(0, true);
    while (!unbinding_.empty())
      end_unbind(0, true);
    while (!ranges_.empty())
      release(0);
    for (detach(64); !unbinding_.empty(); detach(64))
      end_unbind(0, true);
    compare();
    require(table_.bound() == 0 && table_.empty() == 0, "something is left");
  }

 private:
  struct Hands {
    PageBatch batch;
    std::size_t range = 0;  // whose bind it is
  };

  [[nodiscard]] Address home(std::uint32_t window) const {
    return Address{(1ULL << 40U) + (std::uint64_t{window} + 7 * moves_) * (1ULL << 32U)};
  }
  [[nodiscard]] static Offset at(std::uint32_t page) { return Offset{page * kPage.value}; }
  [[nodiscard]] Row& row(std::uint32_t page) { return rows_[page]; }

  void touch(std::uint32_t first, std::uint32_t b) {
    const std::uint32_t count = 1 + b % std::min(90U, kWindowPages - first % kWindowPages);
    bool ready = true;
    for (std::uint32_t page = first; page < first + count; ++page) {
      Row& r = row(page);
      ready = ready && r.state == Row::bound;
      if (r.state == Row::bound && r.touched == 0) std::erase(queue_, page);
      ++r.touched;
    }
    const auto touched = table_.touch(at(first), kPage * count);
    require(touched == (ready ? PageTouch::ready : PageTouch::commit), "touch");
    ranges_.push_back({first, count});
  }
  void touch_bound(std::uint32_t first, std::uint32_t b) {
    const std::uint32_t count = 1 + b % std::min(5U, kWindowPages - first % kWindowPages);
    const std::uint32_t times = count == 1 ? 1 + b % 3 : 1;
    bool ready = true;
    for (std::uint32_t page = first; page < first + count; ++page)
      ready = ready && row(page).state == Row::bound;
    require(table_.touch_bound(at(first), kPage * count, times) == ready, "touch_bound");
    for (std::uint32_t page = first; ready && page < first + count; ++page) {
      if (row(page).touched == 0) std::erase(queue_, page);
      row(page).touched += times;
    }
    for (std::uint32_t i = 0; ready && i < times; ++i)
      ranges_.push_back({first, count});
  }
  void release(std::uint32_t which) {
    if (ranges_.empty()) return;
    const std::size_t index = which % ranges_.size();
    // Whoever has pages in hand for it has not given up yet.
    for (const Hands& hands : binding_)
      if (hands.range == index) return;
    const Range range = ranges_[index];
    for (std::uint32_t page = range.first; page < range.first + range.count; ++page) {
      Row& r = row(page);
      if (--r.touched == 0 && r.state == Row::bound) queue_.push_back(page);
    }
    table_.release(at(range.first), kPage * range.count);
    const std::size_t last = ranges_.size() - 1;
    ranges_[index] = ranges_[last];
    ranges_.pop_back();
    for (Hands& hands : binding_)
      if (hands.range == last) hands.range = index;
  }
  void begin_bind(std::uint32_t which) {
    if (ranges_.empty()) return;
    const std::size_t index = which % ranges_.size();
    Range& range = ranges_[index];
    range.waited = false;  // the model asks as one who comes anew
    std::vector<std::uint32_t> want;
    bool wait = false;
    for (std::uint32_t page = range.first; page < range.first + range.count; ++page) {
      const Row& r = row(page);
      if (r.state == Row::unbound && want.size() < PageBatch::kCapacity) want.push_back(page);
      wait = wait || r.state == Row::binding || r.state == Row::unbinding;
    }
    PageBatch batch;
    const Step step = table_.begin_bind(at(range.first), kPage * range.count, batch, range.waited);
    require(PageRows::of(batch) == want, "another batch than the unbound pages");
    if (want.empty()) {
      require(step == (wait ? Step::wait : Step::done), "wait or done");
      return;
    }
    require(step == Step::bind, "bind");
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      row(batch.pages[i]).state = Row::binding;
      require(batch.addresses[i] == address_of(batch.pages[i]), "address");
    }
    binding_.push_back({batch, index});
  }
  void end_bind(std::uint32_t which, bool bound) {
    if (binding_.empty()) return;
    const auto hands = binding_.begin() + which % static_cast<std::uint32_t>(binding_.size());
    PageBatch batch = hands->batch;
    binding_.erase(hands);
    pages_.fill(batch);
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      Row& r = row(batch.pages[i]);
      r.state = bound ? Row::bound : Row::unbound;
      if (bound) r.physical = batch.physical[i];
    }
    table_.end_bind(batch, bound, {ErrorCode::driver_error, 5});
  }
  void take_out(const PageBatch& batch, const std::vector<std::uint32_t>& want) {
    require(PageRows::of(batch) == want, "detached other pages");
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      Row& r = row(batch.pages[i]);
      require(batch.physical[i] == r.physical && batch.addresses[i] == address_of(batch.pages[i]), "row");
      r.state = Row::unbinding;
      std::erase(queue_, batch.pages[i]);
    }
    if (!batch.empty()) unbinding_.push_back({batch, 0});
  }
  void detach(std::uint32_t most) {
    // A page that was touched meanwhile keeps its place in the table's queue: only the set is compared.
    PageBatch batch;
    table_.detach(batch, most);
    const std::size_t count = std::min<std::size_t>({most, PageBatch::kCapacity, queue_.size()});
    require(batch.count == count, "detached more or fewer than there are");
    take_out(batch, PageRows::of(batch));
  }
  void detach_range(std::uint32_t first, std::uint32_t b) {
    const std::uint32_t end = first + 1 + b % (kWindowPages - first % kWindowPages);
    std::vector<std::uint32_t> want;
    for (std::uint32_t page = first; page < end && want.size() < PageBatch::kCapacity; ++page)
      if (row(page).state == Row::bound && row(page).touched == 0) want.push_back(page);
    PageBatch batch;
    Offset cursor = at(first);
    table_.detach_range(batch, cursor, at(end));
    take_out(batch, want);
  }
  void end_unbind(std::uint32_t which, bool unbound) {
    if (unbinding_.empty()) return;
    const auto hands = unbinding_.begin() + which % static_cast<std::uint32_t>(unbinding_.size());
    const PageBatch batch = hands->batch;
    unbinding_.erase(hands);
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      Row& r = row(batch.pages[i]);
      r.state = unbound ? Row::unbound : Row::bound;
      if (unbound) r.physical = {};
      if (!unbound && r.touched == 0) queue_.push_back(batch.pages[i]);
    }
    table_.end_unbind(batch, unbound);
  }
  // A window in which nothing lives comes back at another address.
  void move_window(std::uint32_t window) {
    for (std::uint32_t i = 0; i < kWindowPages; ++i) {
      const Row& r = row(window * kWindowPages + i);
      if (r.touched != 0 || r.state != Row::unbound) return;
    }
    require(table_.window_bound(window) == 0, "window_bound");
    table_.remove_window(window);
    ++moves_;
    require(table_.add_window(window, home(window), kPage * kWindowPages));
    homes_[window] = home(window);
  }

  [[nodiscard]] Address address_of(std::uint32_t page) {
    const std::uint32_t window = page / kWindowPages;
    const auto moved = homes_.find(window);
    const Address begin =
        moved == homes_.end() ? Address{(1ULL << 40U) + window * (1ULL << 32U)} : moved->second;
    return begin + kPage * (page % kWindowPages);
  }

  void compare() {
    const char* wrong = table_.validate();
    require(wrong == nullptr, wrong == nullptr ? "" : wrong);
    std::uint64_t bound = 0;
    std::uint64_t empty = 0;
    std::vector<std::uint32_t> in_window(kWindows);
    for (const auto& [page, r] : rows_) {
      bound += r.state == Row::bound || r.state == Row::unbinding ? 1 : 0;
      empty += r.state == Row::bound && r.touched == 0 ? 1 : 0;
      in_window[page / kWindowPages] += r.state != Row::unbound ? 1 : 0;
    }
    require(table_.bound() == bound, "bound");
    require(table_.empty() == empty && empty == queue_.size(), "empty");
    for (std::uint32_t w = 0; w < kWindows; ++w)
      require(table_.window_bound(w) == in_window[w], "window_bound");
  }

  TestHost host_;
  Table table_{kPage, kPage* kWindowPages, host_.allocator()};
  PageRows pages_;
  std::map<std::uint32_t, Row> rows_;
  std::vector<std::uint32_t> queue_;  // empty pages
  std::vector<Range> ranges_;
  std::vector<Hands> binding_, unbinding_;
  std::map<std::uint32_t, Address> homes_;
  std::uint64_t moves_ = 0;
};

rc::Gen<Op> op_gen() {
  const auto kind = rc::gen::weightedElement<OpKind>({{6, OpKind::touch},
                                                      {3, OpKind::touch_bound},
                                                      {5, OpKind::release},
                                                      {6, OpKind::begin_bind},
                                                      {5, OpKind::end_bind},
                                                      {3, OpKind::detach},
                                                      {2, OpKind::detach_range},
                                                      {4, OpKind::end_unbind},
                                                      {1, OpKind::window}});
  return rc::gen::build<Op>(rc::gen::set(&Op::kind, kind),
                            rc::gen::set(&Op::a, rc::gen::inRange<std::uint32_t>(0, 1000)),
                            rc::gen::set(&Op::b, rc::gen::inRange<std::uint32_t>(0, 1000)));
}

// R7, T2: pages in several hands at once, binds and unbinds that end well or not, in any order; only touch
// and windows ask for host memory.
template <class Table>
void equals_the_model() {
  const auto ops = *rc::gen::container<std::vector<Op>>(op_gen());
  Model<Table> model;
  for (const Op& op : ops)
    model.apply(op);
  model.finish();
}

RC_GTEST_PROP(PageTableProperty, R7_T2_EqualsTheModelAfterEveryOperation, ()) {
  equals_the_model<PageTable>();
}
RC_GTEST_PROP(PageTableProperty, R7_T2_MappedEqualsTheModelAfterEveryOperation, ()) {
  equals_the_model<MappedPageTable>();
}

}  // namespace
}  // namespace vaspace
