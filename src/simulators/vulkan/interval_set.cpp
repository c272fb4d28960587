#include "interval_set.hpp"

#include <algorithm>

namespace vasim {

void IntervalSet::add(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  auto next = ranges_.upper_bound(begin);
  if (next != ranges_.begin() && std::prev(next)->second >= begin) {
    --next;
    begin = next->first;
  }
  while (next != ranges_.end() && next->first <= end) {
    end = std::max(end, next->second);
    next = ranges_.erase(next);
  }
  ranges_.emplace(begin, end);
}

void IntervalSet::remove(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  auto next = ranges_.upper_bound(begin);
  if (next != ranges_.begin() && std::prev(next)->second > begin) --next;
  while (next != ranges_.end() && next->first < end) {
    const auto [first, last] = *next;
    next = ranges_.erase(next);
    if (first < begin) ranges_.emplace(first, begin);
    if (last > end) ranges_.emplace(end, last);
  }
}

std::uint64_t IntervalSet::covered(std::uint64_t begin, std::uint64_t end) const {
  std::uint64_t sum = 0;
  auto next = ranges_.upper_bound(begin);
  if (next != ranges_.begin()) --next;
  for (; next != ranges_.end() && next->first < end; ++next) {
    const std::uint64_t from = std::max(begin, next->first), to = std::min(end, next->second);
    if (from < to) sum += to - from;
  }
  return sum;
}

}  // namespace vasim
