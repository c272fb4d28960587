#include "heap/block.hpp"

namespace vaspace {

Result<Block*> BlockTable::claim() noexcept {
  const std::lock_guard lock(mutex_);
  std::uint32_t i = first_free_;
  while (i < blocks_.size() && blocks_[i]->claimed)
    ++i;
  if (i == Block::kMaxNumber) return fail(ErrorCode::out_of_address_space);
  if (i == blocks_.size()) {
    if (!blocks_.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
    auto block = make_host_object<Block>(blocks_.host());
    if (!block) return fail(ErrorCode::out_of_host_memory);
    block->number = i + 1;
    blocks_.push_back_reserved(block.release());
  }
  first_free_ = i + 1;
  blocks_[i]->claimed = true;
  return blocks_[i];
}

void BlockTable::vacate(Block& block) noexcept {
  const std::lock_guard lock(mutex_);
  block.claimed = block.live = false;
  if (block.number - 1 < first_free_) first_free_ = block.number - 1;
}

}  // namespace vaspace
