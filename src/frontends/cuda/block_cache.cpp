#include "block_cache.hpp"

namespace vaspace::cuda {

const char* BlockCache::validate(const BlockTable& blocks) const noexcept {
  Bytes sum{};
  for (std::size_t list = 0; list < kLists; ++list) {
    if (first_[list] == Block::kNone) continue;
    const Bytes size = blocks[first_[list]].size;
    if (list_of(size) != list) return "a list holds blocks of another's size";
    if (list >= kSmall && sizes_[list - kSmall] != size) return "a shared list has another size";
    if ((marks_[list / 64] >> list % 64 & 1U) == 0) return "a list that has a block is not marked";
    for (std::uint32_t record = first_[list]; record != Block::kNone; record = blocks[record].next) {
      if (blocks[record].size != size) return "a list holds blocks of several sizes";
      if (blocks[record].state != Block::State::parked) return "a block of the cache is not parked";
      sum += size;
    }
  }
  if (sum != bytes_) return "the cache's bytes are miscounted";
  if (large_size_ == Bytes{}) return nullptr;
  const bool fits = blocks[large_].size == large_size_ && blocks[large_].state == Block::State::parked;
  return fits ? nullptr : "the cache's large block is not parked";
}

}  // namespace vaspace::cuda
