// Compaction by copying, a bit at a time: the heap says what to move where, the caller copies.
//
//   plan_moves(budget) -> moves      the destination of each is taken, nothing else has changed
//   ... the caller copies, makes new resources, waits or not ...
//   commit_move(move, points)        the allocation is at its destination; the source goes back after
//                                    `points`
//   abandon_move(move, points)       it stays where it is; the destination goes back after `points`
//
// Always true:
//  - An allocation that is pinned, mapped by the host through map(), exposed by its device address, aliased,
//    retired, or in a move whose points have not passed (as collect sees it) is not planned, nor is one of
//    another mover than the budget's. What is not planned takes nothing of the budget, nor of the list; a
//    block that it lies in is filled, never emptied.
//  - A free, a retire, a map() or a pin of an allocation in a move is legal and cancels the move (T3): the
//    allocation stays where it is, the caller still commits or abandons, and commit answers a default
//    allocation. What was mapped or pinned lives on at its source (V10), and the destination goes back after
//    the move's points.
//  - Of an allocation that is freed or retired before the move's points have passed, before the commit or
//    after it, both places stay taken until the points of the move and of the retire have all passed.
//  - Moves go from a block to one that is at least as full, and only where all that lives in the emptier one
//    can leave. So the sum over blocks of used² rises with every move that is committed, by at least twice
//    the square of what is moved; it is bounded by (all that is used)²: planning ends by itself (the list is
//    empty).
//  - A destination keeps V1, V7, V9, V13 as an allocation of the same request would.
//  - What does not fit into the bytes left is passed over for what does. Where nothing else is left, one move
//    larger than the budget's bytes is planned, so that planning gets on whatever the budget is.
//  - No plan depends on the clock but through `out_of_time`.
#pragma once

#include <cstdint>

#include "vaspace/heap/heap_allocation.hpp"

namespace vaspace {

struct MoveBudget {
  Bytes bytes = kMaxBytes;  // of all that is planned, but for one move that has none beside it
  std::uint32_t moves = ~0U;
  std::uint8_t mover = 0;  // whose: HeapRequest::mover. Several who copy may share a heap.
  // Asked before each block and each allocation that is looked at, where it is given: true ends the planning;
  // the mover's next one begins behind as many blocks as were tried in vain. It must not call the heap.
  void* user = nullptr;
  bool (*out_of_time)(void* user) noexcept = nullptr;
  // Where it is given: told whether more may be planned with more budget, or once moves that are under way
  // have ended and their points have passed.
  bool* more_left = nullptr;
};

struct Move {
  HeapAllocation source{};
  HeapAllocation destination{};  // the same id; its address is the allocation's once it is committed
  ResourceKind kind = ResourceKind::linear;
  std::uint64_t user_data = 0;
  std::uint32_t index = 0;  // the heap's own
  std::uint32_t generation = 0;
};

}  // namespace vaspace
