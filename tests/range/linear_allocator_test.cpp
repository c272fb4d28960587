#include "vaspace/range/linear_allocator.hpp"

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <deque>
#include <gtest/gtest.h>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "range/requests.hpp"
#include "support/host.hpp"
#include "support/property.hpp"

namespace vaspace {
namespace {

using test::error_of;
using test::of;
using test::require;

static_assert(std::movable<LinearAllocator> && !std::copyable<LinearAllocator>);

LinearAllocator make(Bytes capacity, std::uint32_t max_marks = 64) {
  auto made = LinearAllocator::create({.capacity = capacity, .max_marks = max_marks});
  EXPECT_TRUE(made);
  return std::move(*made);
}

std::string state_of(const LinearAllocator& linear) {
  const RangeReport r = linear.report();
  return std::to_string(r.used.value) + "/" + std::to_string(r.live) + "/" +
         std::to_string(r.largest_free.value);
}

TEST(LinearAllocator, PlacesInOrderAndAligned_R1) {
  LinearAllocator linear = make(64_B);
  EXPECT_EQ(linear.allocate(of(3))->offset, Offset{0});
  EXPECT_EQ(linear.allocate(of(8, 8))->offset, Offset{8});
  EXPECT_EQ(linear.allocate(of(1, 32))->offset, Offset{32});
  EXPECT_EQ(error_of(linear.allocate(of(32))), ErrorCode::out_of_space);
  EXPECT_EQ(linear.allocate(of(31))->offset, Offset{33});
  EXPECT_EQ(error_of(linear.allocate(of(1))), ErrorCode::out_of_space);
  EXPECT_EQ(linear.validate(), nullptr);
}

TEST(LinearAllocator, ReportAddsUp_R2) {
  LinearAllocator linear = make(64_B);
  EXPECT_EQ(linear.report().free_ranges, 1U);
  ASSERT_TRUE(linear.allocate(of(3)));
  ASSERT_TRUE(linear.allocate(of(8, 8)));
  const RangeReport report = linear.report();
  EXPECT_EQ(report.used, 16_B);
  EXPECT_EQ(report.free(), 48_B);
  EXPECT_EQ(report.largest_free, 48_B);
  EXPECT_EQ(report.live, 2U);
  ASSERT_TRUE(linear.allocate(of(48)));
  EXPECT_EQ(linear.report().free_ranges, 0U);
  linear.reset();
  EXPECT_EQ(linear.report().used, 0_B);
  EXPECT_TRUE(linear.can_allocate(of(64)));
}

TEST(LinearAllocator, EdgesOfSizeAndAlignment_R8) {
  LinearAllocator linear = make(64_B);
  ASSERT_TRUE(linear.allocate(of(1)));
  const std::string before = state_of(linear);
  EXPECT_EQ(error_of(linear.allocate(of(0))), ErrorCode::invalid_size);
  EXPECT_EQ(error_of(linear.allocate(of(0, 0))), ErrorCode::invalid_size);
  EXPECT_EQ(error_of(linear.allocate(of(1, 0))), ErrorCode::invalid_alignment);
  EXPECT_EQ(error_of(linear.allocate(of(1, 3))), ErrorCode::invalid_alignment);
  EXPECT_EQ(error_of(linear.allocate(of(65))), ErrorCode::too_large);
  EXPECT_EQ(error_of(linear.allocate(of(~0ULL))), ErrorCode::too_large);
  EXPECT_EQ(error_of(linear.allocate(of(1, 128))), ErrorCode::too_large);
  EXPECT_EQ(error_of(linear.allocate(of(1, 1ULL << 63U))), ErrorCode::too_large);
  EXPECT_EQ(error_of(linear.allocate(of(1, 64))), ErrorCode::out_of_space);
  EXPECT_EQ(state_of(linear), before);
  linear.reset();
  EXPECT_EQ(linear.allocate(of(64, 64))->offset, Offset{0});
}

TEST(LinearAllocator, BlockOfTheWholeAxis_R8) {
  LinearAllocator linear = make(kMaxBytes);
  EXPECT_EQ(linear.allocate(of(~0ULL))->size, kMaxBytes);
  linear.reset();
  ASSERT_TRUE(linear.allocate(of((1ULL << 63U) + 1)));
  EXPECT_EQ(error_of(linear.allocate(of(1, 1ULL << 63U))),
            ErrorCode::out_of_space);  // would align up to 2^64
  EXPECT_EQ(error_of(linear.allocate(of(~0ULL))), ErrorCode::out_of_space);
  EXPECT_EQ(linear.allocate(of((1ULL << 63U) - 2))->end(), Offset{~0ULL});
  EXPECT_EQ(error_of(linear.allocate(of(1))), ErrorCode::out_of_space);
  EXPECT_EQ(error_of(linear.allocate(of(1, 2))), ErrorCode::out_of_space);
  EXPECT_EQ(linear.validate(), nullptr);
}

TEST(LinearAllocator, ConfigurationAndHostMemory_R7) {
  EXPECT_EQ(error_of(LinearAllocator::create({})), ErrorCode::invalid_configuration);
  test::TestHost host;
  host.fail_at(1);
  EXPECT_EQ(error_of(LinearAllocator::create({.capacity = 8_B, .host = host.allocator()})),
            ErrorCode::out_of_host_memory);
  EXPECT_EQ(host.blocks(), 0);
  {
    auto linear = LinearAllocator::create({.capacity = 8_B, .host = host.allocator()});
    ASSERT_TRUE(linear);
    const auto requests = host.requests();
    const auto mark = linear->mark();
    ASSERT_TRUE(linear->allocate(of(8)));
    ASSERT_TRUE(linear->rewind(*mark));
    linear->reset();
    EXPECT_EQ(host.requests(), requests) << "only create asks for host memory";
  }
  EXPECT_EQ(host.bytes(), 0);
}

TEST(LinearAllocator, RewindsToNestedMarks) {
  LinearAllocator linear = make(64_B);
  ASSERT_TRUE(linear.allocate(of(4)));
  const auto outer = linear.mark();
  ASSERT_TRUE(linear.allocate(of(4)));
  const auto inner = linear.mark();
  EXPECT_EQ(linear.mark(), inner) << "nothing was allocated in between";
  ASSERT_TRUE(linear.allocate(of(4)));
  ASSERT_TRUE(linear.rewind(*inner));
  EXPECT_EQ(linear.report().used, 8_B);
  EXPECT_EQ(linear.report().live, 2U);
  ASSERT_TRUE(linear.rewind(*inner)) << "a mark outlives its own rewind";
  ASSERT_TRUE(linear.rewind(*outer));
  EXPECT_EQ(linear.report().used, 4_B);
  EXPECT_EQ(linear.validate(), nullptr);
}

TEST(LinearAllocator, DeadMarksAreTold_R6) {
  LinearAllocator linear = make(64_B);
  ASSERT_TRUE(linear.allocate(of(4)));
  const auto outer = linear.mark();
  ASSERT_TRUE(linear.allocate(of(4)));
  const auto dead = linear.mark();
  ASSERT_TRUE(linear.rewind(*outer));
  EXPECT_EQ(error_of(linear.rewind(*dead)), ErrorCode::stale_handle);  // above the top: it lies in the future
  ASSERT_TRUE(linear.allocate(of(4)));
  const auto same_place = linear.mark();
  ASSERT_TRUE(linear.allocate(of(9)));
  const std::string before = state_of(linear);
  EXPECT_EQ(error_of(linear.rewind(*dead)), ErrorCode::stale_handle);  // same index, same top, another life
  EXPECT_EQ(state_of(linear), before);
  ASSERT_TRUE(linear.rewind(*same_place));
  linear.reset();
  EXPECT_EQ(error_of(linear.rewind(*same_place)), ErrorCode::stale_handle);
  EXPECT_EQ(error_of(linear.rewind(*outer)), ErrorCode::stale_handle);
}

TEST(LinearAllocator, ForeignAndMadeUpMarksAreTold_R6) {
  LinearAllocator linear = make(64_B);
  LinearAllocator other = make(64_B);
  ASSERT_TRUE(linear.allocate(of(4)));
  const auto mine = linear.mark();
  const auto foreign = other.mark();
  ASSERT_TRUE(linear.allocate(of(4)));
  const std::string before = state_of(linear);
  LinearMark future = *mine;
  future.serial += 1;
  LinearMark elsewhere = *mine;
  elsewhere.index = ~0U;
  EXPECT_EQ(error_of(linear.rewind(*foreign)), ErrorCode::unknown_handle);
  EXPECT_EQ(error_of(linear.rewind({})), ErrorCode::unknown_handle);
  EXPECT_EQ(error_of(linear.rewind(future)), ErrorCode::unknown_handle);
  EXPECT_EQ(error_of(linear.rewind(elsewhere)), ErrorCode::stale_handle);
  EXPECT_EQ(state_of(linear), before);
  EXPECT_TRUE(linear.rewind(*mine));
}

TEST(LinearAllocator, MarksAreBounded) {
  LinearAllocator linear = make(64_B, 2);
  std::vector<LinearMark> marks;
  for (int i = 0; i < 2; ++i) {
    marks.push_back(*linear.mark());
    ASSERT_TRUE(linear.allocate(of(1)));
  }
  EXPECT_EQ(error_of(linear.mark()), ErrorCode::out_of_space);
  ASSERT_TRUE(linear.rewind(marks[1]));
  EXPECT_EQ(linear.mark(), marks[1]);
  LinearAllocator none = make(64_B, 0);
  EXPECT_EQ(error_of(none.mark()), ErrorCode::out_of_space);
  EXPECT_EQ(none.validate(), nullptr);
}

TEST(LinearAllocator, Moves_R10) {
  LinearAllocator from = make(64_B);
  ASSERT_TRUE(from.allocate(of(5)));
  const auto mark = from.mark();
  ASSERT_TRUE(from.allocate(of(5)));
  LinearAllocator to = std::move(from);
  EXPECT_EQ(to.report().used, 10_B);
  EXPECT_TRUE(to.rewind(*mark)) << "marks move along";
  from = make(16_B);
  EXPECT_EQ(from.allocate(of(16))->offset, Offset{0});
  EXPECT_EQ(to.report().used, 5_B);
  EXPECT_EQ(from.validate(), nullptr);
}

// The naive one: a flag per unit, a list of ranges, and a set of the marks that live.
class NaiveLinear {
 public:
  explicit NaiveLinear(std::uint64_t capacity) : used_(capacity, false) {}

  std::optional<std::uint64_t> allocate(std::uint64_t size, std::uint64_t alignment) {
    for (std::uint64_t begin = top(); begin + size <= used_.size(); ++begin) {
      if (begin % alignment != 0) continue;
      for (std::uint64_t i = 0; i < begin + size; ++i)
        used_[i] = true;
      ends_.push_back(begin + size);
      return begin;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::uint64_t capacity() const { return used_.size(); }
  std::size_t mark() { return ends_.size(); }
  void rewind(std::size_t mark) {
    ends_.resize(mark);
    for (std::uint64_t i = top(); i < used_.size(); ++i)
      used_[i] = false;
  }
  [[nodiscard]] std::uint64_t used() const {
    std::uint64_t n = 0;
    for (const bool one : used_)
      n += one ? 1U : 0U;
    return n;
  }
  [[nodiscard]] std::uint64_t live() const { return ends_.size(); }
  [[nodiscard]] const std::vector<std::uint64_t>& ends() const { return ends_; }

 private:
  [[nodiscard]] std::uint64_t top() const { return ends_.empty() ? 0 : ends_.back(); }
  std::vector<bool> used_;
  std::vector<std::uint64_t> ends_;
};

struct TakenMark {
  LinearMark mark;
  std::size_t ranges;  // live when it was taken
  bool dead = false;
};

void expect_same(const LinearAllocator& linear, const NaiveLinear& naive) {
  const char* wrong = linear.validate();
  require(wrong == nullptr, wrong == nullptr ? "" : wrong);
  require(linear.report().used.value == naive.used());
  require(linear.report().live == naive.live());
}

// One call on both: what is answered and what is left must agree. Marks are tried dead or alive.
class Pair {
 public:
  explicit Pair(std::uint64_t capacity, std::uint32_t max_marks)
      : linear_(make(Bytes{capacity}, max_marks)), naive_(capacity), max_marks_(max_marks) {}

  void allocate(std::uint64_t size, std::uint64_t alignment) {
    alignment = std::min(alignment, std::bit_floor(naive_.capacity()));
    const bool can = linear_.can_allocate(of(size, alignment));
    const auto got = linear_.allocate(of(size, alignment));
    require(can == got.has_value(), "can_allocate");
    const auto want = naive_.allocate(size, alignment);
    require(got.has_value() == want.has_value(), "allocate");
    require(!got || got->offset == Offset{*want}, "the same place");
    expect_same(linear_, naive_);
  }
  void mark() {
    const auto got = linear_.mark();
    std::set<std::size_t> live;
    for (const TakenMark& taken : marks_)
      if (!taken.dead) live.insert(taken.ranges);
    const bool full = !live.contains(naive_.mark()) && live.size() == max_marks_;
    require(got.has_value() != full, "mark");
    if (got) marks_.push_back({*got, naive_.mark()});
    expect_same(linear_, naive_);
  }
  void rewind(std::size_t nth) {
    if (marks_.empty()) return;
    const TakenMark taken = marks_[nth % marks_.size()];
    const auto got = linear_.rewind(taken.mark);
    require(taken.dead ? !got && got.error().code == ErrorCode::stale_handle : got.has_value(), "rewind");
    if (!taken.dead) {
      naive_.rewind(taken.ranges);
      for (TakenMark& each : marks_)
        each.dead = each.dead || each.ranges > taken.ranges;
    }
    expect_same(linear_, naive_);
  }
  void reset() {
    linear_.reset();
    naive_.rewind(0);
    for (TakenMark& each : marks_)
      each.dead = true;
    expect_same(linear_, naive_);
  }
  [[nodiscard]] std::size_t marks() const { return marks_.size(); }
  // What later calls can depend on: where ranges end, and which marks live.
  [[nodiscard]] std::string key() const {
    std::string key;
    for (const std::uint64_t end : naive_.ends())
      key += std::to_string(end) + ",";
    std::set<std::pair<bool, std::size_t>> marks;
    for (const TakenMark& each : marks_)
      marks.insert({each.dead, each.dead ? 0 : each.ranges});
    for (const auto& [dead, ranges] : marks)
      key.append(dead ? "x" : "m").append(std::to_string(ranges));
    return key;
  }

 private:
  LinearAllocator linear_;
  NaiveLinear naive_;
  std::vector<TakenMark> marks_;
  std::size_t max_marks_;
};

struct Step {
  int what;  // 0 allocate, 1 mark, 2 rewind, 3 reset
  std::uint64_t a, b;
};

void apply(Pair& pair, const Step& step) {
  switch (step.what) {
    case 0:
      return pair.allocate(step.a, step.b);
    case 1:
      return pair.mark();
    case 2:
      return pair.rewind(step.a);
    default:
      return pair.reset();
  }
}

RC_GTEST_PROP(LinearAllocatorProperty, AgreesWithTheNaiveOne_R1_R2_R6, ()) {
  Pair pair(*rc::gen::inRange<std::uint64_t>(1, 300), *rc::gen::inRange<std::uint32_t>(0, 8));
  const auto steps = *rc::gen::container<std::vector<std::tuple<int, std::uint64_t, unsigned>>>(
      rc::gen::tuple(rc::gen::weightedElement<int>({{6, 0}, {3, 1}, {3, 2}, {1, 3}}),
                     rc::gen::inRange<std::uint64_t>(1, 40), rc::gen::inRange(0U, 7U)));
  for (const auto& [what, a, b] : steps) {
    apply(pair, {what, a, 1ULL << b});
  }
}

// Breadth-first over every reachable state of a block of 8 units with up to 3 marks; every call from each.
TEST(LinearAllocator, EveryStateOfEightUnits_R1_R2_R6) {
  std::vector<Step> moves{{1, 0, 0}, {3, 0, 0}};
  for (std::uint64_t size = 1; size <= 8; ++size)
    for (std::uint64_t alignment = 1; alignment <= 8; alignment *= 2)
      moves.push_back({0, size, alignment});
  std::set<std::string> seen{""};
  std::deque<std::vector<Step>> frontier{{}};
  while (!frontier.empty()) {
    const std::vector<Step> path = frontier.front();
    frontier.pop_front();
    const auto replay = [&path] {
      Pair pair(8, 3);
      for (const Step& step : path)
        apply(pair, step);
      return pair;
    };
    std::vector<Step> here = moves;
    for (std::size_t mark = 0; mark < replay().marks(); ++mark)
      here.push_back({2, mark, 0});
    for (const Step& move : here) {
      Pair pair = replay();
      apply(pair, move);
      if (!seen.insert(pair.key()).second) continue;
      frontier.push_back(path);
      frontier.back().push_back(move);
    }
  }
  EXPECT_GT(seen.size(), 500U);
  RecordProperty("states", static_cast<int>(seen.size()));
}

TEST(LinearAllocator, SameCallsSamePlacement_R9) {
  const auto run = [] {
    LinearAllocator linear = make(1_MiB);
    std::vector<std::uint64_t> offsets;
    for (std::uint64_t i = 1; i < 200; ++i)
      offsets.push_back(linear.allocate(of(i * 7, 1ULL << (i % 9)))->offset.value);
    return offsets;
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace vaspace
