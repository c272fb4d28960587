// Disjoint intervals of 64-bit points (addresses, file offsets), in order, each with a value: what is bound
// where, what is free.
//
// Always true: intervals are not empty and do not overlap; they are kept in rising order; every node knows
// the longest interval below it. Only reserve() asks for host memory. Equal calls give equal answers on every
// machine (R9): the tree's shape comes from a fixed sequence.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>

#include "vaspace/base/host_array.hpp"
#include "vaspace/base/units.hpp"

namespace vaspace {

// A treap. Every call is O(log n) expected unless it says more. Externally synchronised.
template <class Value>
class IntervalTreap {
 public:
  struct Interval {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    Value value{};

    [[nodiscard]] std::uint64_t length() const noexcept { return end - begin; }
  };

  explicit IntervalTreap(const HostAllocator& host) noexcept : nodes_(host) {}

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  // Room for `intervals` in all, amortised; false where the host has no memory. Pointers that this tree gave
  // out are void afterwards.
  [[nodiscard]] bool reserve(std::size_t intervals) noexcept {
    if (intervals <= nodes_.capacity()) return true;
    if (intervals >= kNone) return false;
    return nodes_.reserve_more(intervals - nodes_.size());
  }

  // The interval that contains `point`, or null. Valid until the tree changes, as all pointers from here.
  [[nodiscard]] const Interval* containing(std::uint64_t point) const noexcept {
    const Interval* found = floor(point);
    return found != nullptr && found->end > point ? found : nullptr;
  }
  // The last one with begin <= point.
  [[nodiscard]] const Interval* floor(std::uint64_t point) const noexcept {
    const Interval* found = nullptr;
    for (std::uint32_t at = root_; at != kNone;) {
      const Node& node = nodes_[at];
      if (node.interval.begin <= point) found = &node.interval;
      at = node.interval.begin <= point ? node.right : node.left;
    }
    return found;
  }
  // The first one with begin >= point.
  [[nodiscard]] const Interval* ceiling(std::uint64_t point) const noexcept {
    const Interval* found = nullptr;
    for (std::uint32_t at = root_; at != kNone;) {
      const Node& node = nodes_[at];
      if (node.interval.begin >= point) found = &node.interval;
      at = node.interval.begin >= point ? node.left : node.right;
    }
    return found;
  }
  [[nodiscard]] bool overlaps(std::uint64_t begin, std::uint64_t end) const noexcept {
    if (containing(begin) != nullptr) return true;
    const Interval* next = ceiling(begin);
    return next != nullptr && next->begin < end;
  }

  // The lowest aligned point >= from behind which `size` fits into one interval. O(log n) where the alignment
  // never bites; else it may look at every interval of at least `size`.
  [[nodiscard]] std::optional<std::uint64_t> lowest_fit(std::uint64_t size, Alignment alignment,
                                                        std::uint64_t from) const noexcept {
    return lowest_fit_below(root_, size, alignment, from);
  }

  // Disjoint from all others; the caller has reserved the room.
  void insert(const Interval& interval) noexcept {
    assert(interval.begin < interval.end && !overlaps(interval.begin, interval.end));
    root_ = insert_below(root_, new_node(interval));
    ++size_;
  }
  // Removes the interval that begins exactly at `begin`.
  void erase(std::uint64_t begin) noexcept {
    root_ = erase_below(root_, begin);
    --size_;
  }
  // Changes the interval that begins exactly at `begin` in place; it may not pass a neighbour.
  void replace(std::uint64_t begin, const Interval& by) noexcept { replace_below(root_, begin, by); }

  // The sentences at the top, in order. O(n).
  [[nodiscard]] bool validate() const noexcept {
    std::uint64_t end = 0;
    std::size_t count = 0;
    return valid_below(root_, end, count) && count == size_;
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Node {
    Interval interval;
    std::uint64_t longest = 0;  // of the intervals here and below
    std::uint32_t left = kNone;
    std::uint32_t right = kNone;
    std::uint32_t priority = 0;
  };

  [[nodiscard]] std::uint64_t longest(std::uint32_t at) const noexcept {
    return at == kNone ? 0 : nodes_[at].longest;
  }
  void update(std::uint32_t at) noexcept {
    Node& node = nodes_[at];
    node.longest = node.interval.length();
    if (longest(node.left) > node.longest) node.longest = longest(node.left);
    if (longest(node.right) > node.longest) node.longest = longest(node.right);
  }

  [[nodiscard]] std::uint32_t next_priority() noexcept {
    sequence_ += 0x9e3779b97f4a7c15ULL;
    const std::uint64_t mixed = (sequence_ ^ (sequence_ >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    return static_cast<std::uint32_t>(mixed >> 32U);
  }
  [[nodiscard]] std::uint32_t new_node(const Interval& interval) noexcept {
    Node node;
    node.interval = interval;
    node.longest = interval.length();
    node.priority = next_priority();
    if (free_ == kNone) {
      nodes_.push_back_reserved(node);
      return static_cast<std::uint32_t>(nodes_.size() - 1);
    }
    const std::uint32_t at = free_;
    free_ = nodes_[at].left;
    nodes_[at] = node;
    return at;
  }

  void split(std::uint32_t at, std::uint64_t key, std::uint32_t& left, std::uint32_t& right) noexcept {
    if (at == kNone) {
      left = right = kNone;
      return;
    }
    Node& node = nodes_[at];
    if (node.interval.begin < key) {
      split(node.right, key, node.right, right);
      left = at;
    } else {
      split(node.left, key, left, node.left);
      right = at;
    }
    update(at);
  }
  [[nodiscard]] std::uint32_t merge(std::uint32_t left, std::uint32_t right) noexcept {
    if (left == kNone) return right;
    if (right == kNone) return left;
    if (nodes_[left].priority > nodes_[right].priority) {
      nodes_[left].right = merge(nodes_[left].right, right);
      update(left);
      return left;
    }
    nodes_[right].left = merge(left, nodes_[right].left);
    update(right);
    return right;
  }
  [[nodiscard]] std::uint32_t insert_below(std::uint32_t at, std::uint32_t added) noexcept {
    if (at == kNone) return added;
    Node& node = nodes_[at];
    Node& fresh = nodes_[added];
    if (fresh.priority > node.priority) {
      split(at, fresh.interval.begin, fresh.left, fresh.right);
      update(added);
      return added;
    }
    std::uint32_t& child = fresh.interval.begin < node.interval.begin ? node.left : node.right;
    child = insert_below(child, added);
    update(at);
    return at;
  }
  [[nodiscard]] std::uint32_t erase_below(std::uint32_t at, std::uint64_t begin) noexcept {
    assert(at != kNone);
    Node& node = nodes_[at];
    if (node.interval.begin == begin) {
      const std::uint32_t rest = merge(node.left, node.right);
      node.left = free_;
      free_ = at;
      return rest;
    }
    std::uint32_t& child = begin < node.interval.begin ? node.left : node.right;
    child = erase_below(child, begin);
    update(at);
    return at;
  }
  void replace_below(std::uint32_t at, std::uint64_t begin, const Interval& by) noexcept {
    assert(at != kNone && by.begin < by.end);
    Node& node = nodes_[at];
    if (node.interval.begin == begin) {
      node.interval = by;
    } else {
      replace_below(begin < node.interval.begin ? node.left : node.right, begin, by);
    }
    update(at);
  }

  [[nodiscard]] std::optional<std::uint64_t> lowest_fit_below(std::uint32_t at, std::uint64_t size,
                                                              Alignment alignment,
                                                              std::uint64_t from) const noexcept {
    if (at == kNone || nodes_[at].longest < size) return std::nullopt;
    const Node& node = nodes_[at];
    const Interval& here = node.interval;
    if (here.begin > from) {
      const auto found = lowest_fit_below(node.left, size, alignment, from);
      if (found) return found;
    }
    const std::uint64_t low = here.begin > from ? here.begin : from;
    const std::uint64_t start = align_up(low, alignment);  // below `low` where it wrapped
    if (start >= low && start <= here.end && here.end - start >= size) return start;
    return lowest_fit_below(node.right, size, alignment, from);
  }

  [[nodiscard]] bool valid_below(std::uint32_t at, std::uint64_t& end, std::size_t& count) const noexcept {
    if (at == kNone) return true;
    const Node& node = nodes_[at];
    if (!valid_below(node.left, end, count)) return false;
    if (node.interval.begin >= node.interval.end || node.interval.begin < end) return false;
    end = node.interval.end;
    ++count;
    if (!valid_below(node.right, end, count)) return false;
    const std::uint64_t below =
        longest(node.left) > longest(node.right) ? longest(node.left) : longest(node.right);
    return node.longest == (below > node.interval.length() ? below : node.interval.length());
  }

  HostArray<Node> nodes_;
  std::size_t size_ = 0;
  std::uint32_t root_ = kNone;
  std::uint32_t free_ = kNone;  // chained by `left`
  std::uint64_t sequence_ = 0;
};

}  // namespace vaspace
