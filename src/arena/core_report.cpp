// Giving back what is unused, and telling what there is.
#include <algorithm>

#include "arena/core_hot.hpp"

namespace vaspace {

namespace {

// While threads free what others allocate, a sum may have seen the one and not the other.
[[nodiscard]] Bytes not_below_zero(Bytes sum) noexcept {
  return (sum.value >> 63U) != 0 ? Bytes{} : sum;
}

}  // namespace

// DESIGN, decision 9: at most a share of live and a fixed rest.
template <class Policy>
Bytes AllocatorCore<Policy>::retained_cap() noexcept {
  return config_.common.retain + Bytes{live().value / 100 * config_.common.retain_percent};
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
  const std::uint64_t parked = trim_fronts(keep);
  give_back(keep / page - parked, std::max<std::uint64_t>(config_.common.collect_step / page, 1));
  // Where reserving commits, the smallest block is kept too: a program that needs one now and then does not
  // ask the driver for it each time.
  windows_.source().trim(keep == Bytes{} ? keep : std::max(keep, ReservationSource::kFirstBlock));
  give_up_homes();
}

// A class whose own arena has no reservation left begins anew in the shared one.
template <class Policy>
void AllocatorCore<Policy>::give_up_homes() noexcept {
  if (!homes_.shares()) return;
  bool changed = false;
  for (std::uint32_t k = 0; k < class_count_; ++k) {
    if (k == homes_.shared() || !homes_.has_own(k)) continue;
    {
      const Lock lock(arenas_[k]->mutex);
      if (arenas_[k]->window_count != 0) continue;
    }
    const Lock lock(arenas_[homes_.shared()]->mutex);
    homes_.lose(k);
    changed = true;
  }
  if (!changed) return;
  const Lock lock(arenas_[homes_.shared()]->mutex);
  update_sizes();
}

template <class Policy>
void AllocatorCore<Policy>::flush() noexcept {
  empty_fronts();
  give_back(0, kUnlimited);
  windows_.source().trim(Bytes{});
  give_up_homes();
}

// The arena's lock is held. Of a slab, what is taken and neither parked nor on its way is live.
template <class Policy>
auto AllocatorCore<Policy>::tally(ArenaOf& arena, std::uint32_t k) noexcept -> Tally {
  Tally sum{.count = arena.count, .live = arena.live.value, .used = arena.used.value};
  if (arena.spans.is_slab()) {
    sum.count = arena.spans.slab()->taken() - parked(k) - arena.under_way;
    sum.used = sum.count * arena.spans.slab()->slot_size().value;
    if (has_magazine(k)) {
      fronts_.for_each([&](const Front& front) { sum.live += front.magazine(k).live.get(); });
    }
  } else if (keeps_ranges(k)) {
    fronts_.for_each([&](const Front& front) {
      const KeptRanges& kept = front.kept(kept_of_[k]);
      sum.count += kept.live_count.get();
      sum.live += kept.live_bytes.get();
      sum.used += kept.used_bytes.get();
    });
  }
  return sum;
}

template <class Policy>
Bytes AllocatorCore<Policy>::live() noexcept {
  Bytes total{};
  for_each_arena([&](ArenaOf& arena, std::uint32_t k) {
    const Lock lock(arena.mutex);
    total += Bytes{tally(arena, k).live};
  });
  return not_below_zero(total);
}

template <class Policy>
Bytes AllocatorCore<Policy>::used() noexcept {
  Bytes total{};
  for_each_arena([&](ArenaOf& arena, std::uint32_t k) {
    const Lock lock(arena.mutex);
    total += Bytes{tally(arena, k).used};
  });
  return not_below_zero(total);
}

template <class Policy>
Bytes AllocatorCore<Policy>::committed() noexcept {
  if (paging_) return pool_->held() * pool_->page_size();
  return backend_.profile().capabilities.reserve_commits ? windows_.source().held() : Bytes{};
}

// Where arenas cut their reservations out of blocks, the blocks are what is reserved.
template <class Policy>
Bytes AllocatorCore<Policy>::reserved() noexcept {
  if (windows_.source().cuts()) return windows_.source().held();
  Bytes total{};
  for_each_arena([&](ArenaOf& arena, std::uint32_t) {
    const Lock lock(arena.mutex);
    total += arena.reserved;
  });
  return total;
}

template <class Policy>
void AllocatorCore<Policy>::for_each(void (*visit)(void* user, const AllocationInfo& info) noexcept,
                                     void* user) noexcept {
  for_each_arena([&](ArenaOf& arena, std::uint32_t k) {
    const Lock lock(arena.mutex);
    arena.spans.for_each(
        [&](const Range& range, Bytes requested) { visit(user, info_of(arena, k, range, requested)); });
  });
}

// The driver is asked under no lock (T2).
template <class Policy>
AllocatorReport AllocatorCore<Policy>::report() noexcept {
  AllocatorReport report;
  report.physical = backend_.measured_physical().value_or(Bytes{});
  fronts_.while_paused([&] { fill_in(report); });
  return report;
}

template <class Policy>
void AllocatorCore<Policy>::fill_in(AllocatorReport& report) noexcept {
  std::array<std::optional<Lock>, kMaxArenas> locks;
  for_each_arena([&](ArenaOf& arena, std::uint32_t k) { locks[k].emplace(arena.mutex); });
  const bool commits = backend_.profile().capabilities.reserve_commits;
  const Bytes page = paging_ ? pool_->page_size() : Bytes{};
  for_each_arena([&](ArenaOf& arena, std::uint32_t k) {
    ArenaReport& mine = report.arenas[k];
    const Tally sum = tally(arena, k);
    mine = {.max_size = arena.shape.max_size,
            .slab = arena.spans.is_slab(),
            .live_allocations = sum.count,
            .reservations = arena.window_count,
            .parked = parked(k),
            .lock_acquisitions = arena.mutex.acquisitions(),
            .live = Bytes{sum.live},
            .used = Bytes{sum.used},
            .reserved = arena.reserved,
            .committed = commits       ? arena.reserved
                         : arena.pages ? arena.pages->bound() * page
                                       : Bytes{}};
    if (arena.pages) report.retained += arena.pages->empty() * page;
    if (arena.pages) report.retained += parked_pages(arena, k) * page;
    mine.under_way = arena.under_way;
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
}

template <class Policy>
std::uint64_t AllocatorCore<Policy>::parked(std::uint32_t k) const noexcept {
  std::uint64_t ranges = 0;
  if (!has_fronts_ || k >= class_count_) return ranges;
  const bool slab = has_magazine(k);
  fronts_.for_each([&](const Front& front) {
    ranges += slab ? front.magazine(k).count.get() : front.kept(kept_of_[k]).count();
  });
  return ranges;
}

template <class Policy>
const char* AllocatorCore<Policy>::validate() noexcept {
  const char* wrong = nullptr;
  std::uint64_t bound = 0;
  fronts_.while_paused([&] {
    for_each_arena([&](ArenaOf& arena, std::uint32_t k) {
      const Lock lock(arena.mutex);
      if (wrong == nullptr) wrong = validate_arena(arena, k);
      if (arena.pages) bound += arena.pages->bound();
    });
  });
  if (wrong == nullptr && pool_ && bound + pool_->pooled() != pool_->held()) {
    wrong = "pages held are neither bound nor pooled";
  }
  return wrong;
}

template <class Policy>
const char* AllocatorCore<Policy>::validate_arena(ArenaOf& arena, std::uint32_t k) noexcept {
  if (const char* wrong = arena.spans.validate(); wrong != nullptr) return wrong;
  if (arena.pages) {
    if (const char* wrong = arena.pages->validate(); wrong != nullptr) return wrong;
  }
  const RangeReport ranges = arena.spans.report();
  const Tally sum = tally(arena, k);
  Bytes parked_bytes{};
  for_each_parked(arena, k, [&](const Range& range) { parked_bytes += range.size; });
  if (ranges.live != sum.count + parked(k) || ranges.used != Bytes{sum.used} + parked_bytes) {
    return "an arena's used bytes are miscounted";
  }
  if (sum.count != arena.spans.count_live()) return "a range is neither live nor parked";
  if (sum.live > sum.used || Bytes{sum.used} > arena.reserved) return "not live <= used <= reserved";
  return nullptr;
}

// What is defined here.
template class AllocatorCore<SingleThreaded>;
template class AllocatorCore<ThreadSafe>;

}  // namespace vaspace
