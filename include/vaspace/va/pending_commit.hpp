// A change of a VaSpace on its way to the driver: what the driver is asked, and what came of it.
//
//   begin_*   the owner's lock     planned; its host memory is there; its range is in flight
//   carry_out no lock              the driver is called; nothing of the space is read or written
//   end       the owner's lock     published, or nothing has changed
//
// Always true: between begin and end its plan, its waits and its outcome are the carrier's alone; what it has
// once had room for it has room for again.
#pragma once

#include <optional>

#include "vaspace/va/bind_plan.hpp"

namespace vaspace {

class PendingCommit {
 public:
  explicit PendingCommit(const HostAllocator& host) noexcept
      : own_(host), together_(host), waits_(host), plan_(&own_) {}
  PendingCommit(const PendingCommit&) = delete;
  PendingCommit& operator=(const PendingCommit&) = delete;

  // Room for a map of one page or of so many new ones, and for any unmap of whole mappings of so many, where
  // no more than `commits` are ever under way at once. False: no host memory.
  [[nodiscard]] bool keep(std::size_t pages, std::size_t commits = 1) noexcept;

 private:
  friend class VaSpace;

  BindPlan own_;
  HostArray<BindOp> together_;  // both lists of a plan, where they go in one call
  HostArray<TimelinePoint> waits_;
  BindPlan* plan_;           // its own, or a caller's
  std::uint64_t begin_ = 0;  // of all addresses that the driver is asked about
  std::uint64_t end_ = 0;
  std::size_t changes_ = 0;                  // of the map, at most
  std::size_t tears_ = 0;                    // at most
  std::uint64_t heads_below_ = 0;            // of the points before, those that it waits for
  TimelinePoint last_{};                     // of the commits before
  std::optional<TimelinePoint> accepted_{};  // of the last call that the driver took
  std::size_t torn_ = 0;                     // of plan_->restores_, in front: they were refused
  Result<TimelinePoint> outcome_{};
};

}  // namespace vaspace
