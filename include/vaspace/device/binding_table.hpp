// What is bound where, and every check that the contract of Backend::bind asks for: what a backend without a
// driver's own page tables keeps.
//
// Always true: bindings lie within reservations, do not overlap, and cost memory only where something is
// bound; an object's `bound` is the sum of its bindings; undo() of a journal restores exactly what was there
// before it began.
#pragma once

#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/device/backend.hpp"
#include "vaspace/device/interval_treap.hpp"
#include "vaspace/device/physical_table.hpp"
#include "vaspace/device/reservation_table.hpp"

namespace vaspace {

struct Binding {
  static constexpr std::uint32_t kNull = ~std::uint32_t{0};

  std::uint64_t place = 0;    // of the first byte, in its heap
  std::uint64_t mapping = 0;  // one number per bind: what is split keeps it (C8)
  std::uint32_t object = 0;   // slot in the PhysicalTable; kNull: no memory, reads give zeros
  std::uint32_t heap = 0;
  Access access = Access::read_write;

  [[nodiscard]] bool null() const noexcept { return object == kNull; }
};

using BindingTree = IntervalTreap<Binding>;

// What a batch has done so far, newest last, so that it can be taken back.
class BindJournal {
 public:
  struct Change {
    bool added = false;  // else removed
    BindingTree::Interval interval;
  };
  explicit BindJournal(const HostAllocator& host) noexcept : changes_(host) {}

  void clear() noexcept { changes_.clear(); }
  [[nodiscard]] std::span<const Change> changes() const noexcept { return changes_.span(); }

 private:
  friend class BindingTable;
  HostArray<Change> changes_;
};

// Externally synchronised. A bind is O(log n), an unbind O(k log n) for the k bindings that it covers.
class BindingTable {
 public:
  // All three outlive this.
  BindingTable(const DeviceProfile& profile, ReservationTable& reservations, PhysicalTable& objects,
               const HostAllocator& host) noexcept
      : profile_(&profile), reservations_(&reservations), objects_(&objects), tree_(host), used_keys_(host) {}

  // One op of a batch. A refused op may have left changes in the journal: undo() it then. Errors: as
  // Backend::bind.
  [[nodiscard]] Result<void> apply(const BindOp& op, BindJournal& journal) noexcept;
  // Errors: as Backend::set_access, and out_of_host_memory.
  [[nodiscard]] Result<void> set_access(Address address, Bytes size, Access access,
                                        BindJournal& journal) noexcept;
  // Takes back all that the journal holds and clears it. Cannot fail.
  void undo(BindJournal& journal) noexcept;

  [[nodiscard]] bool any_bound(Address address, Bytes size) const noexcept;
  [[nodiscard]] bool all_bound(Address address, Bytes size) const noexcept;
  [[nodiscard]] const BindingTree& tree() const noexcept { return tree_; }

 private:
  using Interval = BindingTree::Interval;
  struct Nothing {};

  [[nodiscard]] Result<void> bind(const BindOp& op, BindJournal& journal) noexcept;
  [[nodiscard]] Result<void> bind_null(const BindOp& op, BindJournal& journal) noexcept;
  [[nodiscard]] Result<void> unbind(const BindOp& op, BindJournal& journal) noexcept;
  [[nodiscard]] Result<void> clear(const BindOp& op, BindJournal& journal) noexcept;
  [[nodiscard]] bool cuts_mapping(std::uint64_t point) const noexcept;
  [[nodiscard]] bool cut_at(std::uint64_t point, BindJournal& journal) noexcept;
  [[nodiscard]] bool room_for_one(BindJournal& journal) noexcept;
  void add(const Interval& interval, BindJournal& journal) noexcept;
  void remove(const Interval& interval, BindJournal& journal) noexcept;
  void insert(const Interval& interval) noexcept;
  void erase(const Interval& interval) noexcept;
  [[nodiscard]] std::uint64_t key_of(const Interval& interval) const noexcept;

  const DeviceProfile* profile_;
  ReservationTable* reservations_;
  PhysicalTable* objects_;
  BindingTree tree_;
  IntervalTreap<Nothing> used_keys_;  // bound parts of objects; kept only where aliasing is off
  std::uint64_t next_mapping_ = 0;
};

}  // namespace vaspace
