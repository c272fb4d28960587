#include "vaspace/range/hierarchical_bitmap.hpp"

namespace vaspace {

namespace {

constexpr std::uint64_t words_for(std::uint64_t bits) noexcept {
  return (bits + 63) / 64;
}

constexpr unsigned depth_for(std::uint64_t bits) noexcept {
  unsigned depth = 1;
  for (std::uint64_t words = words_for(bits); words > 1; words = words_for(words))
    ++depth;
  return depth;
}

// The bits of [begin, end) that lie in a word.
constexpr std::uint64_t mask_of(std::uint32_t word, std::uint32_t begin, std::uint32_t end) noexcept {
  std::uint64_t mask = ~std::uint64_t{0};
  if (word == begin >> 6U) mask &= ~std::uint64_t{0} << (begin & 63U);
  if (word == (end - 1) >> 6U) mask &= ~std::uint64_t{0} >> (63U - ((end - 1) & 63U));
  return mask;
}

}  // namespace

bool HierarchicalBitmap::grow(std::uint32_t size) noexcept {
  if (size <= size_) return true;
  const unsigned depth = depth_for(size);
  std::uint64_t words = words_for(size);
  for (unsigned level = 0; level < depth; ++level, words = words_for(words)) {
    HostArray<std::uint64_t>& array = levels_[level];
    if (words > array.size() && !array.reserve_more(words - array.size())) return false;
  }
  words = words_for(size);
  for (unsigned level = 0; level < depth; ++level, words = words_for(words)) {
    // A level that is new summarises the one that was on top.
    const bool summarise = level >= depth_ && level != 0 && depth_ != 0;
    while (levels_[level].size() < words)
      levels_[level].push_back_reserved(0);
    if (summarise && levels_[level - 1][0] != 0) levels_[level][0] |= 1U;
  }
  depth_ = depth;
  size_ = size;
  return true;
}

void HierarchicalBitmap::set_range(std::uint32_t begin, std::uint32_t end) noexcept {
  assert(begin < end && end <= size_);
  for (unsigned level = 0; level < depth_; ++level) {
    const std::uint32_t first = begin >> 6U;
    const std::uint32_t last = (end - 1) >> 6U;
    std::uint64_t* words = levels_[level].data();
    for (std::uint32_t word = first; word <= last; ++word)
      words[word] |= mask_of(word, begin, end);
    begin = first;
    end = last + 1;
  }
}

void HierarchicalBitmap::clear_range(std::uint32_t begin, std::uint32_t end) noexcept {
  assert(begin < end && end <= size_);
  for (std::uint32_t word = begin >> 6U; word <= (end - 1) >> 6U; ++word) {
    levels_[0][word] &= ~mask_of(word, begin, end);
    // Above it as clear() does: an upper word covers numbers outside the range too.
    std::uint32_t at = word;
    bool empty = levels_[0][word] == 0;
    for (unsigned level = 1; level < depth_ && empty; ++level, at >>= 6U) {
      std::uint64_t& above = levels_[level][at >> 6U];
      above &= ~(std::uint64_t{1} << (at & 63U));
      empty = above == 0;
    }
  }
}

std::uint32_t HierarchicalBitmap::find_last() const noexcept {
  if (empty()) return kNone;
  std::uint32_t word = 0;
  for (unsigned level = depth_; level-- != 0;) {
    const auto top = static_cast<std::uint32_t>(63 - std::countl_zero(levels_[level][word]));
    word = (word << 6U) | top;
  }
  return word;
}

std::uint32_t HierarchicalBitmap::take_first(std::uint32_t* members, std::uint32_t most) noexcept {
  std::uint32_t taken = 0;
  while (taken < most) {
    const std::uint32_t first = find_first();
    if (first == kNone) break;
    taken += take_from_word(first >> 6U, members + taken, most - taken);
  }
  return taken;
}

std::uint32_t HierarchicalBitmap::take_from_word(std::uint32_t word, std::uint32_t* members,
                                                 std::uint32_t most) noexcept {
  std::uint64_t rest = levels_[0].data()[word];
  std::uint32_t taken = 0;
  for (; rest != 0 && taken < most; rest &= rest - 1)
    members[taken++] = (word << 6U) | static_cast<std::uint32_t>(std::countr_zero(rest));
  if (taken == 0) return 0;
  // The last one by itself, which sees to the levels above.
  levels_[0].data()[word] = rest | (std::uint64_t{1} << (members[taken - 1] & 63U));
  clear(members[taken - 1]);
  return taken;
}

std::uint32_t HierarchicalBitmap::count() const noexcept {
  std::uint32_t members = 0;
  for (const std::uint64_t word : levels_[0])
    members += static_cast<std::uint32_t>(std::popcount(word));
  return members;
}

const char* HierarchicalBitmap::validate() const noexcept {
  for (unsigned level = 0; level + 1 < depth_; ++level) {
    for (std::size_t word = 0; word < levels_[level].size(); ++word) {
      const bool marked = ((levels_[level + 1][word / 64] >> (word % 64)) & 1U) != 0;
      if (marked != (levels_[level][word] != 0)) return "a summary bit disagrees with the word below it";
    }
  }
  if (depth_ != 0 && levels_[depth_ - 1].size() != 1) return "the top level is not one word";
  if (size_ % 64 != 0 && (levels_[0].back() >> (size_ % 64)) != 0) return "a bit beyond the size is set";
  return nullptr;
}

}  // namespace vaspace
