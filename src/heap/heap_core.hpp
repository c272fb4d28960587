// A heap with its arena allocators: the way of small allocations, and everybody's way in.
//
//   allocate ─► small? ─► shelf of (type, kind, traits): one table look-up ─► arena ─► block of the address:
//   one more
//        └───► otherwise, or when that fails: types in order, twice; between, all that is unused goes back
//
// Always true: a shelf is made when it is first needed and stays; it is found without a lock. Nothing on the
// way of a small allocation that has its memory there takes a lock, divides or looks anything up by hash; a
// free asks the retired list with one load whether it may have to look closer. Results and handles are made
// where they end up: what is stored in parts and then copied as a whole waits for the stores.
#pragma once

#include "heap/budget_scope.hpp"
#include "heap/heap_state.hpp"
#include "heap/shelf.hpp"
#include "heap/small_maps.hpp"

namespace vaspace {

template <class Policy>
class HeapCore {
 public:
  HeapCore(Backend& backend, const HeapConfig& config) noexcept;
  HeapCore(const HeapCore&) = delete;
  HeapCore& operator=(const HeapCore&) = delete;
  ~HeapCore();

  [[nodiscard]] HeapState& state() noexcept { return state_; }
  [[nodiscard]] const HeapState& state() const noexcept { return state_; }

  [[nodiscard]] Result<HeapAllocation> allocate(const HeapRequest& request) noexcept {
    return allocate(request.requirements, request);
  }
  // With these requirements instead of the request's.
  [[nodiscard]] Result<HeapAllocation> allocate(const MemoryRequirements& needs,
                                                const HeapRequest& request) noexcept;
  [[nodiscard]] Result<void> allocate(std::span<const HeapRequest> requests,
                                      std::span<HeapAllocation> out) noexcept;
  [[nodiscard]] Result<void> try_free(const HeapAllocation& allocation) noexcept;
  void free(const HeapAllocation& allocation) noexcept;
  [[nodiscard]] std::optional<Misuse> free_silently(const HeapAllocation& allocation) noexcept;
  [[nodiscard]] Result<void> retire(const HeapAllocation& allocation,
                                    std::span<const TimelinePoint> points) noexcept;
  void collect() noexcept;
  void flush_shelves() noexcept;
  void give_back_unused() noexcept {
    flush_shelves();
    state_.give_back_blocks(Bytes{});
  }

  [[nodiscard]] Result<std::byte*> map(const HeapAllocation& allocation) noexcept;
  [[nodiscard]] Result<void> unmap(const HeapAllocation& allocation) noexcept;
  [[nodiscard]] Result<void> pin(const HeapAllocation& allocation, bool on) noexcept;

  [[nodiscard]] Result<HeapAllocationInfo> find(const HeapAllocation& allocation) noexcept;
  [[nodiscard]] HeapReport report() noexcept;
  void for_each(void (*visit)(void* user, const HeapAllocationInfo& info) noexcept, void* user) noexcept;
  [[nodiscard]] const char* validate() noexcept;

 private:
  using ShelfOf = Shelf<Policy>;

  static constexpr std::uint32_t kShelfKinds = 2;
  static constexpr std::uint32_t kShelves = kMaxMemoryTypes * kShelfKinds * kPriorities * 2;

  [[nodiscard]] std::uint32_t key_of(std::uint32_t memory_type, const HeapRequest& request) const noexcept {
    const bool apart = !kinds_share_shelves_ && request.kind == ResourceKind::optimal;
    const std::uint32_t traits = priority_of(request.priority) * 2 + (request.device_address ? 1U : 0U);
    return (memory_type * kShelfKinds + (apart ? 1U : 0U)) * kPriorities * 2 + traits;
  }
  // Whether an arena may serve it; the rest of the request has been checked, or the shelf is there.
  [[nodiscard]] bool is_small(const MemoryRequirements& needs, const HeapRequest& request) const noexcept {
    const bool plain = (static_cast<unsigned>(request.dedicated == DedicatedWish::required) |
                        static_cast<unsigned>(request.exportable) | static_cast<unsigned>(request.movable) |
                        static_cast<unsigned>(request.aliasable) | request.pool.generation) == 0;
    const bool kind = request.kind != ResourceKind::unknown || kinds_share_shelves_;
    return plain && kind && needs.size.value - 1 < small_ && needs.alignment.value - 1 < small_alignment_ &&
           request.priority >= 0.0F && request.priority <= 1.0F;
  }
  [[nodiscard]] Result<HeapAllocation> finish(const ShelfOf& shelf, const Allocation& allocation,
                                              const HeapRequest& request) noexcept;
  [[nodiscard]] Result<void> show(HeapAllocation& handle, const HeapRequest& request) noexcept;
  static void report_misuse_of_shelf(void* core, const Misuse& misuse) noexcept;
  [[nodiscard]] Result<HeapAllocation> allocate_slow(const HeapRequest& request) noexcept;
  [[nodiscard]] Result<HeapAllocation> try_types(const HeapRequest& request, const TypeRanking& types,
                                                 BudgetPolicy policy) noexcept;
  [[nodiscard]] bool give_back_unused_of(std::uint32_t memory_type) noexcept;
  [[nodiscard]] Result<HeapAllocation> try_type(const HeapRequest& request, std::uint32_t memory_type,
                                                BudgetPolicy policy) noexcept;
  [[nodiscard]] Result<HeapAllocation> allocate_small(const HeapRequest& request,
                                                      std::uint32_t memory_type) noexcept;
  [[nodiscard]] Result<ShelfOf*> shelf_for(std::uint32_t memory_type, const HeapRequest& request) noexcept;
  [[nodiscard]] Result<void> stock(ShelfOf& shelf, const HeapRequest& request) noexcept;
  // Null: no shelf has placed it.
  [[nodiscard]] ShelfOf* shelf_of(const HeapAllocation& allocation) const noexcept {
    const std::uint32_t key = allocation.shelf - 1U;
    return key < kShelves ? shelves_[key].load(std::memory_order_acquire) : nullptr;
  }
  [[nodiscard]] Result<void> free_in_shelf(const HeapAllocation& allocation) noexcept;
  void write_handle(HeapAllocation& handle, const ShelfOf& shelf,
                    const Allocation& allocation) const noexcept;
  [[nodiscard]] HeapAllocation handle_of(const ShelfOf& shelf, const Allocation& allocation) const noexcept {
    HeapAllocation handle;
    write_handle(handle, shelf, allocation);
    return handle;
  }
  [[nodiscard]] HeapAllocationInfo info_of(const ShelfOf& shelf, const AllocationInfo& info) const noexcept;
  [[nodiscard]] static Allocation inner(const HeapAllocation& allocation) noexcept {
    const Address address =
        allocation.block != 0
            ? Address{std::uint64_t{allocation.block} << Block::kAddressBits} + allocation.offset
            : allocation.address;
    return {address, allocation.size, allocation.id};
  }
  template <class Visit>
  void for_each_shelf(Visit&& visit) {
    for (auto& place : shelves_) {
      if (ShelfOf* shelf = place.load(std::memory_order_acquire)) visit(*shelf);
    }
  }
  // Of what an arena allocator placed, which the state knows by its block only. Errors: unknown_handle,
  // stale_handle.
  [[nodiscard]] Result<void> check_live(const HeapAllocation& allocation) noexcept;
  void report_leaks() noexcept;

  HeapState state_;
  bool paged_;                     // pages are bound: no blocks, and arenas serve everything
  bool host_addressable_;          // there, what is bound is mapped
  bool kinds_share_shelves_;       // no granularity above what every slot is a multiple of
  std::uint64_t small_;            // largest size that an arena serves
  std::uint64_t small_alignment_;  // ... and alignment
  SmallMaps maps_;
  std::atomic<std::uint64_t> demoted_{0};
  std::array<std::atomic<std::uint32_t>, kMaxHeaps> patience_{};  // with a heap that was full
  std::mutex stocking_;                                           // makers of shelves
  std::array<std::atomic<ShelfOf*>, kShelves> shelves_{};         // by key; shelf n of a handle is at n - 1
};

}  // namespace vaspace
