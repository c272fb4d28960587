// A range of addresses and what lies behind each: planned first, purely, then carried out by the driver.
//
//   addresses   |....|--A--|==N==|....|--B--|~~S~~|     A, B memory; N null; S sparse; .... nothing
//
// Always true:
//  - The map says what was committed, and the driver has bound what the map calls bound, but for what is
//    torn.
//  - A commit does all of its plan or nothing. If the driver refuses in the middle and then refuses to take
//    back what it has done, the range is torn: the map stands, its memory is not behind it. That is counted,
//    and repair() or any later map over it mends it.
//  - A plan is good for the state that it was made for and for one commit; another commit makes it stale.
//  - Addresses are handed out where nothing is handed out, nothing mapped, and no commit on its way; mapping
//    does not ask whether they are.
//
// Externally synchronised; find and plan_* may go on together. An owner whose lock is not to be held while
// the driver is called (T2) commits in three parts: begin_*, carry_out, end.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "vaspace/base/host_object.hpp"
#include "vaspace/va/address_ranges.hpp"
#include "vaspace/va/bind_plan.hpp"
#include "vaspace/va/mapping.hpp"
#include "vaspace/va/pending_commit.hpp"

namespace vaspace {

struct VaSpaceConfig {
  Bytes size{};           // of the addresses; rounded up to the reservation granularity
  Alignment alignment{};  // of the first; raised to the page
  Address hint{};         // only ever a hint
  Bytes page_size{};      // what ranges are aligned to: one that the backend offers; 0: the smallest
  // Where the driver unbinds nothing but whole binds: bind ranges whole all the same, and rests anew when one
  // is cut. Fewer binds; but a rest is unbound for a moment (BindPlan::rebinds_rests).
  bool rebind_rests = false;
  HostAllocator host = default_host_allocator();
};

struct VaSpaceReport {
  std::uint64_t mappings = 0;
  Bytes memory{};  // mapped to memory, read-only too
  Bytes null{};
  Bytes sparse{};
  Bytes torn{};  // of memory and null: not bound, until repaired
  Bytes handed_out{};
  std::uint64_t refused_rollbacks = 0;
};

// Why addresses are refused, and what would help; each by a dry run of the allocation that it speaks of.
struct AddressShortfall {
  Bytes free{};     // not handed out
  Bytes largest{};  // that would be given, with everything else as it was asked for
  bool fits = false;
  bool alignment_helps = false;  // a page's alignment
  bool boundary_helps = false;   // none
  bool both_help = false;        // neither of the two alone may
  bool elsewhere_helps = false;  // at any address, where one was asked for
  bool unmapping_helps = false;  // first unmapping what is mapped at addresses that nobody was given
  // At the address that was asked for: the first range that is handed out there, and the first mapping.
  std::optional<AddressRange> in_the_way{};
  std::optional<MappedRange> mapped_in_the_way{};
};

class VaSpace {
 public:
  // `backend` outlives the space. Errors: invalid_size, invalid_alignment, invalid_argument (a page size that
  // the backend does not offer), not_supported (it cannot bind), out_of_host_memory, or as Backend::reserve.
  [[nodiscard]] static Result<HostObject<VaSpace>> create(Backend& backend,
                                                          const VaSpaceConfig& config) noexcept;
  // Waits for the last commit, unbinds everything and releases the addresses; memory is its owners'.
  ~VaSpace();
  VaSpace(const VaSpace&) = delete;
  VaSpace& operator=(const VaSpace&) = delete;

  [[nodiscard]] Backend& backend() const noexcept { return backend_; }
  [[nodiscard]] Address begin() const noexcept { return reservation_.address; }
  [[nodiscard]] Address end() const noexcept { return reservation_.end(); }
  [[nodiscard]] Bytes page_size() const noexcept { return shape_.page; }
  [[nodiscard]] const PlanShape& shape() const noexcept { return shape_; }

  // Addresses for the caller; nothing is mapped by this. Errors: as AddressRanges::take.
  [[nodiscard]] Result<AddressRange> allocate(const AddressRequest& request) noexcept;
  // Errors: unknown_address, interior_address, wrong_state while something is mapped in it or a commit that
  // has not ended is about some of it.
  [[nodiscard]] Result<void> free(Address address) noexcept;

  // What allocate would do with this request, and why not. Nothing changes. Errors: as allocate's, but
  // out_of_space. O(log pages) allocations.
  [[nodiscard]] Result<AddressShortfall> explain(const AddressRequest& request) noexcept;

  // What it takes to put memory (or null, or sparse) there, whatever is there now. Errors: invalid_size (0,
  // or it passes 2^64), invalid_argument (not page-aligned; memory without an object, or an object without
  // need), unknown_address (not all in the space), not_supported (a capability that the driver lacks),
  // out_of_host_memory. O((k + 1) log n) for k mappings there.
  [[nodiscard]] Result<BindPlan> plan_map(const MapRequest& request) const noexcept;
  // What it takes to leave nothing there. Errors: the same, and wrong_state unless all of it is mapped.
  [[nodiscard]] Result<BindPlan> plan_unmap(Address address, Bytes size) const noexcept;

  // Begins after `waits` and after every commit before it; done at the point that it answers. Until then,
  // memory that it unmaps is in use (V27). Errors: unknown_handle (another space's plan), wrong_state
  // (committed already), stale_plan, out_of_host_memory, or the driver's. Nothing has changed then, and
  // unless the rollback was refused too the plan is still good.
  [[nodiscard]] Result<TimelinePoint> commit(BindPlan& plan,
                                             std::span<const TimelinePoint> waits = {}) noexcept;
  // A plan and its commit; the plan's memory is kept for the next.
  [[nodiscard]] Result<TimelinePoint> map(const MapRequest& request,
                                          std::span<const TimelinePoint> waits = {}) noexcept;
  [[nodiscard]] Result<TimelinePoint> unmap(Address address, Bytes size,
                                            std::span<const TimelinePoint> waits = {}) noexcept;

  // Objects of a page each, side by side where nothing is mapped: one call of the driver for all of them.
  // Errors: as map, and wrong_state where something is mapped.
  [[nodiscard]] Result<TimelinePoint> map_pages(Address address, std::span<const PhysicalId> pages,
                                                std::span<const TimelinePoint> waits = {}) noexcept;

  // The same in three parts: begin_* and end are under the owner's lock, carry_out is not, and other commits
  // go on meanwhile. Each begin_* that succeeds is followed by one carry_out and one end, which answers what
  // map would. Errors of begin_*: as those of plan_* and commit, and wrong_state where another commit that
  // has not ended is about the same addresses; nothing is in flight then.
  [[nodiscard]] Result<void> begin_map(const MapRequest& request, PendingCommit& commit,
                                       std::span<const TimelinePoint> waits = {}) noexcept;
  [[nodiscard]] Result<void> begin_map_back(const MapRequest& request, PendingCommit& commit) noexcept;
  [[nodiscard]] Result<void> begin_map_pages(Address address, std::span<const PhysicalId> pages,
                                             PendingCommit& commit,
                                             std::span<const TimelinePoint> waits = {}) noexcept;
  [[nodiscard]] Result<void> begin_unmap(Address address, Bytes size, PendingCommit& commit,
                                         std::span<const TimelinePoint> waits = {}) noexcept;
  void carry_out(PendingCommit& commit) const noexcept;
  [[nodiscard]] Result<TimelinePoint> end(PendingCommit& commit) noexcept;

  // Host memory for taking back what was done, before it is done: `undos` calls of map_back for one page
  // each, and any unmap of whole mappings, of up to `pages` pages; of begin_map_back and begin_unmap the
  // same, where the commit keeps room for as many pages. `commits`: that are ever under way at once. Other
  // commits leave that alone. It never becomes less. False: no host memory.
  [[nodiscard]] bool keep_for_undo(std::size_t undos, std::size_t pages, std::size_t commits = 1) noexcept;
  // As map, out of what is kept.
  [[nodiscard]] Result<TimelinePoint> map_back(const MapRequest& request) noexcept;

  // Binds what is torn. How much still is.
  [[nodiscard]] Bytes repair() noexcept;

  // The mapping that holds the address. O(log n).
  [[nodiscard]] std::optional<MappedRange> find(Address address) const noexcept;
  // The first that ends above the address.
  [[nodiscard]] std::optional<MappedRange> next(Address address) const noexcept;
  [[nodiscard]] std::size_t mappings() const noexcept { return map_.size(); }
  [[nodiscard]] bool is_torn(Address address) const noexcept { return torn_.find(address.value).has_value(); }
  // The point at which the commit that ended last is done.
  [[nodiscard]] TimelinePoint last_commit() const noexcept { return last_; }

  [[nodiscard]] VaSpaceReport report() const noexcept;
  // The map's own sentences, and that nothing but what is mapped and bound is torn.
  [[nodiscard]] const char* validate() const noexcept;

  // For make_host_object alone: use create().
  VaSpace(Backend& backend, const Reservation& reservation, const PlanShape& shape,
          const HostAllocator& host) noexcept;

 private:
  struct Part {
    std::uint64_t end = 0;
    bool torn = false;
  };
  [[nodiscard]] std::optional<Address> behind_used(Address address, Bytes size) const noexcept;
  [[nodiscard]] std::optional<MappedRange> mapped_in(Address address, Bytes size) const noexcept;
  [[nodiscard]] Result<bool> would_give(const AddressRequest& request, bool mapped_counts) noexcept;
  [[nodiscard]] Part part_at(std::uint64_t at, std::uint64_t end) const noexcept;
  [[nodiscard]] Result<void> check_range(Address address, Bytes size) const noexcept;
  [[nodiscard]] Result<void> check_request(const MapRequest& request) const noexcept;
  [[nodiscard]] Result<void> plan(Address address, Bytes size, const std::optional<Mapping>& target,
                                  BindPlan& made) const noexcept;
  [[nodiscard]] Result<void> begin(PendingCommit& commit, BindPlan& plan,
                                   std::span<const TimelinePoint> waits, std::size_t kept) noexcept;
  [[nodiscard]] Result<TimelinePoint> finish(const Result<void>& begun, PendingCommit& commit) noexcept;
  [[nodiscard]] Result<void> check_plan(const BindPlan& plan) const noexcept;
  [[nodiscard]] bool set_waits(PendingCommit& commit, std::span<const TimelinePoint> waits) const noexcept;
  [[nodiscard]] static bool set_together(PendingCommit& commit) noexcept;
  [[nodiscard]] bool is_in_flight(const PendingCommit& commit) const noexcept;
  [[nodiscard]] std::optional<Address> in_flight_in(std::uint64_t begin, std::uint64_t end) const noexcept;
  [[nodiscard]] Result<TimelinePoint> ask_driver(PendingCommit& commit) const noexcept;
  [[nodiscard]] Result<TimelinePoint> submit(PendingCommit& commit,
                                             std::span<const BindOp> ops) const noexcept;
  void roll_back(PendingCommit& commit) const noexcept;
  void note_tears(const PendingCommit& commit) noexcept;
  void note_point(const PendingCommit& commit) noexcept;
  void publish(const BindPlan& plan) noexcept;

  Backend& backend_;
  Reservation reservation_;
  PlanShape shape_;
  HostAllocator host_;
  AddressMap map_;
  TornMap torn_;
  AddressRanges ranges_;
  PendingCommit scratch_;  // of commits in one part
  std::size_t kept_ = 0;   // changes of the map that there is always room for
  // Commits that have not ended, and what there is room for on their behalf.
  HostArray<const PendingCommit*> in_flight_;
  std::size_t changes_in_flight_ = 0;
  std::size_t tears_in_flight_ = 0;
  // Points that no later commit has waited for: one, but for commits that were in flight together.
  struct Head {
    TimelinePoint point{};
    std::uint64_t number = 0;
  };
  HostArray<Head> heads_;
  std::uint64_t next_head_ = 0;
  TimelinePoint last_{};
  std::uint64_t epoch_ = 0;
  std::uint64_t refused_rollbacks_ = 0;
};

}  // namespace vaspace
