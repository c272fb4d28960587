#include "mappings.hpp"

namespace vaspace::cpu {
namespace {

// What the kernel sees at one address, and how far that goes.
struct Piece {
  bool bound = false;
  bool null = false;
  Access access = Access::none;
  std::uint32_t heap = 0;
  std::uint64_t shift = 0;  // file offset less address
  std::uint64_t end = 0;

  [[nodiscard]] bool merges_with(const Piece& other) const noexcept {
    return bound == other.bound && null == other.null && access == other.access && heap == other.heap &&
           shift == other.shift;
  }
};

Piece piece_at(const BindingTree& tree, std::uint64_t point, std::uint64_t limit) noexcept {
  Piece piece;
  if (const BindingTree::Interval* found = tree.containing(point)) {
    piece.bound = true;
    piece.null = found->value.null();
    piece.access = found->value.access;
    piece.heap = found->value.heap;
    if (!piece.null) piece.shift = found->value.place - found->begin;
    piece.end = found->end;
    return piece;
  }
  const BindingTree::Interval* next = tree.ceiling(point);
  piece.end = next != nullptr && next->begin < limit ? next->begin : limit;
  return piece;
}

}  // namespace

std::uint64_t meeting_points(const BindingTree& tree, const ReservationRecord& reservation, Address from,
                             Address to) noexcept {
  const std::uint64_t limit = reservation.end().value;
  const bool at_begin = from == reservation.address;
  std::uint64_t at = from.value;
  Piece left = piece_at(tree, at_begin ? at : at - 1, limit);
  std::uint64_t count = 0;
  while (at < limit && at <= to.value) {
    const Piece right = piece_at(tree, at, limit);
    if (!left.merges_with(right)) ++count;
    left = right;
    at = right.end;
  }
  return count;
}

}  // namespace vaspace::cpu
