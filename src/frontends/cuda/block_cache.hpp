// Freed blocks of sizes that come again, newest first: what makes a steady-state pair cheap.
//
//   lists    1  2  3 .. 256 │ 257 .. 512     a small size has its own, by granules; larger ones share theirs,
//            │     │            │             found by a hash: the first to come, until its list is empty
//            7─►2  9            4             numbers of records, linked through Block::next
//   large    5                                one block of more than all others may have together
//
// Always true: a list holds blocks of one size, all parked; bytes() is the sum of all and, unless there is
// but one block, no more than the limit that was given when the last one came; a list that has a block is
// marked. Externally synchronised, like the table whose records it links.
#pragma once

#include <array>
#include <bit>

#include "block_table.hpp"

namespace vaspace::cuda {

class BlockCache {
 public:
  BlockCache() noexcept { first_.fill(Block::kNone); }

  // A block for this size at this alignment, or kNone. It is the caller's then. A small one may be an eighth
  // larger: there are more small sizes than lists could be filled for.
  [[nodiscard]] std::uint32_t pop(BlockTable& blocks, Bytes size, Alignment alignment) noexcept {
    std::uint32_t record = pop_exact(blocks, size, alignment);
    if (record == Block::kNone) record = pop_near(blocks, size, alignment);
    return record != Block::kNone ? record : pop_large(blocks, size, alignment);
  }
  // False where it would be too much, or another size has the place.
  [[nodiscard]] bool push(BlockTable& blocks, std::uint32_t record, Bytes limit) noexcept {
    return push_exact(blocks[record], record, limit) || push_large(blocks[record].size, record, limit);
  }
  // The same with lists of exactly this size: what most calls need.
  [[nodiscard]] std::uint32_t pop_exact(BlockTable& blocks, Bytes size, Alignment alignment) noexcept {
    const std::size_t list = list_of(size);
    if (list >= kSmall && sizes_[list - kSmall] != size) return Block::kNone;
    return pop_from(list, blocks, alignment);
  }
  [[nodiscard]] bool push_exact(Block& block, std::uint32_t record, Bytes limit) noexcept {
    if (bytes_ + block.size > limit) return false;
    const std::size_t list = list_of(block.size);
    if (list >= kSmall && sizes_[list - kSmall] != block.size) {
      if (first_[list] != Block::kNone) return false;
      sizes_[list - kSmall] = block.size;
    }
    block.next = first_[list];
    first_[list] = record;
    marks_[list / 64] |= std::uint64_t{1} << list % 64;
    bytes_ += block.size;
    return true;
  }
  // One that is in the way of a block of this size: the large one, what is in its list, or any, in turn. Or
  // kNone.
  [[nodiscard]] std::uint32_t pop_for(BlockTable& blocks, Bytes size, Bytes limit) noexcept {
    if (size > limit) return pop_large(blocks, large_size_, {});
    const std::size_t list = list_of(size);
    if (list >= kSmall && sizes_[list - kSmall] != size && first_[list] != Block::kNone)
      return pop_from(list, blocks, {});
    return pop_any(blocks);
  }
  // Any one, or kNone.
  [[nodiscard]] std::uint32_t pop_any(BlockTable& blocks) noexcept {
    std::size_t list = marked_from(next_, kLists);
    if (list == kLists) list = marked_from(0, kLists);
    next_ = list;
    return list != kLists ? pop_from(list, blocks, {}) : pop_large(blocks, large_size_, {});
  }
  [[nodiscard]] Bytes bytes() const noexcept { return bytes_ + large_size_; }

  // nullptr, or what is wrong.
  [[nodiscard]] const char* validate(const BlockTable& blocks) const noexcept;

 private:
  static constexpr std::size_t kSmall = 257;  // lists, each of as many granules as its number
  static constexpr std::size_t kShared = 256;
  static constexpr std::size_t kLists = kSmall + kShared;

  [[nodiscard]] static std::size_t list_of(Bytes size) noexcept {
    const std::uint64_t granules = size.value >> 8U;
    if (granules < kSmall) return granules;
    return kSmall + (granules ^ (granules >> 8U) ^ (granules >> 15U)) % kShared;
  }
  // The first that has a block, or `end`. Marks of empty ones are taken off on the way.
  [[nodiscard]] std::size_t marked_from(std::size_t begin, std::size_t end) noexcept {
    for (std::size_t list = begin; list < end;) {
      const std::uint64_t rest = marks_[list / 64] >> list % 64;
      if (rest == 0) {
        list = (list / 64 + 1) * 64;
        continue;
      }
      list += static_cast<std::size_t>(std::countr_zero(rest));
      if (list >= end) break;
      if (first_[list] != Block::kNone) return list;
      marks_[list / 64] &= ~(std::uint64_t{1} << list % 64);
    }
    return end;
  }
  [[nodiscard]] std::uint32_t pop_from(std::size_t list, BlockTable& blocks, Alignment alignment) noexcept {
    const std::uint32_t record = first_[list];
    if (record == Block::kNone) return record;
    const Block& block = blocks[record];
    if (!is_aligned(block.address, alignment)) return Block::kNone;
    first_[list] = block.next;
    bytes_ -= block.size;
    return record;
  }
  [[nodiscard]] std::uint32_t pop_near(BlockTable& blocks, Bytes size, Alignment alignment) noexcept {
    const std::size_t granules = list_of(size);
    if (granules >= kSmall) return Block::kNone;
    const std::size_t end = granules + granules / 8 < kSmall ? granules + granules / 8 + 1 : kSmall;
    const std::size_t larger = marked_from(granules + 1, end);
    return larger != end ? pop_from(larger, blocks, alignment) : Block::kNone;
  }
  [[nodiscard]] std::uint32_t pop_large(BlockTable& blocks, Bytes size, Alignment alignment) noexcept {
    if (large_size_ != size || size == Bytes{} || !is_aligned(blocks[large_].address, alignment))
      return Block::kNone;
    large_size_ = {};
    return large_;
  }
  [[nodiscard]] bool push_large(Bytes size, std::uint32_t record, Bytes limit) noexcept {
    if (size <= limit || large_size_ != Bytes{}) return false;
    large_size_ = size;
    large_ = record;
    return true;
  }

  Bytes bytes_{};       // of the lists
  Bytes large_size_{};  // 0: there is none
  std::uint32_t large_ = Block::kNone;
  std::size_t next_ = 0;  // where pop_any looks first
  std::array<std::uint64_t, kLists / 64 + 1> marks_{};
  std::array<std::uint32_t, kLists> first_;
  std::array<Bytes, kShared> sizes_{};  // of blocks in the lists that are shared, or those they had last
};

}  // namespace vaspace::cuda
