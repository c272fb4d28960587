// Whether the figures of an allocator are those of whoever counts along, and add up: report against model,
// the total against its arenas, what is committed against the pages that are touched, and events against
// both.
#pragma once

#include <cstdint>
#include <ostream>

#include "support/arena_stage.hpp"

namespace vaspace::test {

// What whoever counts along has counted.
struct VaCount {
  std::uint64_t live = 0;
  Bytes live_bytes{}, used{};
  Bytes touched{};  // pages that something live touches
  std::uint64_t refused = 0;
};

inline void compare_sums(Stage& stage, const AllocatorReport& report, std::ostream& wrong) {
  const Device& device = stage.device();
  ArenaReport sum;
  for (const ArenaReport& arena : report.arenas) {
    sum.live_allocations += arena.live_allocations;
    sum.reservations += arena.reservations;
    sum.live += arena.live;
    sum.used += arena.used;
    sum.reserved += arena.reserved;
    sum.committed += arena.committed;
    if (arena.live > arena.used || arena.used > arena.reserved) wrong << "an arena: live, used, reserved; ";
  }
  const ArenaReport& total = report.total;
  if (sum.live_allocations != total.live_allocations || sum.reservations != total.reservations ||
      sum.live != total.live || sum.used != total.used)
    wrong << "the total is not the arenas' sum; ";
  // Blocks are reserved whole, and are cut up for the arenas.
  if (device.commits ? sum.reserved > total.reserved : sum.reserved != total.reserved)
    wrong << "reserved is not the arenas' sum; ";
  if (device.page != Bytes{} && stage.config().exact_books &&
      sum.committed + report.pooled != total.committed)
    wrong << "committed is not what arenas and pool have; ";
}

// Exactly the pages that something live touches are committed, and what is said to be retained.
inline void compare_pages(Stage& stage, const AllocatorReport& report, Bytes touched, std::ostream& wrong) {
  if (stage.device().page == Bytes{} || !stage.config().exact_books) return;
  if (report.total.committed != touched + report.retained)
    wrong << "committed " << report.total.committed.value << ", touched " << touched.value << ", retained "
          << report.retained.value << "; ";
  if (report.pooled > report.retained) wrong << "pooled pages that are not retained; ";
}

inline void compare_events(Stage& stage, const AllocatorReport& report, const VaCount& counted,
                           std::ostream& wrong) {
  const Tally& tally = stage.tally();
  if (tally.live_count() != static_cast<std::int64_t>(counted.live) ||
      tally.live_bytes() != static_cast<std::int64_t>(counted.live_bytes.value))
    wrong << "events of allocate and free do not balance; ";
  for (std::uint32_t k = 0; k < kMaxArenas; ++k) {
    if (tally.reserved(k) != static_cast<std::int64_t>(report.arenas[k].reserved.value))
      wrong << "events of reserve and release do not balance in arena " << k << "; ";
  }
  Bytes bound{};
  for (const ArenaReport& arena : report.arenas)
    bound += stage.device().page != Bytes{} ? arena.committed : Bytes{};
  if (stage.config().exact_books && tally.committed() != static_cast<std::int64_t>(bound.value))
    wrong << "events of commit and decommit do not balance; ";
  if (tally.refused() != counted.refused) wrong << "events of refuse; ";
}

inline void compare_books(Stage& stage, const VaCount& counted, std::ostream& wrong) {
  Va& va = stage.va();
  const Device& device = stage.device();
  if (const char* sentence = va.validate(); sentence != nullptr) wrong << sentence << "; ";
  const AllocatorReport report = va.report();
  const ArenaReport& total = report.total;
  if (total.live_allocations != counted.live) wrong << "live allocations " << total.live_allocations << "; ";
  if (total.live != counted.live_bytes)
    wrong << "live " << total.live.value << " not " << counted.live_bytes.value << "; ";
  if (total.used != counted.used)
    wrong << "used " << total.used.value << " not " << counted.used.value << "; ";
  if (total.live > total.used || total.used > total.reserved) wrong << "not live <= used <= reserved; ";
  compare_sums(stage, report, wrong);
  compare_pages(stage, report, counted.touched, wrong);
  if (device.commits && total.committed != total.reserved) wrong << "reserving commits, but not here; ";
  if (device.memory && !stage.config().shared_device && report.physical != total.committed)
    wrong << "physical is not committed; ";
  if (!(va.live() == total.live && va.used() == total.used && va.reserved() == total.reserved &&
        va.committed() == total.committed))
    wrong << "a figure is not the report's; ";
  compare_events(stage, report, counted, wrong);
}

}  // namespace vaspace::test
