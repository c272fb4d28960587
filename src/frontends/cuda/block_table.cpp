#include "block_table.hpp"

#include <bit>

namespace vaspace::cuda {

bool BlockTable::reserve_one() noexcept {
  if (free_ == Block::kNone && !records_.reserve_more(1)) return false;
  if ((size_ + 1) * 2 <= slots_.size()) return true;
  HostArray<std::uint32_t> wider(slots_.host());
  constexpr std::size_t kFirst = 64;
  if (!wider.resize(slots_.empty() ? kFirst : slots_.size() * 2, Block::kNone)) return false;
  slots_ = std::move(wider);
  looked_at_ = slots_.data();
  mask_ = slots_.size() - 1;
  shift_ = 64U - static_cast<unsigned>(std::countr_zero(slots_.size()));
  for (std::uint32_t record = 0; record < records_.size(); ++record)
    if (records_[record].state != Block::State::gone) place(record);
  return true;
}

void BlockTable::place(std::uint32_t record) noexcept {
  std::uint64_t slot = home_of(records_[record].address);
  while (slots_[slot] != Block::kNone)
    slot = (slot + 1) & mask_;
  slots_[slot] = record;
}

std::uint32_t BlockTable::add(const Block& block) noexcept {
  std::uint32_t record = free_;
  if (record == Block::kNone) {
    record = static_cast<std::uint32_t>(records_.size());
    records_.push_back_reserved(block);
  } else {
    free_ = records_[record].next;
    records_[record] = block;
  }
  place(record);
  ++size_;
  return record;
}

// Closes the gap: whoever stands behind it and not at home moves up, as long as that is not before its home.
void BlockTable::remove(std::uint32_t record) noexcept {
  std::uint64_t gap = home_of(records_[record].address);
  while (slots_[gap] != record)
    gap = (gap + 1) & mask_;
  for (std::uint64_t slot = (gap + 1) & mask_; slots_[slot] != Block::kNone; slot = (slot + 1) & mask_) {
    const std::uint64_t home = home_of(records_[slots_[slot]].address);
    if (((slot - home) & mask_) < ((slot - gap) & mask_)) continue;
    slots_[gap] = slots_[slot];
    gap = slot;
  }
  slots_[gap] = Block::kNone;
  records_[record] = {};
  records_[record].next = free_;
  free_ = record;
  --size_;
}

bool BlockTable::add_user(std::uint32_t record, const User& user) noexcept {
  for (std::uint32_t at = records_[record].users; at != Block::kNone; at = users_[at].next)
    if (users_[at].user == user) return true;
  std::uint32_t added = free_user_;
  if (added == Block::kNone) {
    if (!users_.push_back({})) return false;
    added = static_cast<std::uint32_t>(users_.size() - 1);
  } else {
    free_user_ = users_[added].next;
  }
  users_[added] = {user, records_[record].users};
  records_[record].users = added;
  return true;
}

std::optional<BlockTable::User> BlockTable::take_user(std::uint32_t record) noexcept {
  const std::uint32_t taken = records_[record].users;
  if (taken == Block::kNone) return std::nullopt;
  records_[record].users = users_[taken].next;
  users_[taken].next = free_user_;
  free_user_ = taken;
  return users_[taken].user;
}

void BlockTable::drop_user(std::uint32_t record, const User& user) noexcept {
  std::uint32_t* from = &records_[record].users;
  while (*from != Block::kNone && users_[*from].user != user)
    from = &users_[*from].next;
  if (*from == Block::kNone) return;
  const std::uint32_t dropped = *from;
  *from = users_[dropped].next;
  users_[dropped].next = free_user_;
  free_user_ = dropped;
}

const char* BlockTable::validate() const noexcept {
  std::size_t present = 0;
  for (std::uint32_t record = 0; record < records_.size(); ++record) {
    const Block& block = records_[record];
    if (block.state == Block::State::gone) continue;
    ++present;
    if (find(block.address) != record) return "a block is not found by its address";
    if (block.asked > block.size) return "a block is smaller than what was asked for";
  }
  return present == size_ ? nullptr : "blocks are miscounted";
}

}  // namespace vaspace::cuda
