// Addresses whose physical pages follow what is live in them: bound on first use, large or small, given back
// when they are empty, and moved to denser physical memory without a change of any address.
//
//   live bytes   |##.|...|#..|.##|      |#..|.#.|...|..#|
//   bound        [ one large page ]     [ one large page ]
//   demoted      [a]     [b] [c]        [d] [e]     [f]       copied to small pages, and rebound
//   meshed       [a]     [b] [c]        [b] [b]     [a]       those whose live cells are disjoint share one
//
// Always true:
//  - Behind every live byte is a page that holds it, at the address that it always had. A page is behind two
//    addresses only where their live cells are disjoint, and two live ranges are never in one cell.
//  - acquire does all or nothing. release neither fails (but for a caller's bug) nor asks for host memory nor
//    calls the driver (R7). What the driver refuses to unbind stays bound, is counted and tried again.
//  - No driver call is made under the lock that acquire and release need when all they touch is bound. Who
//    needs a page that is in another's hands waits for that page (T2).
//  - A step of compaction never raises measure(); every page that it moves lowers it, so that it ends.
//  - Compaction holds at most one large page more than was held when its pass began, however it is hindered.
//
// Who may read and write while pages move:
//  - Reading is legal at any time where a bind is replaced in one step (PlanShape::replace: on the CPU
//    backend, unless it unbinds whole binds only and has not both offsets and aliasing). Elsewhere the page
//    has a hole for a moment, and `pause` keeps away who could use it.
//  - Writing to live bytes of a page is not legal while it is copied: what is written to the old page after
//    its bytes were copied would be lost. `pause` asks the owner to keep writers away from one page, and it
//    may say no. With `guard` the page is bound for reading only meanwhile, so that a write that comes all
//    the same faults instead of being lost.
//  - Writing to any other page, and acquire and release of anything, are legal at any time.
//
// Thread-safe.
#pragma once

#include <array>
#include <condition_variable>
#include <mutex>

#include "vaspace/va/mesh_packer.hpp"
#include "vaspace/va/page_books.hpp"
#include "vaspace/va/page_pool.hpp"
#include "vaspace/va/shared_va_space.hpp"
#include "vaspace/va/step_budget.hpp"

namespace vaspace {

// How the owner keeps writers away from a page. Neither may call into the space, and `pause` may not wait for
// a thread that is inside a call to it: it says no instead, and the page is left for another time.
struct WritePause {
  void* user = nullptr;
  // True: nobody writes to live bytes of the range, by the host or the device, until resume. Without the
  // function: nobody writes to what is live while compact, promote or an acquire goes on.
  bool (*pause)(void* user, Address address, Bytes size) noexcept = nullptr;
  void (*resume)(void* user, Address address, Bytes size) noexcept = nullptr;
};

struct PagedSpaceConfig {
  Bytes size{};        // of the addresses; rounded up to large pages
  Bytes small_page{};  // 0: the smallest that the backend offers
  Bytes large_page{};  // 0: the largest; equal to the small one where there is one size only
  Bytes cell{256};     // what live ranges are aligned to; a power of two
  std::uint32_t memory_type = 0;
  Bytes budget = kMaxBytes;          // of physical memory; compaction may hold one large page more meanwhile
  Bytes retain{};                    // of empty pages, kept for the next use
  bool trim_under_pressure = true;   // empty pages go before anything is refused for want of memory
  bool large_first = true;           // the first use of a block binds a large page
  bool guard = true;                 // where the driver can replace a bind and forbid writes
  std::uint32_t mesh_probes = 4096;  // see MeshPacker
  std::uint32_t promote_percent = 90;  // of a block's cells live: worth a large page
  WritePause pause{};
  HostAllocator host = default_host_allocator();
};

struct PagedSpaceReport {
  Bytes live{};                   // cells
  Bytes committed{};              // physical memory held: behind addresses, pooled, on its way in or out
  Bytes empty{};                  // of it behind nothing live
  std::uint64_t large_pages = 0;  // behind addresses
  std::uint64_t small_pages = 0;
  std::uint64_t meshed_pages = 0;  // addresses of pages that share a small one
  std::uint64_t mappings = 0;      // of the map
  std::uint64_t guarded = 0;       // pages that are bound for reading only, until the driver lets go of that
  std::uint64_t refused_by_driver = 0;
};

// Why an acquire would fail, and what would help; each from a dry run of what it speaks of.
struct Shortfall {
  Bytes needed{};     // physical memory that the range lacks, in small pages
  Bytes available{};  // under the budget and in the heap, now
  Bytes budget{};
  Bytes from_trim{};              // given back by trim(0)
  Bytes from_compaction{};        // given back by trim(0) and compact() until it is finished
  bool fits = false;              // nothing is lacking
  bool trim_helps = false;        // trim(0), then acquire
  bool compaction_helps = false;  // trim(0), compact() until finished, trim(0), then acquire
  Bytes budget_that_helps{};      // set_budget(this), then acquire; 0: the heap has not got it
  bool other_type_helps = false;  // another space, of this memory type, which pages can be of
  std::uint32_t other_type = 0;
};

class PagedSpace {
 public:
  // `backend` outlives the space. Errors: invalid_size, invalid_configuration (page sizes that are not
  // offered, a cell above 1/64 of a small page or no power of two, a memory type that pages cannot be of),
  // not_supported (the backend cannot bind), as VaSpace::create.
  [[nodiscard]] static Result<HostObject<PagedSpace>> create(Backend& backend,
                                                             const PagedSpaceConfig& config) noexcept;
  ~PagedSpace();
  PagedSpace(const PagedSpace&) = delete;
  PagedSpace& operator=(const PagedSpace&) = delete;

  [[nodiscard]] Address begin() const noexcept { return begin_; }
  [[nodiscard]] Address end() const noexcept { return begin_ + small_ * books_.pages(); }
  [[nodiscard]] Bytes small_page() const noexcept { return small_; }
  [[nodiscard]] Bytes large_page() const noexcept { return large_; }
  [[nodiscard]] Bytes cell() const noexcept { return cell_; }
  [[nodiscard]] bool can_demote() const noexcept { return can_demote_; }
  [[nodiscard]] bool can_mesh() const noexcept { return can_mesh_; }

  // The range, in cells, becomes live: there is memory behind it, of undefined content, and nothing else uses
  // it. Errors: invalid_size, invalid_argument (not aligned to cells), unknown_address (not all in the
  // space), wrong_state (some of it is live), timed_out (it shares a page whose writers could not be paused),
  // out_of_device_memory, out_of_host_memory, or the driver's. Nothing has changed then, but that empty pages
  // may have been given back; and where the range is in several shared pages, some may be shared no more.
  [[nodiscard]] Result<void> acquire(Address address, Bytes size) noexcept;
  // It is live no more. Errors: as above, and wrong_state unless all of it is live; nothing has changed then.
  [[nodiscard]] Result<void> release(Address address, Bytes size) noexcept;

  // Gives back empty pages above what may be retained: no more than `retain`, and of it what the budget and
  // the device's own (Backend::budget) leave beside what is in use. Bytes of physical memory given back.
  Bytes collect() noexcept;
  // From now on no more than `retain` of empty pages is kept; collects.
  Bytes trim(Bytes retain) noexcept;
  // For what comes from now on; what is empty above it goes with the next collect(), what is live stays.
  void set_budget(Bytes budget) noexcept;

  // A step of moving live data to denser physical pages; see above. Large pages with empty parts are demoted,
  // then, where the driver can alias, small ones meshed. One thread at a time; another's call waits.
  [[nodiscard]] StepReport compact(const StepBudget& budget) noexcept;
  // The other way: blocks that are full enough are copied to one large page, `pages` counting those. The
  // whole block is paused for one copy of it.
  [[nodiscard]] StepReport promote(const StepBudget& budget) noexcept;
  // What compact() lowers: small pages that hold something, and twice the pages behind large ones.
  [[nodiscard]] std::uint64_t measure() const noexcept;

  // What an acquire of the range would lack now. Errors: as acquire's for a bad range, wrong_state where some
  // of it is live, out_of_host_memory. O(pages + small pages * mesh_probes); only the pages are looked at
  // under the lock that acquire and release need.
  [[nodiscard]] Result<Shortfall> explain(Address address, Bytes size) const noexcept;

  // What lies behind one page of addresses, for pictures and tests.
  struct Behind {
    bool bound = false;
    bool large = false;
    std::uint32_t frame = 0;    // equal for pages that share
    std::uint32_t sharers = 0;  // pages of a small frame
    Bytes live{};
  };
  [[nodiscard]] Behind behind(Address address) const noexcept;
  [[nodiscard]] PagedSpaceReport report() const noexcept;
  // Bytes of `page`-sized pages, a power of two from the small page on, that hold a live byte: the least that
  // pages of that size can do without sharing.
  [[nodiscard]] Bytes floor(Bytes page) const noexcept;
  // No call is under way.
  [[nodiscard]] const char* validate() const noexcept;

  // For make_host_object alone: use create().
  PagedSpace(HostObject<VaSpace> space, const PagedSpaceConfig& config, Bytes small, Bytes large) noexcept;

 private:
  using Lock = std::unique_lock<std::mutex>;
  static constexpr std::uint32_t kNone = PageBooks::kNone;
  static constexpr std::uint32_t kBatch = 64;
  static constexpr std::uint64_t kAcquireLanes = 4;
  static constexpr std::uint64_t kLanes = kAcquireLanes + 1;  // and a step's

  // What one mover needs: addresses to copy to, and scratch.
  struct Lane {
    explicit Lane(const HostAllocator& host) noexcept : mask(host), copies(host) {}
    Address staging{};
    bool in_use = false;
    HostArray<std::uint64_t> mask;  // of the page that moves, as it was when it was taken in hand
    HostArray<CopyOp> copies;
    PhysicalId stuck{};  // the driver would not unbind it from the staging addresses: nobody's until it does
    bool stuck_large = false;
    Bytes copied{};
    Error error{};
  };
  // Where a page goes.
  struct Move {
    std::uint32_t to_frame = kNone;  // kNone: a new one
    Address through{};               // another member's address, to write to that frame
    bool overdraw = false;
    bool even_if_empty = false;
  };
  enum class Outcome : std::uint8_t { done, cancelled, postponed, refused };
  enum class Phase : std::uint8_t { demote, gather, mesh };
  struct Span {
    std::uint32_t first_page = 0, first_cell = 0;
    std::uint32_t last_page = 0, last_cell = 0;  // last_cell: one behind, in the last page
  };
  struct Source {
    std::uint32_t page = 0;
    std::uint32_t next = kNone;
  };

  // paged_space.cpp
  [[nodiscard]] Result<Span> span_of(Address address, Bytes size) const noexcept;
  template <class F>
  void each_page(const Span& span, F&& f) const;
  [[nodiscard]] bool all_live(const Span& span) const noexcept;
  [[nodiscard]] bool any_live(const Span& span) const noexcept;
  [[nodiscard]] Address address_of(std::uint32_t page) const noexcept { return begin_ + small_ * page; }
  [[nodiscard]] Bytes offset_of(std::uint32_t page) const noexcept {
    return small_ * (page % books_.pages_per_block());
  }
  [[nodiscard]] Bytes empty_of(std::uint32_t frame) const noexcept;
  template <class F>
  void change_frame(std::uint32_t frame, F&& change);
  void set_free(std::uint32_t page) noexcept;
  void enqueue_if_empty(std::uint32_t page) noexcept;

  // paged_space_bind.cpp
  [[nodiscard]] Result<void> make_ready(const Span& span, Lock& lock) noexcept;
  [[nodiscard]] Result<void> bind_missing(std::uint32_t first, std::uint32_t last, Lock& lock) noexcept;
  [[nodiscard]] bool shares_cells(std::uint32_t page, const Span& span) const noexcept;
  [[nodiscard]] bool block_is_bare(std::uint32_t page) const noexcept;
  [[nodiscard]] Result<void> bind_large(std::uint32_t page, Lock& lock) noexcept;
  [[nodiscard]] Result<void> bind_small(std::uint32_t first, std::uint32_t count, Lock& lock) noexcept;
  [[nodiscard]] Result<void> unshare(std::uint32_t page, Lock& lock) noexcept;
  [[nodiscard]] Result<void> let_write(std::uint32_t page, Lock& lock) noexcept;
  [[nodiscard]] Result<void> take(bool large, Address near, std::span<PhysicalId> out,
                                  bool overdraw) noexcept;
  [[nodiscard]] bool may_hold(Bytes sum, bool large, bool overdraw) const noexcept;
  void give(bool large, std::span<const PhysicalId> pages) noexcept;
  [[nodiscard]] PagePool& pool(bool large) noexcept { return large ? large_pool_ : small_pool_; }
  [[nodiscard]] Bytes make_room(Bytes lacks, bool for_step) noexcept;
  [[nodiscard]] Bytes held() const noexcept;
  [[nodiscard]] Bytes pooled() const noexcept;
  // What came of a bind. In place: the driver has taken it, whatever it said of its completion.
  struct Bound {
    bool in_place = false;
    Error error{};
    bool complete = false;
  };
  // `back`: to what it was before, out of the host memory that is kept for that.
  [[nodiscard]] Bound map_at(const MapRequest& request, bool back = false) noexcept;
  // Waits for it.
  [[nodiscard]] Bound settled(const Result<TimelinePoint>& point) const noexcept;
  [[nodiscard]] Result<void> unmap_at(Address address, Bytes size) noexcept;

  // paged_space_collect.cpp
  [[nodiscard]] Bytes may_retain(Bytes limit, Bytes unused) const noexcept;
  Bytes give_back(Bytes retain) noexcept;
  void drop_empty(const Span& span) noexcept;
  [[nodiscard]] std::uint32_t take_empty(std::span<std::uint32_t> out, Bytes retain,
                                         std::uint64_t& most) noexcept;
  [[nodiscard]] bool take_empty_page(std::uint32_t page) noexcept;
  void unbind_pages(std::span<std::uint32_t> pages) noexcept;
  [[nodiscard]] bool is_small(std::uint32_t page) const noexcept;
  void unbind_run(std::uint32_t first, std::uint32_t count) noexcept;
  void unbind_large(std::uint32_t page) noexcept;
  void let_go(std::uint32_t first, std::uint32_t count, bool unbound) noexcept;

  // paged_space_move.cpp
  [[nodiscard]] bool take_in_hand(std::uint32_t page, Lane& lane) noexcept;
  [[nodiscard]] Outcome relocate(std::uint32_t page, const Move& move, Lane& lane,
                                 StepReport& report) noexcept;
  [[nodiscard]] Result<void> copy_for(std::uint32_t page, const Move& move, Lane& lane,
                                      PhysicalId& fresh) noexcept;
  [[nodiscard]] PhysicalId destination(std::uint32_t page, const Move& move, PhysicalId fresh) const noexcept;
  void publish(std::uint32_t page, const Move& move, PhysicalId fresh) noexcept;
  [[nodiscard]] Result<PhysicalId> copy_to_new(std::uint32_t page, bool overdraw, Lane& lane) noexcept;
  [[nodiscard]] Result<void> copy_live(std::uint32_t page, Address to, Lane& lane) noexcept;
  [[nodiscard]] Bound bind_as(std::uint32_t page, Backing backing) noexcept;
  [[nodiscard]] Result<void> guard(std::uint32_t page) noexcept;
  void unguard(std::uint32_t page) noexcept;
  void forget_guard(std::uint32_t page) noexcept;
  [[nodiscard]] PhysicalId leave(std::uint32_t page) noexcept;
  [[nodiscard]] bool pause(Address address, Bytes size) const noexcept;
  void resume(Address address, Bytes size) const noexcept;
  void unguard_some(const StepMeter& meter, StepReport& report) noexcept;
  [[nodiscard]] std::uint32_t next_guarded(std::uint32_t& looked) noexcept;
  [[nodiscard]] Result<void> stage(Lane& lane, bool large, PhysicalId physical) noexcept;
  [[nodiscard]] Result<void> unstage(Lane& lane, bool large, PhysicalId physical) noexcept;
  [[nodiscard]] Result<void> clear_staging(Lane& lane) noexcept;
  void clear_stagings() noexcept;
  [[nodiscard]] Lane& take_lane(Lock& lock) noexcept;

  // promotion.cpp
  [[nodiscard]] bool worth_promoting(std::uint32_t block) const noexcept;
  void promote_block(std::uint32_t block, StepReport& report) noexcept;
  [[nodiscard]] Result<PhysicalId> copy_block(std::uint32_t block, StepReport& report) noexcept;
  void end_promotion(std::uint32_t block, std::uint32_t paused, PhysicalId large) noexcept;

  // compaction.cpp
  [[nodiscard]] bool demote_next(StepReport& report) noexcept;
  [[nodiscard]] bool worth_demoting(std::uint32_t block) const noexcept;
  [[nodiscard]] bool may_finish(std::uint32_t block) const noexcept;
  [[nodiscard]] bool demote_page(std::uint32_t page, StepReport& report) noexcept;
  void begin_pass() noexcept;
  [[nodiscard]] bool may_move(std::uint32_t page) const noexcept;
  [[nodiscard]] bool gather_next(StepReport& report) noexcept;
  [[nodiscard]] bool mesh_next(StepReport& report) noexcept;
  void mesh_page(std::uint32_t page, StepReport& report) noexcept;
  [[nodiscard]] std::uint32_t look_at(std::uint32_t page, bool& alone) noexcept;
  void open_bin(std::uint32_t page, std::uint32_t count) noexcept;
  [[nodiscard]] bool begin_mesh(std::uint32_t page, std::uint32_t bin, Move& move,
                                StepReport& report) noexcept;
  void end_mesh(std::uint32_t page, std::uint32_t frame) noexcept;
  void tally(Outcome outcome, std::uint64_t& done, StepReport& report) const noexcept;
  void end_pass() noexcept;

  // paged_space_explain.cpp
  // Whose pages a dry run supposes to be gone.
  enum class After : std::uint8_t { now, trim, compaction };
  [[nodiscard]] Bytes needed(const Span& span, After after) const noexcept;
  // What a pass would have before it: copies, so that it can be packed without the lock.
  struct DryRun {
    struct Source {
      std::uint32_t next = kNone;
      bool alone = false;  // with no other page that has something live
    };
    DryRun(std::uint32_t words, const HostAllocator& host) noexcept
        : packer(words, host), sources(host), heads(host), masks(host) {}
    MeshPacker packer;
    HostArray<Source> sources;
    HostArray<std::uint32_t> heads;
    HostArray<std::uint64_t> masks;  // of one source after the other
    Bytes large{};                   // what stays behind large pages
  };
  [[nodiscard]] bool demoted(DryRun& run, Bytes room) const noexcept;
  [[nodiscard]] bool add_source(std::uint32_t page, DryRun& run) const noexcept;
  [[nodiscard]] bool pack(std::uint32_t source, DryRun& run) const noexcept;
  [[nodiscard]] Result<Bytes> compacted(DryRun& run) const noexcept;
  [[nodiscard]] std::optional<Bytes> room_of(std::uint32_t type) const noexcept;
  void find_memory(Bytes wanted, Shortfall& shortfall) const noexcept;

  SharedVaSpace space_;
  Backend& backend_;
  const PagedSpaceConfig config_;
  const Bytes small_;
  const Bytes large_;
  const Bytes cell_;
  Address begin_{};
  bool can_demote_ = false;
  bool can_mesh_ = false;
  bool can_guard_ = false;

  mutable std::mutex mutex_;  // of the books and the figures; never held during a driver call
  std::condition_variable changed_;
  PageBooks books_;
  std::uint32_t empty_head_ = kNone;  // pages without a live cell, and some that have one again since
  std::uint32_t empty_tail_ = kNone;
  std::uint64_t empty_count_ = 0;  // in that list
  Bytes empty_bytes_{};            // physical memory behind nothing live
  std::uint64_t live_cells_ = 0;
  Bytes budget_{};
  Bytes retain_{};
  Bytes in_flight_{};  // asked of the device and not there yet
  Bytes overdrawn_{};  // of small pages copied out of large ones that are still held
  std::uint64_t guarded_ = 0;
  std::uint64_t refused_ = 0;

  PagePool small_pool_;
  PagePool large_pool_;

  std::array<Lane, kAcquireLanes> lanes_;  // of acquire; each in one thread's use, by mutex_
  std::mutex step_mutex_;                  // of what follows
  Lane step_lane_;
  bool in_pass_ = false;
  bool guards_took_all_ = false;  // of the last step's budget
  Bytes pass_began_with_{};       // held then, without what was overdrawn; changed with mutex_ too
  Phase phase_ = Phase::demote;
  std::uint32_t cursor_ = 0;
  std::uint32_t demoting_ = kNone;  // block
  std::uint32_t promote_cursor_ = 0;
  std::uint32_t guard_cursor_ = 0;
  std::uint32_t meshing_through_ = kNone;
  std::uint32_t fullest_ = 0;
  HostArray<Source> sources_;
  HostArray<std::uint32_t> buckets_;  // heads of lists of sources, by live cells
  MeshPacker packer_;
};

}  // namespace vaspace
