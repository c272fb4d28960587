// What the range allocators are compared with after every operation: the obvious thing, in std containers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "vaspace/base/units.hpp"

namespace vaspace::test {

// Exact best fit over granules: the smallest hole that holds the request where its alignment puts it, the
// lowest among equals (R3, R4). Holes never merge across a span's border.
class BestFitOracle {
 public:
  BestFitOracle(std::uint64_t granule, std::uint64_t window) : granule_(granule), window_(window) {}

  void add_span(std::uint64_t begin, std::uint64_t size) {
    size -= size % granule_;
    borders_.insert(begin);
    borders_.insert(begin + size);
    add_hole(begin, size);
    capacity_ += size;
  }
  void remove_span(std::uint64_t begin) {
    const std::uint64_t size = holes_.at(begin);
    remove_hole(begin);
    borders_.erase(borders_.find(begin));
    borders_.erase(borders_.find(begin + size));
    capacity_ -= size;
  }
  [[nodiscard]] bool span_is_empty(std::uint64_t begin) const {
    const auto hole = holes_.find(begin);
    return hole != holes_.end() && borders_.contains(begin) && borders_.contains(begin + hole->second);
  }

  [[nodiscard]] std::optional<std::uint64_t> find(std::uint64_t size, std::uint64_t alignment) const {
    if (size == 0 || size > window_ || alignment > window_) return std::nullopt;
    const std::uint64_t need = round(size);
    for (auto hole = by_size_.lower_bound({need, 0}); hole != by_size_.end(); ++hole) {
      const std::uint64_t begin = align_up(hole->second, Alignment{alignment});
      if (begin + need <= hole->second + hole->first) return begin;
    }
    return std::nullopt;
  }
  std::optional<std::uint64_t> allocate(std::uint64_t size, std::uint64_t alignment) {
    const auto begin = find(size, alignment);
    if (!begin) return std::nullopt;
    const std::uint64_t end = *begin + round(size);
    const auto hole = std::prev(holes_.upper_bound(*begin));
    const auto [from, length] = *hole;
    remove_hole(from);
    if (from < *begin) add_hole(from, *begin - from);
    if (end < from + length) add_hole(end, from + length - end);
    live_[*begin] = end - *begin;
    used_ += end - *begin;
    return begin;
  }
  void free(std::uint64_t begin) {
    std::uint64_t size = live_.at(begin);
    used_ -= size;
    live_.erase(begin);
    if (!borders_.contains(begin + size)) {
      if (const auto after = holes_.find(begin + size); after != holes_.end()) {
        size += after->second;
        remove_hole(after->first);
      }
    }
    if (!borders_.contains(begin)) {
      auto before = holes_.lower_bound(begin);
      if (before != holes_.begin() && std::prev(before)->first + std::prev(before)->second == begin) {
        --before;
        const auto [from, length] = *before;
        remove_hole(from);
        begin = from;
        size += length;
      }
    }
    add_hole(begin, size);
  }
  // Whether it could grow; `size` is above what it has.
  bool extend(std::uint64_t begin, std::uint64_t size) {
    const std::uint64_t have = live_.at(begin);
    const std::uint64_t more = round(size) - have;
    const auto after = holes_.find(begin + have);
    if (after == holes_.end() || borders_.contains(begin + have) || after->second < more) return false;
    const auto [from, length] = *after;
    remove_hole(from);
    if (length > more) add_hole(from + more, length - more);
    live_[begin] = have + more;
    used_ += more;
    return true;
  }
  void shrink(std::uint64_t begin, std::uint64_t size) {
    const std::uint64_t have = live_.at(begin);
    const std::uint64_t keep = round(size);
    if (keep == have) return;
    live_[begin] = keep;
    live_[begin + keep] = have - keep;
    free(begin + keep);
    // free took the cut-off part's bytes from used; the kept part stays.
  }

  [[nodiscard]] std::uint64_t round(std::uint64_t size) const {
    return (size + granule_ - 1) / granule_ * granule_;
  }
  [[nodiscard]] std::uint64_t capacity() const { return capacity_; }
  [[nodiscard]] std::uint64_t used() const { return used_; }
  [[nodiscard]] std::uint64_t largest_free() const { return by_size_.empty() ? 0 : by_size_.rbegin()->first; }
  [[nodiscard]] std::uint64_t free_ranges() const { return holes_.size(); }
  [[nodiscard]] const std::map<std::uint64_t, std::uint64_t>& live() const { return live_; }
  [[nodiscard]] const std::map<std::uint64_t, std::uint64_t>& holes() const { return holes_; }

 private:
  void add_hole(std::uint64_t begin, std::uint64_t size) {
    holes_[begin] = size;
    by_size_.insert({size, begin});
  }
  void remove_hole(std::uint64_t begin) {
    by_size_.erase({holes_.at(begin), begin});
    holes_.erase(begin);
  }

  std::uint64_t granule_;
  std::uint64_t window_;
  std::uint64_t capacity_ = 0;
  std::uint64_t used_ = 0;
  std::map<std::uint64_t, std::uint64_t> holes_, live_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> by_size_;
  std::multiset<std::uint64_t> borders_;  // two spans may share one
};

// The lowest free slot that lies as the alignment asks (R3, R4).
class SlotOracle {
 public:
  SlotOracle(std::uint64_t slot, std::uint64_t window) : slot_(slot), window_(window) {}

  void add_span(std::uint64_t begin, std::uint64_t size) {
    spans_[begin] = size / slot_;
    for (std::uint64_t i = 0; i < size / slot_; ++i)
      free_.insert(begin + i * slot_);
  }
  void remove_span(std::uint64_t begin) {
    for (std::uint64_t i = 0; i < spans_.at(begin); ++i)
      free_.erase(begin + i * slot_);
    spans_.erase(begin);
  }
  [[nodiscard]] bool span_is_empty(std::uint64_t begin) const {
    for (std::uint64_t i = 0; i < spans_.at(begin); ++i) {
      if (!free_.contains(begin + i * slot_)) return false;
    }
    return true;
  }
  [[nodiscard]] std::optional<std::uint64_t> find(std::uint64_t size, std::uint64_t alignment) const {
    if (size == 0 || size > slot_ || alignment > window_) return std::nullopt;
    for (const std::uint64_t begin : free_) {
      if (begin % alignment == 0) return begin;
    }
    return std::nullopt;
  }
  std::optional<std::uint64_t> allocate(std::uint64_t size, std::uint64_t alignment) {
    const auto begin = find(size, alignment);
    if (begin) {
      free_.erase(*begin);
      live_[*begin] = slot_;
    }
    return begin;
  }
  void free(std::uint64_t begin) {
    live_.erase(begin);
    free_.insert(begin);
  }
  [[nodiscard]] std::uint64_t round(std::uint64_t) const { return slot_; }
  [[nodiscard]] std::uint64_t capacity() const { return (free_.size() + live_.size()) * slot_; }
  [[nodiscard]] std::uint64_t used() const { return live_.size() * slot_; }
  [[nodiscard]] std::uint64_t largest_free() const { return free_.empty() ? 0 : slot_; }
  [[nodiscard]] std::uint64_t free_ranges() const { return free_.size(); }
  [[nodiscard]] const std::map<std::uint64_t, std::uint64_t>& live() const { return live_; }

 private:
  std::uint64_t slot_;
  std::uint64_t window_;
  std::map<std::uint64_t, std::uint64_t> spans_, live_;
  std::set<std::uint64_t> free_;
};

}  // namespace vaspace::test
