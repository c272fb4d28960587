#include "heap/heap_core.hpp"

#include <cstdio>
#include <utility>

namespace vaspace {

namespace {

constexpr const char* kNotLive = "not a live allocation of this heap";

// Of a request that failed so, nothing was taken from the device.
[[nodiscard]] bool is_clean(ErrorCode code) noexcept {
  return !is_no_room(code) && code != ErrorCode::out_of_host_memory && code != ErrorCode::device_lost;
}

}  // namespace

template <class Policy>
HeapCore<Policy>::HeapCore(Backend& backend, const HeapConfig& config) noexcept
    : state_(backend, config),
      paged_(backend.profile().capabilities.bind),
      host_addressable_(backend.profile().capabilities.host_addressable),
      kinds_share_shelves_(config.buffer_image_granularity.value <= 256 || paged_),
      small_(paged_ ? Block::kLargest.value : config.small.value),
      small_alignment_(paged_ ? Block::kLargest.value : (64_KiB).value),
      maps_(config.host) {
  // Guards are kept in records; an atom above every slot's size would be shared.
  const bool guarded = config.guards.margin != Bytes{} || config.guards.fill;
  if (!paged_ && (guarded || config.non_coherent_atom.value > 512)) small_ = 0;
}

template <class Policy>
HeapCore<Policy>::~HeapCore() {
  state_.retired().drain([this](const Retiree& retiree) {
    if (retiree.from_arena()) {
      (void)free_in_shelf(retiree.allocation);
    } else {
      state_.free_retired(retiree);
    }
  });
  report_leaks();
  for (auto& place : shelves_) {
    if (ShelfOf* shelf = place.load(std::memory_order_relaxed))
      HostDelete<ShelfOf>{state_.config().host}(shelf);
  }
}

template <class Policy>
void HeapCore<Policy>::write_handle(HeapAllocation& handle, const ShelfOf& shelf,
                                    const Allocation& allocation) const noexcept {
  handle.address = allocation.address;
  handle.size = allocation.size;
  handle.id = allocation.id;
  handle.shelf = shelf.number;
  handle.memory_type = static_cast<std::uint8_t>(shelf.memory_type);
  if (paged_) {
    if (host_addressable_) handle.mapped = reinterpret_cast<std::byte*>(allocation.address.value);
    return;
  }
  const Block& block = state_.gate().blocks()[Block::number_of(allocation.address)];
  handle.block = block.number;
  handle.offset = Block::offset_of(allocation.address);
  handle.address = block.reservation.address + handle.offset;
  handle.native = block.native;
}

// It is somebody's now, and is to be seen by the host if it can be.
template <class Policy>
Result<void> HeapCore<Policy>::show(HeapAllocation& handle, const HeapRequest& request) noexcept {
  Block& block = state_.gate().blocks()[handle.block];
  if (!state_.gate().profile().memory_types[handle.memory_type].host_visible) return {};
  std::byte* mapped = block.mapped.load(std::memory_order_acquire);
  if (mapped == nullptr) [[unlikely]] {
    const Result<std::byte*> now = state_.gate().map_for_good(block);
    if (!now && request.mapping == Mapping::required) {
      (void)free_in_shelf(handle);
      return fail(now.error());
    }
    mapped = now.value_or(nullptr);
  }
  if (mapped != nullptr) handle.mapped = mapped + handle.offset.value;
  return {};
}

template <class Policy>
inline Result<HeapAllocation> HeapCore<Policy>::finish(const ShelfOf& shelf, const Allocation& allocation,
                                                       const HeapRequest& request) noexcept {
  Result<HeapAllocation> handle;
  write_handle(*handle, shelf, allocation);
  if (request.mapping != Mapping::none && !paged_) {
    if (const Result<void> shown = show(*handle, request); !shown) handle = fail(shown.error());
  }
  return handle;
}

template <class Policy>
Result<HeapAllocation> HeapCore<Policy>::allocate(const MemoryRequirements& needs,
                                                  const HeapRequest& request) noexcept {
  if (is_small(needs, request)) [[likely]] {
    for (const std::uint8_t type : state_.ranking_of(request)) {
      if ((needs.memory_type_bits >> type & 1U) == 0) continue;
      ShelfOf* shelf = shelves_[key_of(type, request)].load(std::memory_order_acquire);
      if (shelf == nullptr) break;
      const Result<Allocation> allocation = shelf->arena->allocate({.size = needs.size,
                                                                    .alignment = needs.alignment,
                                                                    .name = request.name,
                                                                    .user_data = request.user_data});
      if (allocation) [[likely]]
        return finish(*shelf, *allocation, request);
      break;
    }
  }
  if (const Result<HeapAllocation> again = state_.place_again(needs, request); again) return again;
  if (&needs == &request.requirements) return allocate_slow(request);
  HeapRequest whole = request;
  whole.requirements = needs;
  return allocate_slow(whole);
}

template <class Policy>
Result<HeapAllocation> HeapCore<Policy>::allocate_slow(const HeapRequest& request) noexcept {
  if (Result<void> possible = state_.check(request); !possible) return fail(possible.error());
  TypeRanking types{.count = 1};  // of a pool, whose type is its own
  if (!request.pool) {
    const Result<TypeRanking> ranking = state_.choose(request);
    if (!ranking) return fail(ranking.error());
    types = *ranking;
  }
  Result<HeapAllocation> allocation = try_types(request, types, BudgetPolicy::within);
  if (allocation || is_clean(allocation.error().code)) return allocation;
  if (!is_no_room(allocation.error().code)) {
    give_back_unused();
    return allocation;
  }
  // What lies about unused goes back before anything is refused, or the budget is passed.
  flush_shelves();
  if (const PressureHandler& press = state_.config().on_pressure; press.give_back != nullptr)
    press.give_back(press.user);
  state_.give_back_blocks(Bytes{});
  const Bytes held = state_.gate().committed();
  allocation = try_types(request, types, request.budget);
  if (!allocation && state_.gate().committed() > held) give_back_unused();
  return allocation;
}

// The best type's error is the one that is told.
template <class Policy>
Result<HeapAllocation> HeapCore<Policy>::try_types(const HeapRequest& request, const TypeRanking& types,
                                                   BudgetPolicy policy) noexcept {
  Result<HeapAllocation> first = try_type(request, types[0], policy);
  if (first || !is_worth_another_type(first.error().code)) return first;
  // Rather what lies about unused in the best memory than worse memory.
  if (types.count > 1 && is_no_room(first.error().code) && give_back_unused_of(types[0])) {
    first = try_type(request, types[0], policy);
    if (first) return first;
  }
  bool any_room = is_no_room(first.error().code);
  for (std::uint32_t i = 1; i < types.count; ++i) {
    Result<HeapAllocation> next = try_type(request, types[i], policy);
    if (next) demoted_.fetch_add(1, std::memory_order_relaxed);
    if (next || !is_worth_another_type(next.error().code)) return next;
    // "No room" may change, and so says more than "never".
    if (!any_room && is_no_room(next.error().code)) {
      first = next;
      any_room = true;
    }
  }
  return first;
}

// Whether anything was, of the heap of this type. Where the device is full and stays so, looking for it at
// every request would cost more than it brings: after a try in vain it is left alone until the next collect,
// or so many requests later.
template <class Policy>
bool HeapCore<Policy>::give_back_unused_of(std::uint32_t memory_type) noexcept {
  constexpr std::uint32_t kPatience = 256;
  const DeviceProfile& profile = state_.gate().profile();
  const std::uint32_t heap = profile.memory_types[memory_type].heap;
  std::atomic<std::uint32_t>& patience = patience_[heap];
  if (const std::uint32_t left = patience.load(std::memory_order_relaxed); left != 0) {
    patience.store(left - 1, std::memory_order_relaxed);
    return false;
  }
  const Bytes held = state_.gate().committed(heap);
  if (const PressureHandler& press = state_.config().on_pressure; press.give_back != nullptr)
    press.give_back(press.user);
  for_each_shelf([&](ShelfOf& shelf) {
    if (profile.memory_types[shelf.memory_type].heap == heap) shelf.arena->flush();
  });
  state_.give_back_blocks(heap, Bytes{});
  const bool any = state_.gate().committed(heap) < held;
  if (!any) patience.store(kPatience, std::memory_order_relaxed);
  return any;
}

template <class Policy>
Result<HeapAllocation> HeapCore<Policy>::try_type(const HeapRequest& request, std::uint32_t memory_type,
                                                  BudgetPolicy policy) noexcept {
  if (is_small(request.requirements, request)) {
    const BudgetScope scope(policy);
    const Result<HeapAllocation> small = allocate_small(request, memory_type);
    if (small || paged_ || !is_no_room(small.error().code)) return small;
    // No room for a slice: there may still be some for the thing itself.
  } else if (paged_) {
    return fail(ErrorCode::too_large);
  }
  return state_.place(request, memory_type, policy);
}

template <class Policy>
Result<HeapAllocation> HeapCore<Policy>::allocate_small(const HeapRequest& request,
                                                        std::uint32_t memory_type) noexcept {
  const Result<ShelfOf*> shelf = shelf_for(memory_type, request);
  if (!shelf) return fail(shelf.error());
  const Result<Allocation> allocation =
      (*shelf)->arena->allocate({.size = request.requirements.size,
                                 .alignment = request.requirements.alignment,
                                 .name = request.name,
                                 .user_data = request.user_data});
  if (!allocation) return fail(allocation.error());
  return finish(**shelf, *allocation, request);
}

template <class Policy>
auto HeapCore<Policy>::shelf_for(std::uint32_t memory_type, const HeapRequest& request) noexcept
    -> Result<ShelfOf*> {
  const std::uint32_t key = key_of(memory_type, request);
  std::atomic<ShelfOf*>& place = shelves_[key];
  if (ShelfOf* there = place.load(std::memory_order_acquire)) return there;
  const std::lock_guard lock(stocking_);
  if (ShelfOf* there = place.load(std::memory_order_relaxed)) return there;
  auto shelf = make_host_object<ShelfOf>(state_.config().host, memory_type);
  if (!shelf) return fail(ErrorCode::out_of_host_memory);
  shelf->number = static_cast<std::uint16_t>(key + 1);
  if (Result<void> stocked = stock(*shelf, request); !stocked) return fail(stocked.error());
  ShelfOf* made = shelf.release();
  place.store(made, std::memory_order_release);
  return made;
}

// No driver call is made.
template <class Policy>
Result<void> HeapCore<Policy>::stock(ShelfOf& shelf, const HeapRequest& request) noexcept {
  const HeapConfig& config = state_.config();
  ArenaConfig arena{.memory_type = shelf.memory_type, .host = config.host};
  arena.on_misuse = {.user = this, .on_misuse = &report_misuse_of_shelf};
  arena.granule = std::max(arena.granule, config.non_coherent_atom);
  // Whoever is left at the end is told by the heap.
  arena.on_leak.on_leak = [](void*, const AllocationInfo&) noexcept {};
  Backend* device = nullptr;
  if (paged_) {
    device = &shelf.pages.emplace(state_.gate(), shelf.memory_type);
  } else {
    const Result<BlockSpace*> space = state_.spaces().get({.memory_type = shelf.memory_type,
                                                           .kind = request.kind,
                                                           .device_address = request.device_address,
                                                           .priority = priority_of(request.priority)});
    if (!space) return fail(space.error());
    device = &shelf.slices.emplace(state_.gate(), **space);
    arena.classes = kSliceClasses;
    arena.retain = Bytes{};
    arena.retain_percent = 0;
  }
  auto made = BasicArenaAllocator<Policy>::create(*device, arena);
  if (!made) return fail(made.error());
  shelf.arena.emplace(std::move(*made));
  return {};
}

template <class Policy>
Result<void> HeapCore<Policy>::allocate(std::span<const HeapRequest> requests,
                                        std::span<HeapAllocation> out) noexcept {
  if (requests.size() != out.size()) return fail(ErrorCode::invalid_argument);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Result<HeapAllocation> allocation = allocate(requests[i]);
    if (allocation) {
      out[i] = *allocation;
      continue;
    }
    while (i-- != 0)
      (void)try_free(std::exchange(out[i], {}));
    give_back_unused();
    return fail(allocation.error());
  }
  return {};
}

template <class Policy>
Result<void> HeapCore<Policy>::free_in_shelf(const HeapAllocation& allocation) noexcept {
  ShelfOf* shelf = shelf_of(allocation);
  if (shelf == nullptr) return fail(ErrorCode::unknown_handle);
  // Before it is freed: what is counted on its block has to be gone before the block may.
  if (const std::uint32_t maps = maps_.forget(allocation); maps != 0)
    state_.gate().forget_maps(state_.gate().blocks()[allocation.block], maps);
  return shelf->arena->try_free(inner(allocation));
}

template <class Policy>
Result<void> HeapCore<Policy>::try_free(const HeapAllocation& allocation) noexcept {
  if (allocation.shelf == 0) return state_.try_free(allocation);
  if (state_.retired().may_hold(allocation.id) && state_.retired().holds(allocation)) [[unlikely]]
    return fail(ErrorCode::stale_handle);
  return free_in_shelf(allocation);
}

// An arena that does not know the handle says so to report_misuse_of_shelf.
template <class Policy>
void HeapCore<Policy>::free(const HeapAllocation& allocation) noexcept {
  if (ShelfOf* shelf = shelf_of(allocation); shelf != nullptr && !state_.retired().may_hold(allocation.id) &&
                                             !maps_.may_hold(allocation.id)) [[likely]] {
    shelf->arena->free(inner(allocation));
    return;
  }
  if (const std::optional<Misuse> misuse = free_silently(allocation)) [[unlikely]]
    state_.config().on_misuse(*misuse);
}

template <class Policy>
std::optional<Misuse> HeapCore<Policy>::free_silently(const HeapAllocation& allocation) noexcept {
  Result<bool> intact = true;
  if (allocation.shelf == 0) {
    intact = state_.free_inspected(allocation);
  } else if (const Result<void> freed = try_free(allocation); !freed) {
    intact = fail(freed.error());
  }
  if (!intact) return HeapState::misuse_of(intact.error(), allocation, "Heap::free", kNotLive);
  if (!*intact) return HeapState::overwritten(allocation, "Heap::free");
  return std::nullopt;
}

template <class Policy>
void HeapCore<Policy>::report_misuse_of_shelf(void* core, const Misuse& misuse) noexcept {
  Misuse of_heap = misuse;
  of_heap.function = "Heap::free";
  of_heap.detail = kNotLive;
  static_cast<HeapCore*>(core)->state_.config().on_misuse(of_heap);
}

template <class Policy>
Result<void> HeapCore<Policy>::retire(const HeapAllocation& allocation,
                                      std::span<const TimelinePoint> points) noexcept {
  if (allocation.shelf == 0) return state_.retire(allocation, points);
  if (shelf_of(allocation) == nullptr) return fail(ErrorCode::unknown_handle);
  return state_.retired().add({.allocation = allocation}, points);
}

template <class Policy>
void HeapCore<Policy>::collect() noexcept {
  for (std::atomic<std::uint32_t>& patience : patience_)
    patience.store(0, std::memory_order_relaxed);
  state_.gate().tick();
  state_.retired().collect([this](const Retiree& retiree) {
    if (!retiree.from_arena()) {
      state_.free_retired(retiree);
      return;
    }
    const Result<void> freed = free_in_shelf(retiree.allocation);
    if (!freed)
      state_.config().on_misuse(HeapState::misuse_of(freed.error(), retiree.allocation, "Heap::collect",
                                                     "it was freed before it was retired"));
  });
  for_each_shelf([](ShelfOf& shelf) { shelf.arena->collect(); });
  state_.collect_blocks();
}

template <class Policy>
void HeapCore<Policy>::flush_shelves() noexcept {
  for_each_shelf([](ShelfOf& shelf) { shelf.arena->flush(); });
}

template class HeapCore<SingleThreaded>;
template class HeapCore<ThreadSafe>;

}  // namespace vaspace
