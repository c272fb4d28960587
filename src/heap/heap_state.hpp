// All of a heap but its arena allocators: what has a record, what is retired, pools, moves, and the gate that
// everything passes.
//
// What is freed and was cut out of the heap's own blocks keeps its place for a while: whoever asks for the
// same again on that thread has it without a search and without a lock that another thread wants. Every
// collect, report, trim, plan of moves and block more begins with giving such places back.
//
// Always true: a live record's memory is its own, but for aliases, which share their owner's; a record of a
// move has both places until the move's points have passed, and, where it is retired, its own too. Lock
// order: the records', then the kept places', a space's, a pool table's, the gate's or the retired list's; no
// driver is called with any of these held.
#pragma once

#include <array>

#include "vaspace/heap/heap.hpp"

#include "heap/kept_places.hpp"
#include "heap/pool_table.hpp"
#include "heap/records.hpp"
#include "heap/retired_list.hpp"
#include "heap/space_table.hpp"

namespace vaspace {

// What a heap that has failed to get memory may try again.
[[nodiscard]] bool is_no_room(ErrorCode code) noexcept;
// ... with a memory type that is next best.
[[nodiscard]] bool is_worth_another_type(ErrorCode code) noexcept;

class HeapState {
 public:
  HeapState(Backend& backend, const HeapConfig& config) noexcept;
  HeapState(const HeapState&) = delete;
  HeapState& operator=(const HeapState&) = delete;
  ~HeapState() = default;

  // Errors: invalid_configuration.
  [[nodiscard]] static Result<void> check(const Backend& backend, const HeapConfig& config) noexcept;

  [[nodiscard]] const HeapConfig& config() const noexcept { return config_; }
  [[nodiscard]] DeviceGate& gate() noexcept { return gate_; }
  [[nodiscard]] const DeviceGate& gate() const noexcept { return gate_; }
  [[nodiscard]] SpaceTable& spaces() noexcept { return spaces_; }
  [[nodiscard]] PoolTable& pools() noexcept { return pools_; }
  [[nodiscard]] const PoolTable& pools() const noexcept { return pools_; }
  [[nodiscard]] RetiredList& retired() noexcept { return retired_; }
  [[nodiscard]] const RetiredList& retired() const noexcept { return retired_; }

  // Errors: what is wrong with the request whatever the state.
  [[nodiscard]] Result<void> check(const HeapRequest& request) const noexcept;
  // Every type that has what the request asks for, whatever its bits, best first; a table, made once.
  [[nodiscard]] const TypeRanking& ranking_of(const HeapRequest& request) const noexcept {
    return rankings_[(static_cast<std::uint32_t>(request.intent) * 3 +
                      static_cast<std::uint32_t>(request.mapping)) *
                         2 +
                     (request.coherent ? 1U : 0U)];
  }
  [[nodiscard]] Result<TypeRanking> choose(const HeapRequest& request) const noexcept;

  // With a record, in memory of this type or of the request's pool. Errors: as Heap::allocate.
  [[nodiscard]] Result<HeapAllocation> place(const HeapRequest& request, std::uint32_t memory_type,
                                             BudgetPolicy policy) noexcept;
  // Where this thread freed one like it lately. Errors: out_of_space: there is no such place, or the request
  // is not that simple, or wrong.
  [[nodiscard]] Result<HeapAllocation> place_again(const MemoryRequirements& needs,
                                                   const HeapRequest& request) noexcept;
  // A free that keeps the place, if it may; false: nothing has been done.
  [[nodiscard]] bool keep(const HeapAllocation& allocation) noexcept;
  // Of an allocation with a record; whether its margin was intact, where that is asked for.
  [[nodiscard]] Result<void> try_free(const HeapAllocation& allocation) noexcept;
  [[nodiscard]] Result<bool> free_inspected(const HeapAllocation& allocation) noexcept;
  [[nodiscard]] Result<void> retire(const HeapAllocation& allocation,
                                    std::span<const TimelinePoint> points) noexcept;
  // Its points have passed.
  void free_retired(const Retiree& retiree) noexcept;
  [[nodiscard]] static Misuse misuse_of(Error error, const HeapAllocation& allocation, const char* function,
                                        std::string_view detail) noexcept {
    return {.code = error.code, .function = function, .subject = allocation.id.bits(), .detail = detail};
  }
  [[nodiscard]] static Misuse overwritten(const HeapAllocation& allocation, const char* function) noexcept {
    return misuse_of({ErrorCode::wrong_state}, allocation, function, "its margin was overwritten");
  }

  // Where the host sees a block for as long as the block is; null: it does not.
  [[nodiscard]] std::byte* map_block(Block& block) noexcept {
    std::byte* mapped = block.mapped.load(std::memory_order_acquire);
    if (mapped != nullptr) [[likely]]
      return mapped;
    return gate_.map_for_good(block).value_or(nullptr);
  }
  [[nodiscard]] Result<std::byte*> map(const HeapAllocation& allocation) noexcept;
  [[nodiscard]] Result<void> unmap(const HeapAllocation& allocation) noexcept;
  enum class Sync : std::uint8_t { flush, invalidate };
  [[nodiscard]] Result<void> synchronise(std::span<const MappedRange> ranges, Sync direction) noexcept;

  // `wanted`: null, or what is to lie there.
  [[nodiscard]] Result<HeapAllocation> alias(const HeapAllocation& allocation,
                                             const HeapRequest* wanted) noexcept;
  [[nodiscard]] Result<Block*> exportable_block(const HeapAllocation& allocation) const noexcept;
  [[nodiscard]] Result<HeapAllocation> import(const ImportRequest& request, ExternalHandle handle) noexcept;
  [[nodiscard]] Result<HeapAllocation> import(const HostPointerRequest& request) noexcept;

  [[nodiscard]] Result<PoolId> create_pool(const PoolConfig& config) noexcept;

  [[nodiscard]] Result<void> pin(const HeapAllocation& allocation, bool on) noexcept;
  [[nodiscard]] Result<std::uint32_t> plan_moves(const MoveBudget& budget, std::span<Move> out) noexcept;
  [[nodiscard]] Result<HeapAllocation> commit_move(const Move& move,
                                                   std::span<const TimelinePoint> points) noexcept;
  [[nodiscard]] Result<void> abandon_move(const Move& move, std::span<const TimelinePoint> points) noexcept;

  // Places that nobody has go back to their spaces.
  void give_back_kept() noexcept;
  // The parts of collect and trim that concern blocks.
  void collect_blocks() noexcept;
  void give_back_blocks(Bytes target) noexcept;
  void give_back_blocks(std::uint32_t heap, Bytes target) noexcept;

  [[nodiscard]] Result<HeapAllocationInfo> find(const HeapAllocation& allocation) const noexcept;
  void add_to(HeapReport& report) noexcept;
  void for_each(void (*visit)(void* user, const HeapAllocationInfo& info) noexcept,
                void* user) const noexcept;
  // Only looks.
  template <class Visit>
  void for_each_space(Visit&& visit) const noexcept {
    spaces_.for_each(visit);
    pools_.for_each(visit);
  }
  // Under no lock: it may call the driver.
  template <class Visit>
  void visit_spaces(Visit&& visit) noexcept {
    spaces_.for_each(visit);
    pools_.visit_each(visit);
  }
  [[nodiscard]] Result<HeapAllocationInfo> check_corruption() noexcept;
  [[nodiscard]] const char* validate() const noexcept;

 private:
  // What an ended record leaves behind, to be given back under no lock of the records.
  struct Leaving {
    BlockSpace* space = nullptr;
    Cut cut{};
    std::uint32_t pool = 0;
    Bytes size{};
  };
  // A move, until both of its places are somebody's again.
  struct OpenMove {
    enum class Phase : std::uint8_t {
      none,     // it may be another
      planned,  // neither committed nor abandoned
      landing,  // that has been done; its points have not passed
      landed,   // they have; the allocation was retired, and its own points have not
    };

    Phase phase = Phase::none;
    bool cancelled = false;  // the allocation was mapped or pinned meanwhile: it stays
    bool moved = false;      // it is at the destination
    std::uint32_t generation = 1;
    std::uint32_t record = 0;  // 0: it has ended, and both places are the move's
    BlockSpace* space = nullptr;
    Cut source{};
    Cut destination{};
  };
  // A block that all of its residents may leave, if they may.
  struct Source {
    BlockSpace* space = nullptr;
    Block* block = nullptr;
    Bytes used{};
  };
  struct Resident {
    std::uint32_t record = 0;
    Cut destination{};
  };
  struct MovePlan;
  struct MoveQuota;

  // What lies behind an import that the gate takes by take().
  template <class Take>
  [[nodiscard]] Result<HeapAllocation> import_block(std::string_view name, std::uint64_t user_data,
                                                    bool aliasable, Take&& take) noexcept;
  [[nodiscard]] Result<void> settle(Record& record, const HeapRequest& request, BudgetPolicy policy) noexcept;
  [[nodiscard]] Result<void> settle_in_pool(Record& record, const HeapRequest& request,
                                            BudgetPolicy policy) noexcept;
  [[nodiscard]] Result<void> settle_alone(Record& record, const HeapRequest& request,
                                          BudgetPolicy policy) noexcept;
  [[nodiscard]] Result<void> settle_in_space(Record& record, const HeapRequest& request,
                                             BudgetPolicy policy) noexcept;
  [[nodiscard]] bool may_place_again(const MemoryRequirements& needs,
                                     const HeapRequest& request) const noexcept;
  [[nodiscard]] bool may_keep(const Record& record) const noexcept;
  void give_back_kept(const KeptPlaces::Pause& pause) noexcept;
  [[nodiscard]] std::array<Tally, kMaxMemoryTypes> tallies(const KeptPlaces::Pause& pause) const noexcept;
  [[nodiscard]] Result<HeapAllocation> count_in(std::uint32_t index) noexcept;
  // Of heaps whose bit is set; held(): of what is to come down to the target.
  template <class Held>
  void give_back_blocks_of(std::uint32_t heaps, Bytes target, Held&& held) noexcept;
  [[nodiscard]] bool wants_own_block(const MemoryRequirements& needs, const HeapRequest& request,
                                     std::uint32_t memory_type) const noexcept;
  [[nodiscard]] Result<void> make_visible(Record& record, const HeapRequest& request) noexcept;
  [[nodiscard]] Bytes with_margin(Bytes size) const noexcept {
    return size + align_up(config_.guards.margin, Alignment{16});
  }
  void unsettle(const Leaving& leaving) noexcept;
  void write_handle(HeapAllocation& handle, std::uint32_t index) const noexcept;
  [[nodiscard]] HeapAllocation handle_of(std::uint32_t index) const noexcept {
    HeapAllocation handle;
    write_handle(handle, index);
    return handle;
  }
  [[nodiscard]] HeapAllocationInfo info_of(std::uint32_t index) const noexcept;
  // The records' lock is held. Errors: unknown_handle, stale_handle.
  [[nodiscard]] bool names_record(const HeapAllocation& allocation) const noexcept {
    return allocation.shelf == 0 && records_.is_live(allocation.id) &&
           is_at(records_[allocation.id.index], allocation);
  }
  // A handle of another heap, or of before a move, names another place.
  [[nodiscard]] static bool is_at(const Record& record, const HeapAllocation& allocation) noexcept {
    return record.cut.block->reservation.address + record.cut.offset == allocation.address;
  }
  // ... and no free goes past the lock from now on.
  [[nodiscard]] bool hold_record(const HeapAllocation& allocation) noexcept {
    return names_record(allocation) && records_.hold(allocation.id);
  }
  [[nodiscard]] Error why_no_record(const HeapAllocation& allocation) const noexcept;
  // What is left behind is written to `leaving`, which is empty before.
  void end_record(std::uint32_t index, Leaving& leaving) noexcept;
  // One owner less of memory that is shared, or held while it is looked at.
  void drop_share(std::uint32_t index, Leaving& leaving) noexcept;
  void finish_record(std::uint32_t index, Leaving& leaving) noexcept;
  [[nodiscard]] Result<std::uint32_t> prepare_record(bool noted) noexcept;
  [[nodiscard]] Result<HeapAllocation> begin_record(std::uint32_t index, const Record& record,
                                                    Note&& note) noexcept;
  void prepare_guards(const Record& record) noexcept;
  [[nodiscard]] bool is_margin_intact(const Record& record) const noexcept;
  // The same; fills what comes back.
  [[nodiscard]] bool inspect_guards(const Record& record) const noexcept;
  [[nodiscard]] Result<void> flush_range(const HeapAllocation& allocation, Bytes begin, Bytes end,
                                         Sync direction) noexcept;
  // All with the records' lock held.
  [[nodiscard]] Result<std::uint32_t> find_move(const Move& move) const noexcept;
  [[nodiscard]] bool may_move(std::uint32_t index, std::uint8_t mover) const noexcept;
  // Of a movable record: it lies in its block from now on, or no longer.
  void enter_block(std::uint32_t index) noexcept;
  void leave_block(std::uint32_t index) noexcept;
  [[nodiscard]] Result<void> find_sources(MovePlan& plan) const noexcept;
  [[nodiscard]] Result<bool> find_residents(MovePlan& plan, const Source& source,
                                            std::uint8_t mover) const noexcept;
  [[nodiscard]] Cut take_destination(const Source& source, const Record& record) noexcept;
  [[nodiscard]] bool find_destinations(MoveQuota& quota, const Source& source,
                                       std::span<Resident> residents) noexcept;
  [[nodiscard]] Move open_move(const Source& source, const Resident& resident) noexcept;
  void close_move(OpenMove& move) noexcept;
  [[nodiscard]] Result<void> plan_source(MovePlan& plan, MoveQuota& quota, const Source& source) noexcept;
  [[nodiscard]] Result<void> plan_sources(MovePlan& plan, MoveQuota& quota) noexcept;
  [[nodiscard]] bool prepare_destination(Move& move) noexcept;
  void cancel_move(const Record& record) noexcept;
  // Moved: the allocation is at the destination from now on.
  [[nodiscard]] Result<void> end_move(std::uint32_t index, bool moved,
                                      std::span<const TimelinePoint> points) noexcept;
  void land_move(std::uint32_t index) noexcept;
  void give_both(OpenMove& move) noexcept;

  HeapConfig config_;
  DeviceGate gate_;
  SpaceTable spaces_;
  PoolTable pools_;
  RetiredList retired_;
  std::array<TypeRanking, kIntentCount * 3 * 2> rankings_{};
  std::atomic<std::uint64_t> exclusive_{0};  // blocks of one allocation each
  mutable KeptPlaces places_;
  mutable std::mutex mutex_;  // of what follows
  RecordTable records_;       // as far as it is not thread-safe
  HostArray<OpenMove> moves_;
  std::array<Tally, kMaxMemoryTypes> tallies_{};  // what did not go through kept places
  std::uint64_t open_moves_ = 0;
  // By mover: how many sources were tried in vain when its time was up; its next planning begins behind as
  // many.
  std::array<std::uint32_t, 256> tried_in_vain_{};
};

}  // namespace vaspace
