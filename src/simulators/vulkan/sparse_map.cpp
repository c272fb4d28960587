#include "sparse_map.hpp"

#include <algorithm>

namespace vasim {

// Makes `at` a border between pieces.
void SparseMap::cut(VkDeviceSize at) {
  auto next = pieces_.lower_bound(at);
  if (next == pieces_.begin()) return;
  const auto before = std::prev(next);
  const VkDeviceSize end = before->first + before->second.size;
  if (end <= at) return;
  Piece rest = before->second;
  const VkDeviceSize skipped = at - before->first;
  rest.offset += skipped;
  rest.size = end - at;
  before->second.size = skipped;
  pieces_.emplace_hint(next, at, std::move(rest));
}

void SparseMap::assign(VkDeviceSize begin, VkDeviceSize size, const std::shared_ptr<Memory>& memory,
                       VkDeviceSize offset) {
  cut(begin);
  cut(begin + size);
  pieces_.erase(pieces_.lower_bound(begin), pieces_.lower_bound(begin + size));
  if (memory != nullptr) pieces_[begin] = {size, memory, offset};
}

const SparseMap::Piece* SparseMap::find(VkDeviceSize at, VkDeviceSize end, VkDeviceSize& begin,
                                        VkDeviceSize& run) const {
  const auto next = pieces_.upper_bound(at);
  if (next != pieces_.begin()) {
    const auto here = std::prev(next);
    const VkDeviceSize piece_end = here->first + here->second.size;
    if (at < piece_end) {
      begin = here->first;
      run = std::min(end, piece_end) - at;
      return &here->second;
    }
  }
  begin = at;
  run = (next == pieces_.end() ? end : std::min(end, next->first)) - at;
  return nullptr;
}

bool SparseMap::covers(VkDeviceSize begin, VkDeviceSize end) const {
  while (begin < end) {
    VkDeviceSize start = 0, run = 0;
    if (find(begin, end, start, run) == nullptr) return false;
    begin += run;
  }
  return true;
}

}  // namespace vasim
