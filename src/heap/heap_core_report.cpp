// What a heap tells about itself and its arena allocators.
#include <cstdio>

#include "heap/heap_core.hpp"

namespace vaspace {

namespace {

using Visit = void (*)(void* user, const HeapAllocationInfo& info) noexcept;

}  // namespace

// `info.allocation` is in the arena's terms.
template <class Policy>
HeapAllocationInfo HeapCore<Policy>::info_of(const ShelfOf& shelf,
                                             const AllocationInfo& info) const noexcept {
  const std::uint32_t kind = (shelf.number - 1U) / (kPriorities * 2) % kShelfKinds;
  HeapAllocation handle = handle_of(shelf, info.allocation);
  if (!paged_) {
    std::byte* mapped = state_.gate().blocks()[handle.block].mapped.load(std::memory_order_acquire);
    if (mapped != nullptr) handle.mapped = mapped + handle.offset.value;
  }
  return {.allocation = handle,
          .used = info.used,
          .kind = kind == 0 ? ResourceKind::linear : ResourceKind::optimal,
          .name = info.name,
          .user_data = info.user_data};
}

template <class Policy>
Result<HeapAllocationInfo> HeapCore<Policy>::find(const HeapAllocation& allocation) noexcept {
  if (allocation.shelf == 0) return state_.find(allocation);
  if (allocation.shelf > kShelves) return fail(ErrorCode::unknown_handle);
  ShelfOf* shelf = shelves_[allocation.shelf - 1].load(std::memory_order_acquire);
  if (shelf == nullptr) return fail(ErrorCode::unknown_handle);
  if (state_.retired().may_hold(allocation.id) && state_.retired().holds(allocation))
    return fail(ErrorCode::stale_handle);
  const Result<AllocationInfo> found = shelf->arena->find(inner(allocation).address);
  if (!found) return fail(ErrorCode::unknown_handle);
  if (found->allocation.id != allocation.id) return fail(ErrorCode::stale_handle);
  return info_of(*shelf, *found);
}

template <class Policy>
Result<void> HeapCore<Policy>::check_live(const HeapAllocation& allocation) noexcept {
  if (allocation.shelf == 0) return {};
  if (const Result<HeapAllocationInfo> found = find(allocation); !found) return fail(found.error());
  return {};
}

template <class Policy>
Result<std::byte*> HeapCore<Policy>::map(const HeapAllocation& allocation) noexcept {
  if (const Result<void> live = check_live(allocation); !live) return fail(live.error());
  if (allocation.shelf != 0 && !maps_.add(allocation)) return fail(ErrorCode::out_of_host_memory);
  const Result<std::byte*> mapped = state_.map(allocation);
  if (!mapped && allocation.shelf != 0 && maps_.begin_remove(allocation)) maps_.end_remove(allocation, true);
  return mapped;
}

template <class Policy>
Result<void> HeapCore<Policy>::unmap(const HeapAllocation& allocation) noexcept {
  if (const Result<void> live = check_live(allocation); !live) return live;
  if (allocation.shelf == 0) return state_.unmap(allocation);
  if (!maps_.begin_remove(allocation)) return fail(ErrorCode::wrong_state);
  const Result<void> unmapped = state_.unmap(allocation);
  maps_.end_remove(allocation, unmapped.has_value());
  return unmapped;
}

template <class Policy>
Result<void> HeapCore<Policy>::pin(const HeapAllocation& allocation, bool on) noexcept {
  if (const Result<void> live = check_live(allocation); !live) return live;
  return state_.pin(allocation, on);
}

template <class Policy>
void HeapCore<Policy>::for_each(Visit visit, void* user) noexcept {
  struct Context {
    const HeapCore* core;
    const ShelfOf* shelf;
    Visit visit;
    void* user;
  };
  for_each_shelf([&](ShelfOf& shelf) {
    Context context{this, &shelf, visit, user};
    shelf.arena->for_each(
        [](void* c, const AllocationInfo& info) noexcept {
          const Context& to = *static_cast<const Context*>(c);
          to.visit(to.user, to.core->info_of(*to.shelf, info));
        },
        &context);
  });
  state_.for_each(visit, user);
}

template <class Policy>
HeapReport HeapCore<Policy>::report() noexcept {
  HeapReport report;
  state_.add_to(report);
  for_each_shelf([&](ShelfOf& shelf) {
    const AllocatorReport arena = shelf.arena->report();
    HeapFigures& type = report.memory_types[shelf.memory_type];
    type.allocations += arena.total.live_allocations;
    type.live += arena.total.live;
    // In blocks, slices count as used by what lies in them.
    type.used += arena.total.used;
    if (paged_) {
      type.committed += arena.total.committed;
    } else {
      type.used -= arena.total.committed;
    }
  });
  report.demoted = demoted_.load(std::memory_order_relaxed);
  for (std::uint32_t t = 0; t < report.memory_type_count; ++t) {
    const HeapFigures& type = report.memory_types[t];
    report.total.allocations += type.allocations;
    report.total.blocks += type.blocks;
    report.total.empty_blocks += type.empty_blocks;
    report.total.live += type.live;
    report.total.guests += type.guests;
    if (state_.gate().profile().memory_types[t].lazily_allocated) {
      report.lazy += type.committed;
      continue;
    }
    report.total.used += type.used;
    report.total.committed += type.committed;
  }
  return report;
}

template <class Policy>
const char* HeapCore<Policy>::validate() noexcept {
  const char* wrong = state_.validate();
  for_each_shelf([&](ShelfOf& shelf) {
    if (wrong == nullptr) wrong = shelf.arena->validate();
  });
  return wrong;
}

template <class Policy>
void HeapCore<Policy>::report_leaks() noexcept {
  struct Context {
    const HeapLeakHandler* handler;
    std::uint64_t leaks;
  };
  constexpr std::uint64_t kPrinted = 16;
  Context context{&state_.config().on_leak, 0};
  for_each(
      [](void* c, const HeapAllocationInfo& info) noexcept {
        Context& to = *static_cast<Context*>(c);
        ++to.leaks;
        if (to.handler->on_leak != nullptr) {
          to.handler->on_leak(to.handler->user, info);
        } else if (to.leaks <= kPrinted) {
          std::fprintf(stderr, "vaspace: leaked %llu bytes of memory type %u '%.*s'\n",
                       static_cast<unsigned long long>(info.allocation.size.value),
                       info.allocation.memory_type, static_cast<int>(info.name.size()), info.name.data());
        }
      },
      &context);
  if (context.leaks > kPrinted && state_.config().on_leak.on_leak == nullptr) {
    std::fprintf(stderr, "vaspace: leaked %llu allocations in all\n",
                 static_cast<unsigned long long>(context.leaks));
  }
}

// What is defined here.
template class HeapCore<SingleThreaded>;
template class HeapCore<ThreadSafe>;

}  // namespace vaspace
