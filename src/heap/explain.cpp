#include "vaspace/heap/explain.hpp"

#include <algorithm>

namespace vaspace {

namespace {

// What no other memory, budget or place would change.
bool is_final(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_size:
    case ErrorCode::invalid_alignment:
    case ErrorCode::invalid_argument:
    case ErrorCode::out_of_host_memory:
    case ErrorCode::unknown_handle:
    case ErrorCode::stale_handle:
      return true;
    default:
      return false;
  }
}

// What it has taken from the device goes back, or the next try would find it.
template <class Policy>
Result<void> try_it(BasicHeap<Policy>& heap, const HeapRequest& request) noexcept {
  const Bytes held = heap.report().total.committed;
  const auto made = heap.allocate(request);
  if (!made) return fail(made.error());
  heap.free(*made);
  (void)heap.trim(held);
  return {};
}

template <class Policy>
Bytes largest_of(BasicHeap<Policy>& heap, HeapRequest request) noexcept {
  const Bytes size = request.requirements.size;
  const std::uint64_t step = std::max<std::uint64_t>(size.value / 64, 1);
  std::uint64_t least = 0;
  std::uint64_t most = (size.value - 1) / step;
  while (least < most) {
    const std::uint64_t steps = least + (most - least + 1) / 2;
    request.requirements.size = Bytes{step * steps};
    const bool fits = try_it(heap, request).has_value();
    (fits ? least : most) = fits ? steps : steps - 1;
  }
  return Bytes{step * least};
}

template <class Policy>
void find_other_type(BasicHeap<Policy>& heap, HeapRequest request, HeapShortfall& shortfall) noexcept {
  constexpr Intent kIntents[] = {Intent::device, Intent::upload, Intent::dynamic, Intent::readback};
  const auto chosen = heap.choose(request);
  const std::uint32_t allowed = request.requirements.memory_type_bits;
  const std::uint32_t types = heap.backend().profile().memory_type_count;
  for (std::uint32_t type = 0; type < types; ++type) {
    const bool tried = chosen && std::find(chosen->begin(), chosen->end(), type) != chosen->end();
    if ((allowed >> type & 1U) == 0 || tried) continue;
    request.requirements.memory_type_bits = 1U << type;
    for (const Intent intent : kIntents) {
      request.intent = intent;
      if (!try_it(heap, request)) continue;
      shortfall.other_type_helps = true;
      shortfall.other_type = type;
      shortfall.other_intent = intent;
      return;
    }
  }
}

}  // namespace

template <class Policy>
Result<HeapShortfall> explain(BasicHeap<Policy>& heap, const HeapRequest& request) noexcept {
  HeapShortfall shortfall;
  const Result<void> tried = try_it(heap, request);
  shortfall.fits = tried.has_value();
  if (tried) {
    shortfall.largest = request.requirements.size;
    return shortfall;
  }
  if (is_final(tried.error().code)) return fail(tried.error());
  shortfall.error = tried.error();
  shortfall.largest = largest_of(heap, request);

  HeapRequest other = request;
  other.budget = BudgetPolicy::may_exceed;
  shortfall.budget_helps = request.budget != other.budget && try_it(heap, other);
  other = request;
  other.dedicated = DedicatedWish::none;
  shortfall.sharing_helps = request.dedicated != other.dedicated && try_it(heap, other);
  other = request;
  other.pool = {};
  shortfall.own_blocks_help = request.pool && try_it(heap, other);
  find_other_type(heap, request, shortfall);

  const auto chosen = heap.choose(request);
  if (!chosen || chosen->count == 0) return shortfall;
  const std::uint32_t first = (*chosen)[0];
  const HeapFigures figures = heap.report().memory_types[first];
  shortfall.in_holes = figures.committed - std::min(figures.used, figures.committed);
  const auto budget = heap.budget(heap.backend().profile().memory_types[first].heap);
  if (budget) shortfall.left = budget->budget - std::min(budget->usage, budget->budget);
  return shortfall;
}

template Result<HeapShortfall> explain(BasicHeap<ThreadSafe>& heap, const HeapRequest& request) noexcept;
template Result<HeapShortfall> explain(BasicHeap<SingleThreaded>& heap, const HeapRequest& request) noexcept;

}  // namespace vaspace
