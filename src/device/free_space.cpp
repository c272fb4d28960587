#include "vaspace/device/free_space.hpp"

namespace vaspace {

bool FreeSpace::open(std::uint64_t begin, std::uint64_t end) noexcept {
  if (!ranges_.reserve(pieces_ + opened_ + 1)) return false;
  ranges_.insert({begin, end, {}});
  ++opened_;
  return true;
}

void FreeSpace::close(std::uint64_t begin, Bytes size) noexcept {
  carve(*ranges_.containing(begin), begin, begin + size.value);
  --opened_;
}

bool FreeSpace::is_free(std::uint64_t begin, Bytes size) const noexcept {
  const Ranges::Interval* hole = ranges_.containing(begin);
  return hole != nullptr && hole->end - begin >= size.value;
}

// |----hole----|  ->  |--| taken |--|
void FreeSpace::carve(Ranges::Interval hole, std::uint64_t begin, std::uint64_t end) noexcept {
  const bool left = hole.begin < begin;
  const bool right = end < hole.end;
  if (left) {
    ranges_.replace(hole.begin, {hole.begin, begin, {}});
    if (right) ranges_.insert({end, hole.end, {}});
  } else if (right) {
    ranges_.replace(hole.begin, {end, hole.end, {}});
  } else {
    ranges_.erase(hole.begin);
  }
}

std::optional<std::uint64_t> FreeSpace::take_lowest(Bytes size, Alignment alignment, std::uint64_t from,
                                                    std::size_t pieces) noexcept {
  const auto begin = ranges_.lowest_fit(size.value, alignment, from);
  if (!begin) return std::nullopt;
  carve(*ranges_.containing(*begin), *begin, *begin + size.value);
  pieces_ += pieces;
  return begin;
}

bool FreeSpace::take_at(std::uint64_t begin, Bytes size, std::size_t pieces) noexcept {
  if (!is_free(begin, size)) return false;
  carve(*ranges_.containing(begin), begin, begin + size.value);
  pieces_ += pieces;
  return true;
}

void FreeSpace::give(std::uint64_t begin, Bytes size) noexcept {
  --pieces_;
  const std::uint64_t end = begin + size.value;
  const Ranges::Interval* before = ranges_.floor(begin);
  const Ranges::Interval* after = ranges_.ceiling(end);
  const bool joins_left = before != nullptr && before->end == begin;
  const bool joins_right = after != nullptr && after->begin == end;
  const std::uint64_t low = joins_left ? before->begin : begin;
  const std::uint64_t high = joins_right ? after->end : end;
  if (joins_right && joins_left) ranges_.erase(end);
  if (joins_left) {
    ranges_.replace(low, {low, high, {}});
  } else if (joins_right) {
    ranges_.replace(end, {low, high, {}});
  } else {
    ranges_.insert({low, high, {}});
  }
}

}  // namespace vaspace
