// Why did an allocation fail, and what would let it succeed? Every answer is an allocation that is made and
// freed again, so that whoever follows it has what was tried.
#pragma once

#include "vaspace/heap/heap.hpp"

namespace vaspace {

struct HeapShortfall {
  Error error{};  // of the request as it is; none where it fits
  bool fits = false;
  Bytes largest{};               // so much of it would fit, to a sixty-fourth of the size; 0: nothing of it
  bool budget_helps = false;     // BudgetPolicy::may_exceed
  bool sharing_helps = false;    // DedicatedWish::none
  bool own_blocks_help = false;  // no pool
  // Another type of those that the requirements allow, which the intent did not choose: with only its bit in
  // the requirements, and this intent.
  bool other_type_helps = false;
  std::uint32_t other_type = 0;
  Intent other_intent{};
  // Of the type that was to be tried first: what its heap has left under the budget, and what lies unused
  // between allocations in the memory held already. Where that is more than the size, Heap::plan_moves and
  // frees of neighbours are what makes room of it.
  Bytes left{};
  Bytes in_holes{};
};

// Where a request fails, allocate has given back all that is unused already: nothing is left to trim. What
// the tries have taken from the device they give back. Errors: those of a request that no device could serve
// (invalid_size, invalid_alignment, invalid_argument), out_of_host_memory, unknown_handle, stale_handle. Up
// to some twenty allocations.
template <class Policy>
[[nodiscard]] Result<HeapShortfall> explain(BasicHeap<Policy>& heap, const HeapRequest& request) noexcept;

extern template Result<HeapShortfall> explain(BasicHeap<ThreadSafe>& heap,
                                              const HeapRequest& request) noexcept;
extern template Result<HeapShortfall> explain(BasicHeap<SingleThreaded>& heap,
                                              const HeapRequest& request) noexcept;

}  // namespace vaspace
