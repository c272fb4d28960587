#include "page_memory.hpp"

namespace vaspace::vulkan {

std::optional<std::uint64_t> PageMemory::take(std::uint32_t memory_type, Bytes size) noexcept {
  const auto place = free_.take_lowest(size, Alignment{}, place_of(memory_type, 0));
  if (!place) return std::nullopt;
  if (*place >> kTypeBits != memory_type) {
    free_.give(*place, size);
    return std::nullopt;
  }
  PageBlock& block = blocks_[slot_of(*place)];
  if (block.used == Bytes{}) --empty_;
  block.used += size;
  return place;
}

void PageMemory::give(std::uint64_t place, Bytes size) noexcept {
  free_.give(place, size);
  PageBlock& block = blocks_[slot_of(place)];
  block.used -= size;
  if (block.used == Bytes{}) ++empty_;
}

Result<std::uint32_t> PageMemory::claim() noexcept {
  if (count_ >= limit_) return fail(ErrorCode::out_of_address_space);
  std::uint32_t slot = 0;
  while (slot < size() && blocks_[slot].state != PageBlock::State::free)
    ++slot;
  if (slot == size() && !blocks_.push_back({})) return fail(ErrorCode::out_of_host_memory);
  blocks_[slot].state = PageBlock::State::pending;
  ++count_;
  return slot;
}

void PageMemory::vacate(std::uint32_t slot) noexcept {
  blocks_[slot] = PageBlock{};
  --count_;
}

bool PageMemory::publish(std::uint32_t slot, std::uint64_t memory, Bytes size,
                         std::uint32_t memory_type) noexcept {
  const std::uint64_t begin = place_of(memory_type, slot);
  if (!free_.open(begin, begin + size.value)) return false;
  blocks_[slot] = {
      .memory = memory, .size = size, .memory_type = memory_type, .state = PageBlock::State::live};
  ++empty_;
  held_ += size;
  held_of_[memory_type] += size;
  return true;
}

std::optional<std::uint32_t> PageMemory::retract_empty() noexcept {
  if (empty_ == 0) return std::nullopt;
  for (std::uint32_t slot = size(); slot-- != 0;) {
    PageBlock& block = blocks_[slot];
    if (block.state != PageBlock::State::live || block.used != Bytes{}) continue;
    free_.close(place_of(block.memory_type, slot), block.size);
    block.state = PageBlock::State::pending;
    --empty_;
    held_ -= block.size;
    held_of_[block.memory_type] -= block.size;
    return slot;
  }
  return std::nullopt;
}

}  // namespace vaspace::vulkan
