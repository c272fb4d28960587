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

std::uint32_t HierarchicalBitmap::find_last() const noexcept {
  if (empty()) return kNone;
  std::uint32_t word = 0;
  for (unsigned level = depth_; level-- != 0;) {
    const auto top = static_cast<std::uint32_t>(63 - std::countl_zero(levels_[level][word]));
    word = (word << 6U) | top;
  }
  return word;
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
