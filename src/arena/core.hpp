// The state and the calls behind BasicAllocator.
//
//   allocate ---> slab's size: a parked slot of this thread's front? --yes--> done, no lock taken
//                    |
//                    v
//                 arena: range (lock) ---> pages bound? --yes--> done
//                    |                         |
//                    | full                    no: Paging::commit
//                    v
//                 Windows::open, again
//
// Lock order: the registry of thread numbers, Fronts' mutex, a front in hand, Arena::growing, Arena::mutex,
// the tracker's. Two arenas' locks are never held together but by report(), which takes all of them in order.
#pragma once

#include <array>
#include <optional>

#include "vaspace/arena/arena_allocator.hpp"

#include "arena/arena.hpp"
#include "arena/fronts.hpp"
#include "arena/homes.hpp"
#include "arena/paging.hpp"
#include "arena/windows.hpp"

namespace vaspace {

// What both kinds of allocator configure.
struct CoreConfig {
  ArenaConfig common;
  bool fixed = false;  // one reservation, made at creation (DefaultAllocator)
  Bytes fixed_size{};
  const char* name = "";  // for misuse messages
};

template <class Policy>
class AllocatorCore {
 public:
  AllocatorCore(Backend& backend, const CoreConfig& config, Bytes device_size, Bytes unit) noexcept;
  AllocatorCore(const AllocatorCore&) = delete;
  AllocatorCore& operator=(const AllocatorCore&) = delete;
  ~AllocatorCore();

  [[nodiscard]] static Result<HostObject<AllocatorCore>> create(Backend& backend,
                                                                const CoreConfig& config) noexcept;

  [[nodiscard]] Result<Allocation> allocate(const AllocationRequest& request) noexcept;
  [[nodiscard]] Result<void> try_free(const Allocation& allocation) noexcept;
  [[nodiscard]] Result<void> try_free(AllocationId id) noexcept;
  [[nodiscard]] Result<void> try_free(Address address) noexcept;
  void free(const Allocation& allocation) noexcept;
  void free(AllocationId id) noexcept;
  void report_misuse(Error error, std::uint64_t subject) const noexcept;
  [[nodiscard]] Result<AllocationInfo> find(Address address) noexcept;
  [[nodiscard]] bool can_allocate(const AllocationRequest& request) noexcept;
  [[nodiscard]] Result<AllocationShortfall> explain(const AllocationRequest& request) noexcept;

  void collect() noexcept;
  void flush() noexcept;

  void for_each(void (*visit)(void* user, const AllocationInfo& info) noexcept, void* user) noexcept;
  [[nodiscard]] AllocatorReport report() noexcept;
  // Sums over all arenas, of figures that may change meanwhile: exact while no other thread is at work.
  [[nodiscard]] Bytes live() noexcept;
  [[nodiscard]] Bytes used() noexcept;
  [[nodiscard]] Bytes committed() noexcept;
  [[nodiscard]] Bytes reserved() noexcept;
  [[nodiscard]] const char* validate() noexcept;

 private:
  using ArenaOf = Arena<Policy>;
  using Lock = std::unique_lock<typename Policy::Mutex>;

  static constexpr unsigned kArenaShift = 27;  // of an allocation's index
  static constexpr std::uint32_t kIndexMask = (1U << kArenaShift) - 1;
  static_assert(kMaxArenas < (1U << (32 - kArenaShift)));

  // Sizes up to kSmall find their slab in a table, by steps of kSmallStep.
  static constexpr std::uint64_t kSmall = (64_KiB).value;
  static constexpr unsigned kSmallStepBits = 8;

  // A range in an arena, its pages touched but perhaps not bound.
  struct Placed {
    std::uint32_t arena = 0;
    Range range{};
  };

  [[nodiscard]] Result<void> set_up() noexcept;
  [[nodiscard]] Result<void> set_up_arena(std::uint32_t k, const SizeClass& size_class,
                                          Bytes reservation) noexcept;
  [[nodiscard]] bool set_up_slabs() noexcept;
  void set_up_homes() noexcept;
  void update_sizes() noexcept;
  void update_ways(std::uint32_t k) noexcept;
  void report_leaks() noexcept;

  [[nodiscard]] std::uint32_t choose(const AllocationRequest& request) const noexcept;
  [[nodiscard]] bool has_magazine(std::uint32_t k) const noexcept {
    return has_fronts_ && k < class_count_ && arenas_[k]->spans.is_slab();
  }
  [[nodiscard]] bool keeps_ranges(std::uint32_t k) const noexcept {
    return has_fronts_ && k < class_count_ && !arenas_[k]->spans.is_slab();
  }
  // Out of a magazine that is not empty.
  [[nodiscard]] Result<Allocation> allocate_parked(Magazine& magazine, std::uint32_t k, Bytes size) noexcept;
  [[nodiscard]] Result<Allocation> allocate_locked(const AllocationRequest& request) noexcept;
  [[nodiscard]] Result<Allocation> allocate_slot(std::uint32_t k, const AllocationRequest& request) noexcept;
  [[nodiscard]] Result<Allocation> allocate_object(std::uint32_t k,
                                                   const AllocationRequest& request) noexcept;
  [[nodiscard]] static bool touch_bound(ArenaOf& arena, const Range& range) noexcept;
  [[nodiscard]] Result<Allocation> allocate_refilled(std::uint32_t k,
                                                     const AllocationRequest& request) noexcept;
  enum class Refill : std::uint8_t { some, nothing, only_others };
  [[nodiscard]] Refill refill(ArenaOf& arena, Magazine& magazine, std::uint8_t taker, bool steal) noexcept;
  [[nodiscard]] static std::uint32_t slots_in_page(const ArenaOf& arena, const std::uint32_t* slots,
                                                   std::uint32_t count) noexcept;
  [[nodiscard]] std::uint32_t keep_bound(ArenaOf& arena, const std::uint32_t* slots,
                                         std::uint32_t count) noexcept;
  // For whom the slow way takes a slot: where pages are bound, the lowest is the best for everybody.
  [[nodiscard]] std::uint8_t taker_for(const ArenaOf& arena) const noexcept {
    return arena.pages ? std::uint8_t{0} : fronts_.taker();
  }
  [[nodiscard]] Result<Allocation> allocate_from_front(std::uint32_t k, const AllocationRequest& request,
                                                       bool steal, Refill& refilled) noexcept;
  [[nodiscard]] Result<Allocation> allocate_slow(std::uint32_t k, const AllocationRequest& request) noexcept;
  [[nodiscard]] Result<Placed> place(std::uint32_t k, const AllocationRequest& request) noexcept;
  [[nodiscard]] Result<Placed> place_alone(const AllocationRequest& request) noexcept;
  [[nodiscard]] Result<Placed> place_elsewhere(std::uint32_t k, const AllocationRequest& request) noexcept;
  // Whether a request of another size class may go to this arena.
  [[nodiscard]] bool serves_others(std::uint32_t k, const AllocationRequest& request) const noexcept {
    return !arenas_[k]->spans.is_slab() && request.alignment <= arenas_[k]->shape.base_alignment;
  }
  [[nodiscard]] Result<Placed> place_in(std::uint32_t k, const AllocationRequest& request) noexcept;
  [[nodiscard]] Result<Placed> equip(ArenaOf& arena, std::uint32_t k, const Result<Range>& range,
                                     const AllocationRequest& request) noexcept;
  [[nodiscard]] Result<Placed> place_bound(std::uint32_t k, const AllocationRequest& request) noexcept;
  [[nodiscard]] Result<void> commit(const Placed& placed) noexcept;
  void pool_retained(ArenaOf& arena, const Range& range) noexcept;
  void take_apart(const Placed& placed) noexcept;
  [[nodiscard]] Allocation publish(ArenaOf& arena, std::uint32_t k, const Range& range,
                                   const AllocationRequest& request) noexcept;
  [[nodiscard]] tl::unexpected<Error> refuse(std::uint32_t k, const AllocationRequest& request,
                                             Error error) const noexcept;

  // Calls use(arena, its index, the live range at `address`) under the arena's lock.
  template <class Use>
  [[nodiscard]] Result<void> at(Address address, Use&& use) noexcept;
  [[nodiscard]] bool is_contended(std::uint32_t k) noexcept;
  void relax_kept(std::uint32_t k) noexcept;
  // `missed`: somebody found no room.
  [[nodiscard]] bool merge_kept(std::uint32_t k, bool missed) noexcept;
  void tell(EventKind kind, std::uint32_t k, const Allocation& allocation) const noexcept;
  [[nodiscard]] Result<void> take_back(ArenaOf& arena, std::uint32_t k, const Range& range) noexcept;
  // Into the thread's own magazine; false: not this way. kChecked: only if the slot is at the address.
  template <bool kChecked>
  [[nodiscard]] bool free_parked(AllocationId id, Address address) noexcept;
  [[nodiscard]] bool free_parked_observed(AllocationId id) noexcept;
  [[nodiscard]] Result<void> free_locked(AllocationId id, const Address* address) noexcept;
  [[nodiscard]] Result<void> free_object(std::uint32_t k, RangeId id, const Address* address) noexcept;
  [[nodiscard]] static tl::unexpected<Error> not_at(const ArenaOf& arena, RangeId id) noexcept;
  // What goes in and out of the shared arena; its lock is held.
  void settle(const ArenaOf& arena, Bytes size) noexcept {
    if (arena.shape.index == homes_.shared() && homes_.shares()) [[unlikely]]
      settle_shared(size);
  }
  [[gnu::noinline]] void settle_shared(Bytes size) noexcept {
    if (homes_.add(index_.choose(size, {}), size)) update_sizes();
  }
  void give_up_homes() noexcept;
  // The range is parked, and not among what the arena counts; its lock is held.
  void give_back(ArenaOf& arena, const Range& range) noexcept;
  [[nodiscard]] std::uint32_t take_kept(ArenaOf& arena, std::uint32_t k, const AllocationRequest& request,
                                        ObjectRecord*& record) noexcept;
  // Makes a range that is the caller's live.
  [[nodiscard]] Result<Allocation> hand_out(ArenaOf& arena, std::uint32_t k, std::uint32_t index,
                                            ObjectRecord& record, Bytes requested) noexcept;
  [[nodiscard]] bool keep(std::uint32_t k, Bytes size, Bytes requested, std::uint32_t index) noexcept;
  void free_or_report(AllocationId id, const Address* address) noexcept;
  void spill(std::uint32_t k) noexcept;
  // The slots of a magazine go back, the arena's lock is held.
  void give_slots(ArenaOf& arena, const std::uint32_t* slots, std::uint32_t count) noexcept;
  void empty(Front& front, std::uint32_t k) noexcept;
  void empty_front(Front& front) noexcept;
  void empty_fronts() noexcept;
  [[nodiscard]] std::uint64_t trim_fronts(Bytes keep) noexcept;
  // What fronts alone keep from being given back: pages, or bytes of blocks. All of them are paused.
  [[nodiscard]] Bytes parked_bytes() noexcept;
  [[nodiscard]] bool wants_trimming() noexcept;
  [[nodiscard]] std::uint32_t arenas_without_life() noexcept;
  // Calls visit(Range) for what lies in magazines, or is kept by an object arena.
  template <class Visit>
  void for_each_parked(const ArenaOf& arena, std::uint32_t k, Visit&& visit) noexcept;
  // Pages that nothing but that touches. All fronts are paused.
  [[nodiscard]] std::uint64_t parked_pages() noexcept;
  [[nodiscard]] std::uint64_t parked_pages(ArenaOf& arena, std::uint32_t k) noexcept;
  // What an arena's lock and all fronts say together.
  struct Tally {
    std::uint64_t count = 0;
    std::uint64_t live = 0;
    std::uint64_t used = 0;
  };
  [[nodiscard]] Tally tally(ArenaOf& arena, std::uint32_t k) noexcept;
  [[nodiscard]] std::uint64_t parked(std::uint32_t k) const noexcept;
  void fill_in(AllocatorReport& report) noexcept;
  [[nodiscard]] const char* validate_arena(ArenaOf& arena, std::uint32_t k) noexcept;
  [[nodiscard]] AllocationInfo info_of(const ArenaOf& arena, std::uint32_t k, const Range& range,
                                       Bytes requested) const noexcept;

  [[nodiscard]] Result<void> try_out(const AllocationRequest& request) noexcept;
  [[nodiscard]] Bytes largest_of(AllocationRequest request) noexcept;
  [[nodiscard]] bool another_serves(std::uint32_t memory_type, const AllocationRequest& request) noexcept;
  [[nodiscard]] bool has_hole(std::uint32_t k, const AllocationRequest& request) noexcept;
  [[nodiscard]] Bytes device_room() noexcept;
  [[nodiscard]] bool can_do_without_device(std::uint32_t k, const AllocationRequest& request,
                                           Bytes whole) noexcept;

  [[nodiscard]] Paging<Policy>* paging() noexcept { return paging_ ? &*paging_ : nullptr; }
  [[nodiscard]] Bytes retained_cap() noexcept;
  void give_back(std::uint64_t keep_pages, std::uint64_t most) noexcept;
  [[nodiscard]] std::uint64_t trim_pages(std::uint64_t keep, std::uint64_t most) noexcept;

  template <class Visit>
  void for_each_arena(Visit&& visit) {
    for (std::uint32_t k = 0; k < kMaxArenas; ++k) {
      if (arenas_[k]) visit(*arenas_[k], k);
    }
  }

  Backend& backend_;
  CoreConfig config_;
  Bytes device_size_;
  std::array<SizeClass, kMaxSizeClasses> classes_{};
  std::uint32_t class_count_ = 0;  // also the index of the arena of allocations that stand alone
  SizeClassIndex index_;
  Fronts<Policy> fronts_;
  Homes homes_;
  // By size, the slab arena whose magazine serves it; class_count_, whose magazine is always empty, where
  // none does, or not now.
  std::array<Figure<std::uint8_t>, (kSmall >> kSmallStepBits)> slab_of_size_;
  // By arena: there are notes, so that frees take the lock.
  std::array<Figure<bool>, kMaxArenas + 1> noted_;
  // By arena: frees do not go the short way, because there is no slab, or they are noted or observed.
  std::array<Figure<bool>, kMaxArenas + 1> long_way_;
  bool has_fronts_ = false;                         // not where one reservation is all there is
  std::array<std::uint8_t, kMaxArenas> kept_of_{};  // an object arena's number among them
  std::array<std::optional<ArenaOf>, kMaxArenas> arenas_;
  Windows<Policy> windows_;
  std::optional<PagePool> pool_;
  std::optional<Paging<Policy>> paging_;
};

}  // namespace vaspace
