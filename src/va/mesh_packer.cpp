#include "vaspace/va/mesh_packer.hpp"

namespace vaspace {

bool MeshPacker::reserve() noexcept {
  return masks_.reserve_more(words_) && bins_.reserve_more(1);
}

void MeshPacker::link(std::uint32_t bin) noexcept {
  Bin& b = bins_[bin];
  std::uint32_t& head = heads_[level_of(b.fill)];
  b.previous = kNone;
  b.next = head;
  if (head != kNone) bins_[head].previous = bin;
  head = bin;
}

void MeshPacker::unlink(std::uint32_t bin) noexcept {
  Bin& b = bins_[bin];
  if (b.next != kNone) bins_[b.next].previous = b.previous;
  if (b.previous != kNone) {
    bins_[b.previous].next = b.next;
  } else {
    heads_[level_of(b.fill)] = b.next;
  }
}

std::uint32_t MeshPacker::find(CellMask mask, std::uint32_t count, std::uint32_t probes) const noexcept {
  for (std::uint32_t level = level_of(cells() - count) + 1; level-- > 0;) {
    for (std::uint32_t bin = heads_[level]; bin != kNone; bin = bins_[bin].next) {
      if (disjoint(mask, mask_of(bin))) return bin;
      if (--probes == 0) return kNone;
    }
  }
  return kNone;
}

void MeshPacker::add(std::uint32_t bin, CellMask mask, std::uint32_t count) noexcept {
  unlink(bin);
  for (std::uint32_t i = 0; i < words_; ++i)
    masks_[std::size_t{bin} * words_ + i] |= mask[i];
  bins_[bin].fill += count;
  link(bin);
}

std::uint32_t MeshPacker::open(CellMask mask, std::uint32_t count, std::uint64_t tag) noexcept {
  const std::uint32_t bin = bins();
  for (const std::uint64_t word : mask)
    masks_.push_back_reserved(word);
  Bin opened;
  opened.tag = tag;
  opened.fill = count;
  bins_.push_back_reserved(opened);
  link(bin);
  return bin;
}

void MeshPacker::close(std::uint32_t bin) noexcept {
  unlink(bin);
}

void MeshPacker::clear() noexcept {
  masks_.clear();
  bins_.clear();
  heads_.fill(kNone);
}

}  // namespace vaspace
