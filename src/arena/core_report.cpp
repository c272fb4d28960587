// Giving back what is unused, and telling what there is.
#include <algorithm>

#include "arena/core.hpp"

namespace vaspace {

// DESIGN, decision 9: at most a share of live and a fixed rest.
template <class Policy>
Bytes AllocatorCore<Policy>::retained_cap() noexcept {
  const Bytes live = sum(&ArenaOf::live);
  return config_.common.retain + Bytes{live.value / 100 * config_.common.retain_percent};
}

template <class Policy>
void AllocatorCore<Policy>::give_back(std::uint64_t keep_pages, std::uint64_t most) noexcept {
  if (paging_) most -= trim_pages(keep_pages, most);
  if (config_.fixed) return;
  for_each_arena(
      [&](ArenaOf& arena, std::uint32_t) { windows_.close_empty(arena, paging(), keep_pages, most); });
}

// Gives back up to `most` empty pages above `keep`; how many it tried.
template <class Policy>
std::uint64_t AllocatorCore<Policy>::trim_pages(std::uint64_t keep, std::uint64_t most) noexcept {
  std::uint64_t empty = 0;
  for_each_arena([&](ArenaOf& arena, std::uint32_t) {
    const Lock lock(arena.mutex);
    empty += arena.pages->empty();
  });
  pool_->trim(keep > empty ? keep - empty : 0);
  const std::uint64_t excess = empty > keep ? std::min(empty - keep, most) : 0;
  std::uint64_t left = excess;
  for_each_arena([&](ArenaOf& arena, std::uint32_t) {
    if (left != 0) left -= paging_->give_back(arena, left, 0);
  });
  return excess - left;
}

template <class Policy>
void AllocatorCore<Policy>::collect() noexcept {
  const Bytes keep = retained_cap();
  const Bytes page = paging_ ? pool_->page_size() : 1_B;
  give_back(keep / page, std::max<std::uint64_t>(config_.common.collect_step / page, 1));
  // Where reserving commits, the smallest block is kept too: a program that needs one now and then does not
  // ask the driver for it each time.
  windows_.source().trim(keep == Bytes{} ? keep : std::max(keep, ReservationSource::kFirstBlock));
}

template <class Policy>
void AllocatorCore<Policy>::flush() noexcept {
  give_back(0, kUnlimited);
  windows_.source().trim(Bytes{});
}

template <class Policy>
Bytes AllocatorCore<Policy>::sum(Bytes ArenaOf::*figure) noexcept {
  Bytes total{};
  for_each_arena([&](ArenaOf& arena, std::uint32_t) {
    const Lock lock(arena.mutex);
    total += arena.*figure;
  });
  return total;
}

template <class Policy>
Bytes AllocatorCore<Policy>::committed() noexcept {
  if (paging_) return pool_->held() * pool_->page_size();
  return backend_.profile().capabilities.reserve_commits ? windows_.source().held() : Bytes{};
}

// Where arenas cut their reservations out of blocks, the blocks are what is reserved.
template <class Policy>
Bytes AllocatorCore<Policy>::reserved() noexcept {
  return windows_.source().cuts() ? windows_.source().held() : sum(&ArenaOf::reserved);
}

template <class Policy>
AllocatorReport AllocatorCore<Policy>::report() noexcept {
  AllocatorReport report;
  // The driver is asked under no lock (T2).
  report.physical = backend_.measured_physical().value_or(Bytes{});
  std::array<std::optional<Lock>, kMaxArenas> locks;
  for_each_arena([&](ArenaOf& arena, std::uint32_t k) { locks[k].emplace(arena.mutex); });
  const bool commits = backend_.profile().capabilities.reserve_commits;
  const Bytes page = paging_ ? pool_->page_size() : Bytes{};
  for_each_arena([&](ArenaOf& arena, std::uint32_t k) {
    ArenaReport& mine = report.arenas[k];
    mine = {.max_size = arena.shape.max_size,
            .slab = arena.spans.is_slab(),
            .live_allocations = arena.count,
            .reservations = arena.window_count,
            .live = arena.live,
            .used = arena.used,
            .reserved = arena.reserved,
            .committed = commits       ? arena.reserved
                         : arena.pages ? arena.pages->bound() * page
                                       : Bytes{}};
    if (arena.pages) report.retained += arena.pages->empty() * page;
    for (const UnderWay* range = arena.under_way; range != nullptr; range = range->next)
      ++mine.under_way;
    report.total.under_way += mine.under_way;
    report.total.live_allocations += mine.live_allocations;
    report.total.reservations += mine.reservations;
    report.total.live += mine.live;
    report.total.used += mine.used;
    report.total.reserved += mine.reserved;
    report.arena_count = k + 1;
  });
  report.total.committed = committed();
  if (windows_.source().cuts()) report.total.reserved = windows_.source().held();
  report.pooled = pool_ ? pool_->pooled() * page : Bytes{};
  report.retained += report.pooled;
  report.refused_by_driver =
      (paging_ ? paging_->refused() + pool_->refused() : 0) + windows_.source().refused();
  report.address_visits = windows_.address_visits();
  return report;
}

template <class Policy>
const char* AllocatorCore<Policy>::validate() noexcept {
  const char* wrong = nullptr;
  std::uint64_t bound = 0;
  for_each_arena([&](ArenaOf& arena, std::uint32_t) {
    const Lock lock(arena.mutex);
    if (wrong == nullptr) wrong = arena.spans.validate();
    if (wrong == nullptr && arena.pages) wrong = arena.pages->validate();
    const RangeReport ranges = arena.spans.report();
    if (ranges.used != arena.used || ranges.live != arena.count)
      wrong = "an arena's used bytes are miscounted";
    if (arena.live > arena.used || arena.used > arena.reserved) wrong = "not live <= used <= reserved";
    if (arena.pages) bound += arena.pages->bound();
  });
  if (wrong == nullptr && pool_ && bound + pool_->pooled() != pool_->held()) {
    wrong = "pages held are neither bound nor pooled";
  }
  return wrong;
}

template void AllocatorCore<SingleThreaded>::collect() noexcept;
template void AllocatorCore<SingleThreaded>::flush() noexcept;
template AllocatorReport AllocatorCore<SingleThreaded>::report() noexcept;
template Bytes AllocatorCore<SingleThreaded>::sum(Bytes Arena<SingleThreaded>::*) noexcept;
template Bytes AllocatorCore<SingleThreaded>::committed() noexcept;
template Bytes AllocatorCore<SingleThreaded>::reserved() noexcept;
template const char* AllocatorCore<SingleThreaded>::validate() noexcept;
template void AllocatorCore<ThreadSafe>::collect() noexcept;
template void AllocatorCore<ThreadSafe>::flush() noexcept;
template AllocatorReport AllocatorCore<ThreadSafe>::report() noexcept;
template Bytes AllocatorCore<ThreadSafe>::sum(Bytes Arena<ThreadSafe>::*) noexcept;
template Bytes AllocatorCore<ThreadSafe>::committed() noexcept;
template Bytes AllocatorCore<ThreadSafe>::reserved() noexcept;
template const char* AllocatorCore<ThreadSafe>::validate() noexcept;

}  // namespace vaspace
