// A ring against the naive one: every answer, every figure, in every state that 8 units can reach.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <deque>
#include <gtest/gtest.h>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "range/ring_fixture.hpp"
#include "support/property.hpp"

namespace vaspace::test {
namespace {

// The naive one: the list of ranges that are not retired, oldest first, and a flag per unit.
class NaiveRing {
 public:
  struct Entry {
    std::uint64_t offset, size;
    std::optional<std::uint64_t> value;  // once closed
  };

  explicit NaiveRing(std::uint64_t capacity) : capacity_(capacity) {}

  std::optional<std::uint64_t> allocate(std::uint64_t size, std::uint64_t alignment) {
    const auto begin = find(size, alignment);
    if (begin) entries_.push_back({*begin, size, std::nullopt});
    return begin;
  }
  bool close(std::uint64_t value) {
    if (value < closed_) return false;
    closed_ = value;
    for (Entry& entry : entries_)
      if (!entry.value) entry.value = value;
    return true;
  }
  bool retire(std::uint64_t completed) {
    if (completed < completed_) return false;
    completed_ = completed;
    while (!entries_.empty() && entries_.front().value && *entries_.front().value <= completed)
      entries_.pop_front();
    return true;
  }
  [[nodiscard]] std::uint64_t used() const {
    const auto units = taken();
    return static_cast<std::uint64_t>(std::count(units.begin(), units.end(), true));
  }
  [[nodiscard]] std::uint64_t largest_free() const {
    std::uint64_t size = capacity_;
    while (size != 0 && !find(size, 1))
      --size;
    return size;
  }
  [[nodiscard]] std::uint64_t pending() const {
    std::set<std::uint64_t> values;
    for (const Entry& entry : entries_)
      if (entry.value) values.insert(*entry.value);
    return values.size();
  }
  // What later calls can depend on: the begin of each close, the head, and the order of all values.
  [[nodiscard]] std::string key() const {
    std::set<std::uint64_t> values{closed_, completed_};
    for (const Entry& entry : entries_)
      if (entry.value) values.insert(*entry.value);
    const auto rank = [&](std::uint64_t value) { return std::distance(values.begin(), values.find(value)); };
    std::string key = std::to_string(rank(closed_)) + "/" + std::to_string(rank(completed_));
    std::optional<std::uint64_t> last = ~0ULL;
    for (const Entry& entry : entries_) {
      if (entry.value == last) continue;
      last = entry.value;
      key.append(" ").append(std::to_string(entry.offset)).append(":");
      key.append(last ? std::to_string(rank(*last)) : "open");
    }
    return key + " " + std::to_string(entries_.empty() ? 0 : head());
  }
  [[nodiscard]] std::uint64_t capacity() const { return capacity_; }
  [[nodiscard]] std::uint64_t closed() const { return closed_; }
  [[nodiscard]] std::uint64_t completed() const { return completed_; }
  [[nodiscard]] const std::deque<Entry>& entries() const { return entries_; }

 private:
  [[nodiscard]] std::uint64_t head() const { return entries_.back().offset + entries_.back().size; }
  // From the oldest range on, unit by unit, around the end, up to the end of the youngest.
  [[nodiscard]] std::vector<bool> taken() const {
    std::vector<bool> units(capacity_, false);
    if (entries_.empty()) return units;
    std::uint64_t i = entries_.front().offset;
    do {
      units[i] = true;
      i = (i + 1) % capacity_;
    } while (i != head() % capacity_);
    return units;
  }
  [[nodiscard]] std::optional<std::uint64_t> find(std::uint64_t size, std::uint64_t alignment) const {
    const auto units = taken();
    const std::uint64_t from = entries_.empty() ? 0 : head();
    for (std::uint64_t i = from; i < capacity_ + from; ++i) {
      const std::uint64_t begin = i % capacity_;
      if (begin % alignment != 0 || begin + size > capacity_) continue;
      if (std::find(units.begin() + static_cast<std::ptrdiff_t>(begin),
                    units.begin() + static_cast<std::ptrdiff_t>(begin + size),
                    true) == units.begin() + static_cast<std::ptrdiff_t>(begin + size)) {
        return begin;
      }
    }
    return std::nullopt;
  }

  std::uint64_t capacity_;
  std::deque<Entry> entries_;
  std::uint64_t closed_ = 0;
  std::uint64_t completed_ = 0;
};

struct Step {
  int what;  // 0 allocate, 1 close, 2 retire
  std::uint64_t a, b;
};

// One call on both: what is answered and what is left must agree.
class Pair {
 public:
  explicit Pair(std::uint64_t capacity, std::uint32_t pending = 1)
      : ring_(make_ring(Bytes{capacity}, pending)), naive_(capacity) {}
  // The ring has no copy, so its state is reached again by the same calls.
  Pair(std::uint64_t capacity, const NaiveRing& naive, const std::vector<Step>& path)
      : ring_(make_ring(Bytes{capacity}, 1)), naive_(naive) {
    for (const Step& step : path) {
      if (step.what == 0) (void)ring_.allocate(of(step.a, step.b));
      if (step.what == 1) (void)ring_.close(step.a);
      if (step.what == 2) (void)ring_.retire(step.a);
    }
  }

  void apply(const Step& step) {
    const std::string before = state_of(ring_);
    const bool done = step.what == 0   ? allocate(step.a, step.b)
                      : step.what == 1 ? close(step.a)
                                       : retire(step.a);
    require(done || before == state_of(ring_), "a refusal changes nothing");
    const char* wrong = ring_.validate();
    require(wrong == nullptr, wrong == nullptr ? "" : wrong);
    const RingReport report = ring_.report();
    require(report.used.value == naive_.used(), "used");
    require(report.pending == naive_.pending(), "pending");
    require(report.largest_free.value == naive_.largest_free(), "largest free");
  }
  [[nodiscard]] const NaiveRing& naive() const { return naive_; }

 private:
  bool allocate(std::uint64_t size, std::uint64_t alignment) {
    alignment = std::min(alignment, std::bit_floor(naive_.capacity()));
    const bool can = ring_.can_allocate(of(size, alignment));
    const auto got = ring_.allocate(of(size, alignment));
    require(can == got.has_value(), "can_allocate");
    const auto want = naive_.allocate(size, alignment);
    require(got.has_value() == want.has_value(), "allocate");
    require(!got || (got->offset == Offset{*want} && got->size == Bytes{size}), "the same place");
    return got.has_value();
  }
  bool close(std::uint64_t value) {
    const bool done = ring_.close(value).has_value();
    require(done == naive_.close(value), "close");
    return done;
  }
  bool retire(std::uint64_t completed) {
    const bool done = ring_.retire(completed).has_value();
    require(done == naive_.retire(completed), "retire");
    return done;
  }

  RingAllocator ring_;
  NaiveRing naive_;
};

RC_GTEST_PROP(RingAllocatorProperty, AgreesWithTheNaiveOne_R1_R2, ()) {
  Pair pair(*rc::gen::inRange<std::uint64_t>(1, 70), *rc::gen::inRange<std::uint32_t>(1, 5));
  const auto steps = *rc::gen::container<std::vector<std::tuple<int, std::uint64_t, unsigned>>>(
      rc::gen::tuple(rc::gen::weightedElement<int>({{6, 0}, {3, 1}, {3, 2}}),
                     rc::gen::inRange<std::uint64_t>(1, 20), rc::gen::inRange(0U, 6U)));
  for (const auto& [what, a, b] : steps) {
    if (what == 0) {
      pair.apply({0, a, 1ULL << b});
    } else if (what == 1) {  // sometimes the same value, sometimes one that goes back
      pair.apply({1, std::max<std::uint64_t>(pair.naive().closed() + b, 1) - 1, 0});
    } else {
      const std::uint64_t lag = a / 4;
      pair.apply({2, std::max(pair.naive().closed(), lag) - lag, 0});
    }
  }
}

// Breadth-first over every reachable state of a block of 8 units; every call from each.
TEST(RingAllocator, EveryStateOfEightUnits_R1_R2) {
  std::vector<Step> allocations;
  for (std::uint64_t size = 1; size <= 8; ++size)
    for (std::uint64_t alignment = 1; alignment <= 8; alignment *= 2)
      allocations.push_back({0, size, alignment});
  std::set<std::string> seen{NaiveRing(8).key()};
  struct State {
    NaiveRing naive;
    std::vector<Step> path;
  };
  std::deque<State> frontier{{NaiveRing(8), {}}};
  while (!frontier.empty()) {
    const State at = frontier.front();
    frontier.pop_front();
    std::vector<Step> here = allocations;
    for (const std::uint64_t value : {at.naive.closed(), at.naive.completed()}) {
      for (const int what : {1, 2}) {
        if (value != 0) here.push_back({what, value - 1, 0});
        here.push_back({what, value, 0});
        here.push_back({what, value + 1, 0});
      }
    }
    for (const NaiveRing::Entry& entry : at.naive.entries())
      if (entry.value) here.push_back({2, *entry.value, 0});
    for (const Step& step : here) {
      Pair pair(8, at.naive, at.path);
      pair.apply(step);
      if (!seen.insert(pair.naive().key()).second) continue;
      frontier.push_back({pair.naive(), at.path});
      frontier.back().path.push_back(step);
    }
  }
  EXPECT_GT(seen.size(), 1000U);
  RecordProperty("states", static_cast<int>(seen.size()));
}

}  // namespace
}  // namespace vaspace::test
