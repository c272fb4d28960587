// Creating an allocator, and what happens when it ends.
#include <algorithm>
#include <bit>
#include <cstdio>

#include "vaspace/base/identity.hpp"
#include "vaspace/device/profile_checks.hpp"

#include "arena/core.hpp"

namespace vaspace {

template <class Policy>
AllocatorCore<Policy>::AllocatorCore(Backend& backend, const CoreConfig& config, Bytes device_size,
                                     Bytes unit) noexcept
    : backend_(backend),
      config_(config),
      device_size_(device_size),
      fronts_(config.common.host),
      windows_(backend,
               {.memory_type = config.common.memory_type,
                .traits = config.common.traits,
                .unit = unit,
                .device_size = device_size,
                .first_block = config.common.first_block,
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
  // Reservations are cut up for many: none is one resource's.
  if (common.traits.dedicated != MemoryTraits::Dedicated::none) return fail(ErrorCode::invalid_configuration);
  if (!has_traits(profile, common.traits)) return fail(ErrorCode::not_supported);
  if (profile.capabilities.bind) {
    if (common.page_size == Bytes{}) common.page_size = profile.page_sizes[0];
    if (!profile.offers_page(common.page_size)) return fail(ErrorCode::invalid_configuration);
    if (common.earn == ArenaConfig::kEarnByPage)
      common.earn = common.page_size > ArenaConfig::kLargePage ? common.page_size * 8 : Bytes{};
  } else {
    common.page_size = {};
    common.earn = {};
  }
  const Bytes unit{std::bit_ceil(
      std::max({AddressTracker::kUnit, common.page_size, profile.reservation_granularity}).value)};
  // A single allocation has 2^42 bytes at most, so that offsets keep to 32 bits of granules.
  const Bytes device = std::min(profile.heaps[profile.memory_types[common.memory_type].heap].size, 4_TiB);
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
  if (!set_up_slabs()) return fail(ErrorCode::out_of_host_memory);
  if (!config_.fixed) return set_up_arena(class_count_, {kMaxBytes, {}, Strategy::object}, Bytes{});
  const ArenaShape& shape = arenas_[0]->shape;
  const Result<std::uint32_t> opened =
      windows_.open_exact(*arenas_[0], {shape.reservation, shape.base_alignment});
  if (!opened) return fail(opened.error());
  return {};
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
  const Alignment base{cuts ? ReservationSource::kCut.value
                            : std::min(std::bit_floor(largest.value), (1_GiB).value)};
  ArenaOf& arena = arenas_[k].emplace(
      std::move(*spans),
      ArenaShape{.index = k, .max_size = size_class.max_size, .reservation = largest, .base_alignment = base},
      common.host);
  if (common.page_size != Bytes{}) arena.pages.emplace(common.page_size, Bytes{window}, common.host);
  return {};
}

// Where an observer is to hear of each call, all of them go the long way, but to the same magazines: who
// looks does not change where things lie.
template <class Policy>
bool AllocatorCore<Policy>::set_up_slabs() noexcept {
  set_up_homes();
  for (Figure<bool>& long_way : long_way_)
    long_way.set(true);
  if (config_.fixed) return true;
  has_fronts_ = true;
  FrontShape shape{.magazines = class_count_ + 1};
  for (std::uint32_t k = 0; k < class_count_; ++k) {
    const Spans& spans = arenas_[k]->spans;
    const TrackedSlabAllocator* slab = arenas_[k]->spans.slab();
    if (slab == nullptr) {
      kept_of_[k] = static_cast<std::uint8_t>(shape.kept++);
      continue;
    }
    shape.slabs[k] = {.records = slab->slot_records(),
                      .window_bits = slab->window_bits(),
                      .window_mask = (1U << slab->window_bits()) - 1,
                      .alignment = slab->natural_alignment().value,
                      .windows = &spans.addresses()};
    update_ways(k);
  }
  update_sizes();
  return fronts_.open(shape, {this, [](void* core, Front& front) noexcept {
                                static_cast<AllocatorCore*>(core)->empty_front(front);
                              }});
}

// Which classes have an arena of their own: all of them, but where pages are so large that a class's last one
// is mostly empty.
template <class Policy>
void AllocatorCore<Policy>::set_up_homes() noexcept {
  const std::uint32_t last = class_count_ - 1;
  const bool can_share = !config_.fixed && !arenas_[last]->spans.is_slab();
  homes_.set_up(class_count_, last, can_share ? config_.common.earn : Bytes{});
}

// A step's sizes are all one slab's, or none's.
template <class Policy>
void AllocatorCore<Policy>::update_sizes() noexcept {
  for (std::uint32_t step = 0; step < slab_of_size_.size(); ++step) {
    const Bytes least{(std::uint64_t{step} << kSmallStepBits) + 1};
    const Bytes most{(std::uint64_t{step} + 1) << kSmallStepBits};
    const std::uint32_t k = index_.choose(least, {});
    const bool serves = k == index_.choose(most, {}) && k < class_count_ && has_magazine(k) &&
                        homes_.has_own(k) && !config_.common.observer;
    slab_of_size_[step].set(static_cast<std::uint8_t>(serves ? k : class_count_));
  }
}

template <class Policy>
AllocatorCore<Policy>::~AllocatorCore() {
  fronts_.close();
  report_leaks();
  for_each_arena([&](ArenaOf& arena, std::uint32_t) { windows_.take_down(arena, paging()); });
}

template <class Policy>
void AllocatorCore<Policy>::report_leaks() noexcept {
  constexpr std::uint64_t kPrinted = 16;
  const ArenaConfig& common = config_.common;
  std::uint64_t leaks = 0;
  for_each_arena([&](ArenaOf& arena, std::uint32_t k) {
    if (tally(arena, k).count == 0) return;
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

// What is defined here.
template class AllocatorCore<SingleThreaded>;
template class AllocatorCore<ThreadSafe>;

}  // namespace vaspace
