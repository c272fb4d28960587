// The pools of a heap.
//
// Always true: a pool's count of allocations is raised before its space is asked and lowered after it got the
// memory back, so that a pool that is used is never destroyed; one that is visited is destroyed afterwards.
// No driver is called under the table's lock (T2). Thread-safe.
#pragma once

#include <condition_variable>

#include "arena/notes.hpp"
#include "heap/space_table.hpp"

namespace vaspace {

struct Pool {
  std::uint32_t generation = 1;
  BlockSpace* space = nullptr;  // null: no pool has this index
  PoolStrategy strategy{};
  bool mixes_kinds = true;
  bool has_kind = false;
  bool device_address = false;
  bool mapped = false;
  ResourceKind kind = ResourceKind::linear;  // of all that is in it, where kinds are not mixed
  std::uint32_t memory_type = 0;
  BudgetPolicy budget{};
  std::uint64_t allocations = 0;
  Bytes live{};
  std::uint32_t visitors = 0;  // who are in its space under no lock
};

class PoolTable {
 public:
  PoolTable(DeviceGate& gate, const SpaceTable& spaces, const HeapConfig& config) noexcept
      : gate_(gate), spaces_(spaces), config_(config), pools_(config.host), names_(config.host) {}
  PoolTable(const PoolTable&) = delete;
  PoolTable& operator=(const PoolTable&) = delete;
  ~PoolTable();

  // `memory_type` has been chosen. Errors: invalid_configuration, not_supported, as BlockSpace::take.
  [[nodiscard]] Result<PoolId> create(const PoolConfig& config, std::uint32_t memory_type) noexcept;
  // Waits for who visits it.
  [[nodiscard]] Result<void> destroy(PoolId id) noexcept;

  // The pool, with one allocation more counted in it. Errors: unknown_handle, stale_handle, invalid_argument
  // (it cannot hold such a request).
  [[nodiscard]] Result<Pool> enter(const HeapRequest& request) noexcept;
  void leave(std::uint32_t index, Bytes size) noexcept;

  [[nodiscard]] Result<PoolReport> report(PoolId id) const noexcept;
  // Calls visit(const BlockSpace&) for each, under the table's lock.
  template <class Visit>
  void for_each(Visit&& visit) const {
    const std::lock_guard lock(mutex_);
    for (const Pool& pool : pools_) {
      if (pool.space != nullptr) visit(std::as_const(*pool.space));
    }
  }
  // Calls visit(BlockSpace&) for each, under no lock.
  template <class Visit>
  void visit_each(Visit&& visit) {
    std::uint32_t index = 0;
    while (BlockSpace* space = begin_visit(index)) {
      visit(*space);
      end_visit(index++);
    }
  }
  [[nodiscard]] std::uint32_t size() const noexcept {
    const std::lock_guard lock(mutex_);
    return static_cast<std::uint32_t>(pools_.size());
  }
  // Of any index below size(); its id is a default one where there is no pool.
  [[nodiscard]] PoolId id_at(std::uint32_t index) const noexcept;
  [[nodiscard]] const char* validate() const noexcept;

 private:
  [[nodiscard]] Result<SpaceConfig> shape(const PoolConfig& config, std::uint32_t memory_type) const noexcept;
  [[nodiscard]] Result<std::uint32_t> find(PoolId id) const noexcept;
  [[nodiscard]] Result<PoolId> enter_table(const PoolConfig& config, std::uint32_t memory_type,
                                           HostObject<BlockSpace> space) noexcept;
  // Of the first pool from `index` on, which becomes its index; null: there is none.
  [[nodiscard]] BlockSpace* begin_visit(std::uint32_t& index) noexcept;
  void end_visit(std::uint32_t index) noexcept;

  DeviceGate& gate_;
  const SpaceTable& spaces_;
  const HeapConfig& config_;
  mutable std::mutex mutex_;  // of what follows
  HostArray<Pool> pools_;
  NoteTable names_;                    // by index
  std::condition_variable unvisited_;  // a pool has no visitors
};

}  // namespace vaspace
