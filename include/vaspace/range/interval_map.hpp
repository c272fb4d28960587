// Which value holds where: disjoint half-open intervals [begin, end) of 64-bit points, each with a value.
//
//   |--a--|  |------b------|                 assign(x, y, c) replaces what it overlaps and leaves the rests:
//        x                y
//   |-a-||--------c-------||b|               the right rest of b is advance(b, its begin - b's begin)
//
// Always true: intervals are not empty, do not overlap and rise; two that touch and continue each other
// (Traits) are one. Below: IntervalTree's.
//
// A value may say where it stands: with Traits that advance an offset, [0,4)->7 and [4,9)->11 are one
// interval.
//
// Points are below 2^64 - 1, so that every interval's end can be written. Externally synchronised. A
// moved-from map can only be destroyed or assigned to (R10).
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>

#include "vaspace/base/result.hpp"
#include "vaspace/base/units.hpp"
#include "vaspace/range/interval_tree.hpp"

namespace vaspace {

// Traits of a value that is the same all over its interval. Others have these two functions: the value n
// points further on; whether `right`, which begins where an interval of `left` ends after `length` points, is
// that interval's continuation: right == advance(left, length).
template <class Value>
struct ConstantInterval {
  static Value advance(const Value& value, std::uint64_t /*n*/) noexcept { return value; }
  static bool continues(const Value& left, std::uint64_t /*length*/, const Value& right) noexcept {
    return left == right;
  }
};

// Value is trivially copyable and has a default. kNodeBytes: about a node's size.
template <class Value, class Traits = ConstantInterval<Value>, std::size_t kNodeBytes = 512>
class IntervalMap {
  using Tree = IntervalTree<Value, kNodeBytes>;
  using At = typename Tree::At;

 public:
  struct Entry {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    Value value{};

    friend bool operator==(const Entry&, const Entry&) noexcept = default;
  };

  // In order; dead after any change of the map.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;  // entries are made on the way
    using value_type = Entry;
    using difference_type = std::ptrdiff_t;
    using reference = Entry;
    using pointer = void;

    Iterator() noexcept = default;
    [[nodiscard]] Entry operator*() const noexcept { return entry_of(at_); }
    Iterator& operator++() noexcept {
      at_ = at_.next();
      return *this;
    }
    Iterator operator++(int) noexcept {
      const Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) noexcept { return a.at_ == b.at_; }

   private:
    friend class IntervalMap;
    explicit Iterator(At at) noexcept : at_(at) {}
    At at_{};
  };

  explicit IntervalMap(const HostAllocator& host = default_host_allocator()) noexcept : tree_(host) {}

  // The interval that contains `point`. O(log n).
  [[nodiscard]] std::optional<Entry> find(std::uint64_t point) const noexcept {
    const At at = tree_.floor(point);
    if (!at || at.end() <= point) return std::nullopt;
    return entry_of(at);
  }
  // The value at that very point, advanced to it. O(log n).
  [[nodiscard]] std::optional<Value> at(std::uint64_t point) const noexcept {
    const At at = tree_.floor(point);
    if (!at || at.end() <= point) return std::nullopt;
    return Traits::advance(at.value(), point - at.begin());
  }
  // The first interval that ends above `point`: it contains the point, or it is the next one. O(log n).
  [[nodiscard]] Iterator lower_bound(std::uint64_t point) const noexcept {
    const At at = tree_.floor(point);
    if (!at) return begin();
    return Iterator(at.end() > point ? at : at.next());
  }
  [[nodiscard]] Iterator begin() const noexcept { return Iterator(tree_.first()); }
  [[nodiscard]] Iterator end() const noexcept { return Iterator(); }
  [[nodiscard]] std::size_t size() const noexcept { return tree_.size(); }
  [[nodiscard]] bool empty() const noexcept { return tree_.size() == 0; }
  // Held now, spare nodes too.
  [[nodiscard]] Bytes host_bytes() const noexcept {
    return Bytes{(tree_.nodes() + tree_.spare()) * Tree::node_bytes()};
  }

  // Errors: invalid_size (end is not above begin), out_of_host_memory; nothing has changed then (R7).
  // O((1 + replaced / entries per node) * log n).
  [[nodiscard]] Result<void> assign(std::uint64_t begin, std::uint64_t end, const Value& value) noexcept {
    if (begin >= end) return fail(ErrorCode::invalid_size);
    if (!prepare(1)) return fail(ErrorCode::out_of_host_memory);
    const Value copy = value;  // it may lie in a node of this map
    cut(begin, end);
    join(begin, end, copy);
    return {};
  }

  // Errors and cost as assign; out_of_host_memory only where it would split an interval in two.
  [[nodiscard]] Result<void> erase(std::uint64_t begin, std::uint64_t end) noexcept {
    if (begin >= end) return fail(ErrorCode::invalid_size);
    const At at = tree_.floor(begin);
    if (at && at.begin() < begin && at.end() > end && !tree_.prepare(1)) {
      return fail(ErrorCode::out_of_host_memory);
    }
    cut(begin, end);
    return {};
  }

  // After true, the next `operations` of assign and erase cannot fail for want of host memory, unless
  // release_spare comes between: what a rollback needs. After false nothing has changed. Calls do not add up.
  [[nodiscard]] bool prepare(std::size_t operations) noexcept {
    return operations <= kMaxPrepared && tree_.prepare(kInsertsPerOperation * operations);
  }
  // Gives the host what the map does not need now. Nothing else does: erase keeps nodes for later.
  void release_spare() noexcept { tree_.release_spare(); }
  void clear() noexcept { tree_.clear(); }

  [[nodiscard]] const char* validate() const noexcept {
    if (const char* wrong = tree_.validate()) return wrong;
    for (At at = tree_.first(); at; at = at.next()) {
      const At next = at.next();
      if (next && touches(at, next.begin(), next.value())) {
        return "interval map: two intervals that continue each other are not one";
      }
    }
    return nullptr;
  }

 private:
  // The rest right of a cut, and the interval assigned.
  static constexpr std::size_t kInsertsPerOperation = 2;
  static constexpr std::size_t kMaxPrepared = std::size_t{1} << 48U;

  [[nodiscard]] static Entry entry_of(At at) noexcept { return {at.begin(), at.end(), at.value()}; }
  // Whether what begins at `begin` with `value` continues the interval at `left`.
  [[nodiscard]] static bool touches(At left, std::uint64_t begin, const Value& value) noexcept {
    return left.end() == begin && Traits::continues(left.value(), begin - left.begin(), value);
  }

  // Leaves nothing in [begin, end) and keeps the rests.
  void cut(std::uint64_t begin, std::uint64_t end) noexcept {
    const At over = tree_.floor(begin);
    if (over && over.begin() < begin && over.end() > begin) {
      const Entry whole = entry_of(over);
      over.end() = begin;
      if (whole.end > end) {
        tree_.insert(end, whole.end, Traits::advance(whole.value, end - whole.begin));
        return;
      }
    }
    for (At at = tree_.ceil(begin); at && at.begin() < end; at = tree_.ceil(begin)) {
      std::size_t covered = 0;
      while (at.index + covered < at.leaf->count && at.leaf->end[at.index + covered] <= end)
        ++covered;
      if (covered == 0) {
        at.value() = Traits::advance(at.value(), end - at.begin());
        tree_.move_begin(at, end);
        return;
      }
      tree_.remove(at, covered);
    }
  }

  // Puts an interval where nothing is, as one with the neighbours that it continues or that continue it.
  void join(std::uint64_t begin, std::uint64_t end, const Value& value) noexcept {
    const At left = tree_.floor(begin);
    const At right = left ? left.next() : tree_.first();
    const bool with_left = left && touches(left, begin, value);
    const bool with_right =
        right && right.begin() == end && Traits::continues(value, end - begin, right.value());
    if (with_left) left.end() = with_right ? right.end() : end;
    if (with_left && with_right) {
      tree_.remove(right, 1);
    } else if (with_right) {
      right.value() = value;
      tree_.move_begin(right, begin);
    } else if (!with_left) {
      tree_.insert(begin, end, value);
    }
  }

  Tree tree_;
};

}  // namespace vaspace
