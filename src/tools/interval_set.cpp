#include "interval_set.hpp"

#include <iterator>

namespace vaspace::tools {

std::optional<Address> IntervalSet::insert(Address begin, Bytes size) {
  const Address end = begin + size;
  if (end <= begin) return begin;
  const auto next = ends_.lower_bound(begin);
  if (next != ends_.end() && next->first < end) return next->first;
  if (next != ends_.begin() && std::prev(next)->second > begin) return std::prev(next)->first;
  ends_.emplace_hint(next, begin, end);
  return std::nullopt;
}

bool IntervalSet::remove(Address begin, Bytes size) {
  const auto found = ends_.find(begin);
  if (found == ends_.end() || found->second != begin + size) return false;
  ends_.erase(found);
  return true;
}

}  // namespace vaspace::tools
