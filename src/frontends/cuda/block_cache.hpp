// Freed blocks of sizes that come again, by exact size, newest first: what makes a steady-state pair cheap.
//
// Always true: a bin holds blocks of one size, all parked; bytes() is their sum and, unless there is but one
// block, no more than the limit that was given when the last one came. Externally synchronised, like the
// table whose records it links.
#pragma once

#include <array>

#include "block_table.hpp"

namespace vaspace::cuda {

class BlockCache {
 public:
  // A block of this size at this alignment, or kNone. It is the caller's then.
  [[nodiscard]] std::uint32_t pop(BlockTable& blocks, Bytes size, Alignment alignment) noexcept {
    Bin& bin = bins_[bin_of(size)];
    if (bin.size != size || bin.first == Block::kNone) return pop_large(blocks, size, alignment);
    Block& block = blocks[bin.first];
    if (!is_aligned(block.address, alignment)) return Block::kNone;
    const std::uint32_t record = bin.first;
    bin.first = block.next;
    bytes_ -= size;
    return record;
  }
  // False where it would be too much, or other sizes have the place.
  [[nodiscard]] bool push(BlockTable& blocks, std::uint32_t record, Bytes limit) noexcept {
    Block& block = blocks[record];
    if (block.size > limit) return push_large(block.size, record);
    if (bytes_ + block.size > limit) return false;
    Bin& bin = bins_[bin_of(block.size)];
    if (bin.size != block.size) {
      if (bin.first != Block::kNone) return false;
      bin.size = block.size;
    }
    block.next = bin.first;
    bin.first = record;
    bytes_ += block.size;
    return true;
  }
  // One that is in the way of a block of this size: the large one, what is in its bin, or any, in turn. Or
  // kNone.
  [[nodiscard]] std::uint32_t pop_for(BlockTable& blocks, Bytes size, Bytes limit) noexcept {
    if (size > limit) return pop_large(blocks, large_size_, {});
    Bin& own = bins_[bin_of(size)];
    if (own.size != size && own.first != Block::kNone) return pop(blocks, own.size, {});
    return pop_any(blocks);
  }
  // Any one, or kNone.
  [[nodiscard]] std::uint32_t pop_any(BlockTable& blocks) noexcept {
    for (std::size_t looks = 0; bytes_ != Bytes{} && looks < kBins; ++looks, next_ = (next_ + 1) % kBins)
      if (bins_[next_].first != Block::kNone) return pop(blocks, bins_[next_].size, {});
    return pop_large(blocks, large_size_, {});
  }
  [[nodiscard]] Bytes bytes() const noexcept { return bytes_ + large_size_; }

 private:
  static constexpr std::size_t kBins = 256;

  struct Bin {
    Bytes size{};
    std::uint32_t first = Block::kNone;
  };
  [[nodiscard]] std::uint32_t pop_large(BlockTable& blocks, Bytes size, Alignment alignment) noexcept {
    if (large_size_ != size || size == Bytes{} || !is_aligned(blocks[large_].address, alignment))
      return Block::kNone;
    large_size_ = {};
    return large_;
  }
  [[nodiscard]] bool push_large(Bytes size, std::uint32_t record) noexcept {
    if (large_size_ != Bytes{}) return false;
    large_size_ = size;
    large_ = record;
    return true;
  }
  [[nodiscard]] static std::size_t bin_of(Bytes size) noexcept {
    const std::uint64_t granules = size.value >> 8U;
    return (granules ^ (granules >> 8U) ^ (granules >> 15U)) % kBins;
  }

  std::array<Bin, kBins> bins_{};
  Bytes bytes_{};
  Bytes large_size_{};  // 0: there is none
  std::uint32_t large_ = Block::kNone;
  std::size_t next_ = 0;  // where pop_any looks first
};

}  // namespace vaspace::cuda
