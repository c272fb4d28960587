#include "vaspace/arena/address_tracker.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <ostream>
#include <random>
#include <utility>
#include <vector>

#include "support/host.hpp"
#include "support/property.hpp"

namespace vaspace {
namespace {

using test::require;
using test::TestHost;

constexpr std::uint64_t kUnit = AddressTracker::kUnit.value;

// The obvious thing: begin -> {end, value}.
class Ranges {
 public:
  [[nodiscard]] bool free(std::uint64_t begin, std::uint64_t end) const {
    const auto after = by_begin_.lower_bound(begin);
    if (after != by_begin_.end() && after->first < end) return false;
    return after == by_begin_.begin() || std::prev(after)->second.first <= begin;
  }
  void add(std::uint64_t begin, std::uint64_t end, std::uint32_t value) { by_begin_[begin] = {end, value}; }
  void remove(std::uint64_t begin) { by_begin_.erase(begin); }
  [[nodiscard]] std::uint32_t find(std::uint64_t at) const {
    const auto after = by_begin_.upper_bound(at);
    if (after == by_begin_.begin()) return AddressTracker::kNone;
    const auto& [end, value] = std::prev(after)->second;
    return at < end ? value : AddressTracker::kNone;
  }
  [[nodiscard]] const auto& all() const { return by_begin_; }

 private:
  std::map<std::uint64_t, std::pair<std::uint64_t, std::uint32_t>> by_begin_;
};

// At every border, one byte to either side and in the middle; and no look-up above the bound.
void expect_same(const AddressTracker& tracker, const Ranges& ranges) {
  const auto same = [&](std::uint64_t at) {
    const std::uint64_t visits = tracker.visits();
    require(tracker.find(Address{at}) == ranges.find(at), "at " + std::to_string(at));
    require(tracker.visits() - visits <= AddressTracker::kLevels, "too many visits");
  };
  for (const auto& [begin, range] : ranges.all()) {
    for (const std::uint64_t at :
         {begin - 1, begin, begin + (range.first - begin) / 2, range.first - 1, range.first})
      same(at);
  }
}

struct Op {
  bool insert = true;
  std::uint32_t where = 0;
  unsigned scale = 0;  // of the place and of the size, in powers of the fan-out
  std::uint32_t size = 0;

  friend std::ostream& operator<<(std::ostream& out, const Op& op) {
    return out << (op.insert ? "insert" : "erase") << "{" << op.where << ", " << op.scale << ", " << op.size
               << "}";
  }
};

rc::Gen<Op> op_gen() {
  return rc::gen::build<Op>(
      rc::gen::set(&Op::insert, rc::gen::weightedElement<bool>({{3, true}, {2, false}})),
      rc::gen::set(&Op::where, rc::gen::inRange<std::uint32_t>(0, 6000)),
      rc::gen::set(&Op::scale, rc::gen::inRange(0U, 36U)),
      rc::gen::set(&Op::size, rc::gen::inRange<std::uint32_t>(1, 9000)));
}

RC_GTEST_PROP(AddressTracker, EqualsAMapAfterEveryOperation, ()) {
  const auto ops = *rc::gen::container<std::vector<Op>>(op_gen());
  TestHost host;
  {
    AddressTracker tracker(host.allocator());
    Ranges ranges;
    std::uint32_t value = 0;
    for (const Op& op : ops) {
      if (op.insert) {
        const std::uint64_t begin = (1 + (std::uint64_t{op.where} << op.scale) % ((1ULL << 48U) - 1)) * kUnit;
        const std::uint64_t units = 1 + (std::uint64_t{op.size} << op.scale) / 4096;
        const std::uint64_t end = begin + units * kUnit;
        if (end < begin || !ranges.free(begin, end)) continue;
        require(tracker.insert(Address{begin}, Bytes{end - begin}, ++value), "insert");
        ranges.add(begin, end, value);
      } else if (!ranges.all().empty()) {
        const auto at =
            std::next(ranges.all().begin(), static_cast<std::ptrdiff_t>(op.where % ranges.all().size()));
        const auto [begin, range] = *at;
        tracker.erase(Address{begin}, Bytes{range.first - begin});
        ranges.remove(begin);
        require(tracker.find(Address{begin}) == AddressTracker::kNone, "erased");
      }
      expect_same(tracker, ranges);
    }
  }
  require(host.bytes() == 0, "kept host memory");
}

TEST(AddressTracker, KnowsNothingBeforeTheFirstInsert) {
  TestHost host;
  AddressTracker tracker(host.allocator());
  EXPECT_EQ(tracker.find(Address{}), AddressTracker::kNone);
  EXPECT_EQ(tracker.find(Address{~std::uint64_t{0}}), AddressTracker::kNone);
  EXPECT_EQ(tracker.visits(), 0U);
  EXPECT_EQ(host.requests(), 0);
}

TEST(AddressTracker, ReachesBothEndsOfTheAddressSpace) {
  AddressTracker tracker(default_host_allocator());
  const Address last{~std::uint64_t{0} - kUnit + 1};
  ASSERT_TRUE(tracker.insert(Address{}, AddressTracker::kUnit, 1));
  ASSERT_TRUE(tracker.insert(last, AddressTracker::kUnit, AddressTracker::kMaxValue));
  EXPECT_EQ(tracker.find(Address{}), 1U);
  EXPECT_EQ(tracker.find(Address{kUnit}), AddressTracker::kNone);
  EXPECT_EQ(tracker.find(Address{~std::uint64_t{0}}), AddressTracker::kMaxValue);
  tracker.erase(last, AddressTracker::kUnit);
  EXPECT_EQ(tracker.find(last), AddressTracker::kNone);
}

// A look-up visits as many nodes whatever the number of ranges.
TEST(AddressTracker, LooksAtAsManyNodesAt10As100000Ranges) {
  std::uint64_t visits[3] = {};
  std::size_t row = 0;
  for (const std::uint64_t count : {10U, 10'000U, 100'000U}) {
    AddressTracker tracker(default_host_allocator());
    const Bytes size = 2_MiB;
    const auto at = [&](std::uint64_t i) { return Address{1ULL << 40U} + size * i; };
    for (std::uint64_t i = 0; i < count; ++i)
      ASSERT_TRUE(tracker.insert(at(i), size, static_cast<std::uint32_t>(i + 1)));
    for (std::uint64_t i = 0; i < 1000; ++i) {
      const std::uint64_t which = i * 7919 % count;
      ASSERT_EQ(tracker.find(at(which) + 12345_B), which + 1);
    }
    visits[row++] = tracker.visits();
  }
  EXPECT_EQ(visits[0], visits[1]);
  EXPECT_EQ(visits[1], visits[2]);
  EXPECT_LE(visits[2], 1000U * AddressTracker::kLevels);
}

TEST(AddressTracker, ALargeAlignedRangeEndsHigherUp) {
  AddressTracker tracker(default_host_allocator());
  const Bytes huge{1ULL << 52U};  // one entry of the root
  ASSERT_TRUE(tracker.insert(Address{huge.value}, huge, 5));
  EXPECT_EQ(tracker.find(Address{huge.value} + huge - 1_B), 5U);
  EXPECT_EQ(tracker.visits(), 1U);
  tracker.erase(Address{huge.value}, huge);
  EXPECT_EQ(tracker.find(Address{huge.value}), AddressTracker::kNone);
}

TEST(AddressTracker, NodesAreUsedAgain) {
  TestHost host;
  AddressTracker tracker(host.allocator());
  // Each lies under nodes of its own.
  const auto at = [](std::uint64_t i) { return Address{(i + 1) << 52U}; };
  ASSERT_TRUE(tracker.insert(at(0), AddressTracker::kUnit, 1));
  const std::int64_t bytes = host.bytes();
  for (std::uint64_t i = 0; i < 500; ++i) {
    tracker.erase(at(i), AddressTracker::kUnit);
    ASSERT_TRUE(tracker.insert(at(i + 1), AddressTracker::kUnit, 1));
    ASSERT_EQ(tracker.find(at(i)), AddressTracker::kNone);
  }
  EXPECT_EQ(host.bytes(), bytes);
}

// R7: insert refused at any request has changed nothing; erase asks for nothing.
TEST(AddressTracker, R7_HostFailureAtEveryRequestChangesNothing) {
  // Over a border of the root's entries, ragged at both ends: many nodes on either side.
  const Address begin{(1ULL << 53U) - 5 * kUnit - (3ULL << 28U)};
  const Bytes size = (6ULL << 28U) * 1_B + 11 * AddressTracker::kUnit;
  const Address neighbour = begin + size;
  int nth = 1;
  for (; nth < 50; ++nth) {
    TestHost host;
    {
      AddressTracker tracker(host.allocator());
      ASSERT_TRUE(tracker.insert(neighbour, AddressTracker::kUnit, 9));
      host.fail_at(nth);
      const bool inserted = tracker.insert(begin, size, 7);
      host.fail_at(0);
      EXPECT_EQ(tracker.find(neighbour), 9U);
      if (!inserted) {
        for (const Address at :
             {begin, begin + AddressTracker::kUnit * 5, Address{1ULL << 53U}, begin + size - 1_B})
          EXPECT_EQ(tracker.find(at), AddressTracker::kNone);
        ASSERT_TRUE(tracker.insert(begin, size, 7));
      }
      EXPECT_EQ(tracker.find(begin), 7U);
      EXPECT_EQ(tracker.find(begin + size - 1_B), 7U);
      const std::int64_t requests = host.requests();
      tracker.erase(begin, size);
      EXPECT_EQ(host.requests(), requests);
      EXPECT_EQ(tracker.find(begin), AddressTracker::kNone);
      EXPECT_EQ(tracker.find(neighbour), 9U);
      if (inserted) break;
    }
    EXPECT_EQ(host.bytes(), 0);
  }
  EXPECT_GE(nth, 4) << "each of the nodes that it needs has been refused once";
}

}  // namespace
}  // namespace vaspace
