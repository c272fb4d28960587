#include "arena/core.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>

#include "vaspace/base/identity.hpp"

namespace vaspace {

// ---- creating and destroying

template <class Policy>
AllocatorCore<Policy>::AllocatorCore(Backend& backend, const CoreConfig& config, Bytes device_size,
                                     Bytes unit) noexcept
    : backend_(backend),
      config_(config),
      device_size_(device_size),
      windows_(backend,
               {.memory_type = config.common.memory_type,
                .unit = unit,
                .device_size = device_size,
                .host = config.common.host},
               config.common.observer) {}

template <class Policy>
auto AllocatorCore<Policy>::create(Backend& backend, const CoreConfig& config) noexcept
    -> Result<HostObject<AllocatorCore>> {
  const DeviceProfile& profile = backend.profile();
  CoreConfig checked = config;
  ArenaConfig& common = checked.common;
  if (common.memory_type >= profile.memory_type_count || !common.granule.valid() ||
      Bytes{common.granule.value} > 64_KiB) {
    return fail(ErrorCode::invalid_configuration);
  }
  if (Result<void> valid = validate_size_classes(common.classes); !valid) return fail(valid.error());
  if (profile.capabilities.bind) {
    if (common.page_size == Bytes{}) common.page_size = profile.page_sizes[0];
    if (!profile.offers_page(common.page_size)) return fail(ErrorCode::invalid_configuration);
  } else {
    common.page_size = {};
  }
  const Bytes unit{std::bit_ceil(
      std::max({AddressTracker::kUnit, common.page_size, profile.reservation_granularity}).value)};
  const Bytes device = profile.heaps[profile.memory_types[common.memory_type].heap].size;
  auto core = make_host_object<AllocatorCore>(common.host, backend, checked, device, unit);
  if (!core) return fail(ErrorCode::out_of_host_memory);
  if (Result<void> ready = core->set_up(); !ready) return fail(ready.error());
  return core;
}

template <class Policy>
Result<void> AllocatorCore<Policy>::set_up() noexcept {
  ArenaConfig& common = config_.common;
  if (Result<void> source = windows_.source().create(); !source) return source;
  if (common.page_size != Bytes{}) {
    pool_.emplace(backend_, common.page_size, common.memory_type, common.host);
    paging_.emplace(*pool_, common.observer);
  }
  class_count_ = static_cast<std::uint32_t>(common.classes.size());
  std::copy(common.classes.begin(), common.classes.end(), classes_.begin());
  common.classes = {classes_.data(), class_count_};
  index_ = SizeClassIndex(common.classes);
  for (std::uint32_t k = 0; k < class_count_; ++k) {
    const Bytes reservation = config_.fixed ? config_.fixed_size : classes_[k].reservation;
    if (Result<void> arena = set_up_arena(k, classes_[k], reservation); !arena) return arena;
  }
  if (!config_.fixed) return set_up_arena(class_count_, {kMaxBytes, {}, Strategy::object}, Bytes{});
  return windows_.open(*arenas_[0], {arenas_[0]->shape.reservation, {}}, true);
}

template <class Policy>
Result<void> AllocatorCore<Policy>::set_up_arena(std::uint32_t k, const SizeClass& size_class,
                                                 Bytes reservation) noexcept {
  const ArenaConfig& common = config_.common;
  const Alignment unit{windows_.source().unit()};
  const bool alone = k == class_count_;
  Bytes largest = reservation != Bytes{} ? reservation : device_size_;
  // Where blocks are cut up, what is larger than half a block stands alone.
  if (windows_.source().cuts() && !alone && !config_.fixed) {
    largest = std::min(largest, Bytes{windows_.source().largest_block().value / 2});
  }
  largest = std::min(largest, backend_.profile().capabilities.max_reservation_size);
  largest = std::max(config_.fixed ? align_down(largest, unit) : align_up(largest, unit), Bytes{unit.value});
  const std::uint64_t window = std::bit_ceil(largest.value);
  // An offset has 32 bits of granules: leave room for 64 windows, or for the one of a fixed reservation.
  const std::uint64_t fewest = window >> (config_.fixed ? 31U : 26U);
  Alignment granule{std::max(common.granule.value, fewest)};
  if (alone) granule = Alignment{std::max(unit.value, fewest)};
  auto spans = Spans::create({.strategy = size_class.strategy,
                              .slot_size = size_class.max_size,
                              .granule = granule,
                              .largest_span = largest,
                              .index_addresses = common.index_addresses,
                              .identity = identity_of(this),
                              .host = common.host});
  if (!spans) return fail(spans.error());
  const bool cuts = windows_.source().cuts() && !config_.fixed;
  const Alignment base{cuts ? ReservationSource::kCut.value : std::min(window, (1_GiB).value)};
  ArenaOf& arena = arenas_[k].emplace(
      std::move(*spans),
      ArenaShape{.index = k, .max_size = size_class.max_size, .reservation = largest, .base_alignment = base},
      common.host);
  if (common.page_size != Bytes{}) arena.pages.emplace(common.page_size, Bytes{window}, common.host);
  return {};
}

template <class Policy>
AllocatorCore<Policy>::~AllocatorCore() {
  report_leaks();
  for_each_arena([&](ArenaOf& arena, std::uint32_t) { windows_.take_down(arena, paging()); });
}

template <class Policy>
void AllocatorCore<Policy>::report_leaks() noexcept {
  constexpr std::uint64_t kPrinted = 16;
  const ArenaConfig& common = config_.common;
  std::uint64_t leaks = 0;
  for_each_arena([&](ArenaOf& arena, std::uint32_t k) {
    if (arena.count == 0) return;
    arena.spans.for_each([&](const Range& range, Bytes requested) {
      const AllocationInfo info = info_of(arena, k, range, requested);
      ++leaks;
      common.observer({.kind = EventKind::leak,
                       .arena = info.arena,
                       .address = info.allocation.address,
                       .size = requested,
                       .id = info.allocation.id.bits(),
                       .user_data = info.user_data,
                       .name = info.name});
      if (common.on_leak.on_leak != nullptr) {
        common.on_leak.on_leak(common.on_leak.user, info);
      } else if (leaks <= kPrinted) {
        std::fprintf(stderr, "vaspace: leaked %llu bytes at 0x%llx '%.*s'\n",
                     static_cast<unsigned long long>(requested.value),
                     static_cast<unsigned long long>(info.allocation.address.value),
                     static_cast<int>(info.name.size()), info.name.data());
      }
    });
  });
  if (leaks > kPrinted && common.on_leak.on_leak == nullptr) {
    std::fprintf(stderr, "vaspace: leaked %llu allocations in all\n", static_cast<unsigned long long>(leaks));
  }
}

// ---- allocating

template <class Policy>
std::uint32_t AllocatorCore<Policy>::choose(const AllocationRequest& request) const noexcept {
  if (request.size > device_size_)
    return kMaxArenas;  // no arena's: no device memory could ever lie behind it
  const std::uint32_t k = index_.choose(request.size, request.alignment);
  if (k >= class_count_ || config_.fixed) return k;
  const bool alone =
      request.alignment > arenas_[k]->shape.base_alignment || request.size > arenas_[k]->shape.reservation;
  return alone ? class_count_ : k;
}

template <class Policy>
Result<Allocation> AllocatorCore<Policy>::allocate(const AllocationRequest& request) noexcept {
  if (request.size == Bytes{}) return refuse(0, request, {ErrorCode::invalid_size});
  if (!request.alignment.valid()) return refuse(0, request, {ErrorCode::invalid_alignment});
  const std::uint32_t k = choose(request);
  if (k >= kMaxArenas || !arenas_[k]) return refuse(0, request, {ErrorCode::too_large});
  if (k < class_count_ && request.name.empty() && request.user_data == 0) [[likely]] {
    ArenaOf& arena = *arenas_[k];
    const Lock lock(arena.mutex);
    const Result<Range> range = arena.spans.allocate({request.size, request.alignment});
    if (range) [[likely]] {
      if (!arena.pages) return publish(arena, k, *range, request);
      const PageTable::Touch touched = arena.pages->touch(range->offset, range->size);
      if (touched == PageTable::Touch::ready) [[likely]]
        return publish(arena, k, *range, request);
      // Pages are missing: once more, the slow way, at the same place.
      if (touched == PageTable::Touch::commit) arena.pages->release(range->offset, range->size);
      (void)arena.spans.release(range->id);
    }
  }
  return allocate_slow(k, request);
}

template <class Policy>
Result<Allocation> AllocatorCore<Policy>::allocate_slow(std::uint32_t k,
                                                        const AllocationRequest& request) noexcept {
  Note note(config_.common.host);
  if (!note.set(request.name, request.user_data)) return refuse(k, request, {ErrorCode::out_of_host_memory});
  const Result<Placed> placed = k == class_count_ ? place_alone(request) : place(k, request);
  if (!placed) {
    // A window may have been opened that is of no use now.
    if (!config_.fixed) windows_.close_empty(*arenas_[k], paging(), 0);
    return refuse(k, request, placed.error());
  }
  if (Result<void> committed = commit(*placed); !committed) {
    take_apart(*placed);
    return refuse(k, request, committed.error());
  }
  ArenaOf& arena = *arenas_[placed->arena];
  const Lock lock(arena.mutex);
  arena.notes.put(placed->range.id.index, std::move(note));
  return publish(arena, placed->arena, placed->range, request);
}

// A range in arena `k` as it is, with room for a note and its pages touched.
template <class Policy>
auto AllocatorCore<Policy>::place_in(std::uint32_t k, const AllocationRequest& request) noexcept
    -> Result<Placed> {
  ArenaOf& arena = *arenas_[k];
  const Lock lock(arena.mutex);
  const Result<Range> range = arena.spans.allocate({request.size, request.alignment});
  if (!range) return fail(range.error());
  const bool plain = request.name.empty() && request.user_data == 0;
  const bool noted = plain || arena.notes.prepare(range->id.index);
  if (!noted ||
      (arena.pages && arena.pages->touch(range->offset, range->size) == PageTable::Touch::no_host)) {
    const Result<Freed> freed = arena.spans.release(range->id);
    if (freed->span_empty && !config_.fixed) arena.queue_window(arena.spans.window_of(range->offset));
    return fail(ErrorCode::out_of_host_memory);
  }
  return Placed{k, *range};
}

template <class Policy>
auto AllocatorCore<Policy>::place(std::uint32_t k, const AllocationRequest& request) noexcept
    -> Result<Placed> {
  bool flushed = false;
  for (;;) {
    Result<Placed> placed = place_in(k, request);
    if (placed || placed.error().code != ErrorCode::out_of_space || config_.fixed) return placed;
    const Result<void> opened = windows_.open(*arenas_[k], {request.size, request.alignment}, false);
    if (opened) continue;
    if (flushed) {
      placed = place_elsewhere(k, request);
      return placed ? placed : Result<Placed>(fail(opened.error()));
    }
    flush();
    flushed = true;
  }
}

// The device gives no more: whatever object arena still has a hole that holds it.
template <class Policy>
auto AllocatorCore<Policy>::place_elsewhere(std::uint32_t k, const AllocationRequest& request) noexcept
    -> Result<Placed> {
  for (std::uint32_t other = 0; other < class_count_; ++other) {
    const ArenaOf& arena = *arenas_[other];
    if (other == k || arena.spans.is_slab() || request.alignment > arena.shape.base_alignment) continue;
    if (Result<Placed> placed = place_in(other, request); placed) return placed;
  }
  return fail(ErrorCode::out_of_space);
}

// A reservation of its own. All others of this arena are full, as each was made for what lives in it, or
// empty and about to be given back.
template <class Policy>
auto AllocatorCore<Policy>::place_alone(const AllocationRequest& request) noexcept -> Result<Placed> {
  constexpr int kTries = 4;  // another thread may take the window that this one has opened
  ArenaOf& arena = *arenas_[class_count_];
  const AllocationRequest plain{request.size, {}, request.name, request.user_data};
  Result<Placed> placed = fail(ErrorCode::out_of_space);
  for (int attempt = 0; attempt < kTries; ++attempt) {
    windows_.close_empty(arena, paging(), 0);
    Result<void> opened = windows_.open(arena, {request.size, request.alignment}, true);
    if (!opened) {
      flush();
      opened = windows_.open(arena, {request.size, request.alignment}, true);
    }
    if (!opened) return fail(opened.error());
    placed = place_in(class_count_, plain);
    if (!placed) continue;
    const Lock lock(arena.mutex);
    if (is_aligned(arena.spans.address_of(placed->range.offset), request.alignment)) return placed;
    if (arena.pages) arena.pages->release(placed->range.offset, placed->range.size);
    (void)arena.spans.release(placed->range.id);
    arena.queue_window(arena.spans.window_of(placed->range.offset));
    placed = fail(ErrorCode::out_of_space);
  }
  return placed;
}

// Where memory or mappings run out, what lies about unused is given back first.
template <class Policy>
Result<void> AllocatorCore<Policy>::commit(const Placed& placed) noexcept {
  if (!paging_) return {};
  ArenaOf& arena = *arenas_[placed.arena];
  const Result<void> committed = paging_->commit(arena, placed.range);
  if (committed || (committed.error().code != ErrorCode::out_of_device_memory &&
                    committed.error().code != ErrorCode::out_of_mappings)) {
    return committed;
  }
  flush();
  return paging_->commit(arena, placed.range);
}

// Undoes a placement that is not to be: reserved and committed are no more than before it.
template <class Policy>
void AllocatorCore<Policy>::take_apart(const Placed& placed) noexcept {
  ArenaOf& arena = *arenas_[placed.arena];
  const Range& range = placed.range;
  const std::uint32_t window = arena.spans.window_of(range.offset);
  {
    const Lock lock(arena.mutex);
    arena.pages->release(range.offset, range.size);
    (void)arena.spans.release(range.id);
    // Whoever waits for one of its pages looks again.
    arena.changed.notify_all();
  }
  paging_->drop(arena, range.offset, range.end(), 0);
  if (!config_.fixed) windows_.close(arena, window, paging(), 0);
}

template <class Policy>
Allocation AllocatorCore<Policy>::publish(ArenaOf& arena, std::uint32_t k, const Range& range,
                                          const AllocationRequest& request) noexcept {
  ++arena.count;
  arena.live += request.size;
  arena.used += range.size;
  const Allocation allocation{arena.spans.address_of(range.offset),
                              request.size,
                              {(k << kArenaShift) | range.id.index, range.id.generation}};
  if (config_.common.observer) [[unlikely]] {
    config_.common.observer({.kind = EventKind::allocate,
                             .arena = static_cast<std::uint8_t>(k),
                             .address = allocation.address,
                             .size = request.size,
                             .id = allocation.id.bits(),
                             .user_data = request.user_data,
                             .name = request.name});
  }
  return allocation;
}

template <class Policy>
tl::unexpected<Error> AllocatorCore<Policy>::refuse(std::uint32_t k, const AllocationRequest& request,
                                                    Error error) const noexcept {
  config_.common.observer({.kind = EventKind::refuse,
                           .arena = static_cast<std::uint8_t>(k),
                           .code = static_cast<std::uint8_t>(error.code),
                           .size = request.size,
                           .user_data = request.user_data,
                           .name = request.name});
  return fail(error);
}

// ---- freeing and looking up

// `range` is live; the arena's lock is held.
template <class Policy>
Result<void> AllocatorCore<Policy>::take_back(ArenaOf& arena, std::uint32_t k, const Range& range) noexcept {
  if (config_.common.observer) [[unlikely]] {
    const AllocationInfo info = info_of(arena, k, range, arena.spans.requested(range.id));
    config_.common.observer({.kind = EventKind::free,
                             .arena = static_cast<std::uint8_t>(k),
                             .address = info.allocation.address,
                             .size = info.allocation.size,
                             .id = info.allocation.id.bits(),
                             .user_data = info.user_data,
                             .name = info.name});
  }
  const Result<Freed> freed = arena.spans.release(range.id);
  if (!freed) [[unlikely]]
    return fail(freed.error());
  --arena.count;
  arena.live -= freed->requested;
  arena.used -= freed->size;
  if (arena.notes.any()) [[unlikely]]
    arena.notes.remove(range.id.index);
  if (arena.pages) arena.pages->release(range.offset, range.size);
  if (freed->span_empty && !config_.fixed) arena.queue_window(arena.spans.window_of(range.offset));
  return {};
}

template <class Policy>
Result<void> AllocatorCore<Policy>::try_free(const Allocation& allocation) noexcept {
  const std::uint32_t k = allocation.id.index >> kArenaShift;
  if (k >= kMaxArenas || !arenas_[k]) return fail(ErrorCode::unknown_handle);
  ArenaOf& arena = *arenas_[k];
  const Lock lock(arena.mutex);
  const Result<Range> range = arena.spans.find({allocation.id.index & kIndexMask, allocation.id.generation});
  if (!range) return fail(range.error());
  // A handle of an allocator with the same history names another address.
  if (arena.spans.address_of(range->offset) != allocation.address) return fail(ErrorCode::unknown_handle);
  return take_back(arena, k, *range);
}

// The window may have been given back, and another have come in its place, before the arena's lock is taken:
// then nothing is found there, or what lives there now is what the caller asks for.
template <class Policy>
template <class Use>
Result<void> AllocatorCore<Policy>::at(Address address, Use&& use) noexcept {
  const std::optional<Place> place = windows_.locate(address);
  if (!place) return fail(ErrorCode::unknown_address);
  ArenaOf& arena = *arenas_[place->arena];
  const Lock lock(arena.mutex);
  const typename ArenaOf::Window& window = arena.windows[place->window];
  const Reservation& home = window.lease.reservation;
  if (!window.in_use || address < home.address || address >= home.end())
    return fail(ErrorCode::unknown_address);
  const Result<Range> range = arena.spans.find_at(arena.spans.offset_of(place->window, address));
  if (!range) return fail(range.error());
  return use(arena, place->arena, *range);
}

template <class Policy>
Result<void> AllocatorCore<Policy>::try_free(Address address) noexcept {
  return at(address, [this](ArenaOf& arena, std::uint32_t k, const Range& range) {
    return take_back(arena, k, range);
  });
}

template <class Policy>
Result<AllocationInfo> AllocatorCore<Policy>::find(Address address) noexcept {
  AllocationInfo info;
  const Result<void> found = at(address, [&](ArenaOf& arena, std::uint32_t k, const Range& range) {
    info = info_of(arena, k, range, arena.spans.requested(range.id));
    return Result<void>();
  });
  if (!found) return fail(found.error());
  return info;
}

template <class Policy>
AllocationInfo AllocatorCore<Policy>::info_of(const ArenaOf& arena, std::uint32_t k, const Range& range,
                                              Bytes requested) const noexcept {
  AllocationInfo info{.allocation = {arena.spans.address_of(range.offset),
                                     requested,
                                     {(k << kArenaShift) | range.id.index, range.id.generation}},
                      .used = range.size,
                      .arena = static_cast<std::uint8_t>(k)};
  if (const Note* note = arena.notes.find(range.id.index); note != nullptr) {
    info.name = note->name();
    info.user_data = note->user_data();
  }
  return info;
}

template <class Policy>
bool AllocatorCore<Policy>::can_allocate(const AllocationRequest& request) noexcept {
  if (request.size == Bytes{} || !request.alignment.valid()) return false;
  const std::uint32_t k = choose(request);
  if (k >= kMaxArenas || !arenas_[k]) return false;
  if (k < class_count_) {
    const Lock lock(arenas_[k]->mutex);
    if (arenas_[k]->spans.can_allocate({request.size, request.alignment})) return true;
  }
  if (config_.fixed) return false;
  const Result<Budget> budget =
      backend_.budget(backend_.profile().memory_types[config_.common.memory_type].heap);
  return budget && budget->usage <= budget->budget && budget->budget - budget->usage >= request.size;
}

template <class Policy>
void AllocatorCore<Policy>::report_misuse(Error error, std::uint64_t subject) const noexcept {
  config_.common.on_misuse({.code = error.code, .function = config_.name, .subject = subject});
}

// ---- giving back

// DESIGN, decision 9: at most a share of live and a fixed rest.
template <class Policy>
Bytes AllocatorCore<Policy>::retained_cap() noexcept {
  const Bytes live = sum(&ArenaOf::live);
  return config_.common.retain + Bytes{live.value / 100 * config_.common.retain_percent};
}

template <class Policy>
void AllocatorCore<Policy>::give_back(std::uint64_t keep_pages, std::uint64_t most) noexcept {
  if (!config_.fixed) {
    for_each_arena([&](ArenaOf& arena, std::uint32_t) { windows_.close_empty(arena, paging(), keep_pages); });
  }
  if (!paging_) return;
  std::uint64_t empty = 0;
  for_each_arena([&](ArenaOf& arena, std::uint32_t) {
    const Lock lock(arena.mutex);
    empty += arena.pages->empty();
  });
  pool_->trim(keep_pages > empty ? keep_pages - empty : 0);
  std::uint64_t excess = empty > keep_pages ? std::min(empty - keep_pages, most) : 0;
  for_each_arena([&](ArenaOf& arena, std::uint32_t) {
    if (excess != 0) excess -= paging_->give_back(arena, excess, 0);
  });
}

template <class Policy>
void AllocatorCore<Policy>::collect() noexcept {
  const Bytes keep = retained_cap();
  const Bytes page = paging_ ? pool_->page_size() : 1_B;
  give_back(keep / page, std::max<std::uint64_t>(config_.common.collect_step / page, 1));
  windows_.source().trim(keep);
}

template <class Policy>
void AllocatorCore<Policy>::flush() noexcept {
  give_back(0, kUnlimited);
  windows_.source().trim(Bytes{});
}

// ---- reporting

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
  report.physical = backend_.measured_physical().value_or(Bytes{});
  report.refused_by_driver = (paging_ ? paging_->refused() : 0) + windows_.source().refused();
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

template class AllocatorCore<SingleThreaded>;
template class AllocatorCore<ThreadSafe>;

}  // namespace vaspace
