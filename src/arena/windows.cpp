#include "arena/windows.hpp"

#include <algorithm>
#include <bit>

namespace vaspace {

namespace {

// What halving a refused reservation can still bring.
[[nodiscard]] bool worth_less(ErrorCode code) noexcept {
  return code == ErrorCode::out_of_address_space || code == ErrorCode::out_of_device_memory ||
         code == ErrorCode::driver_error || code == ErrorCode::too_large;
}

}  // namespace

template <class Policy>
void Windows<Policy>::tell(EventKind kind, std::uint32_t k, const Reservation& reservation) const noexcept {
  observer_({.kind = kind,
             .arena = static_cast<std::uint8_t>(k),
             .address = reservation.address,
             .size = reservation.size});
}

template <class Policy>
Bytes Windows<Policy>::size_of_next(const ArenaOf& arena, Bytes need) const noexcept {
  if (!source_.cuts()) return std::max(arena.shape.reservation, need);
  if (source_.grows_slowly()) {
    const Bytes most{
        std::bit_floor(std::max(ReservationSource::kCut, Bytes{source_.held().value / 8}).value)};
    return std::max(std::min(arena.shape.reservation, most), need);
  }
  const Bytes most = std::max(ReservationSource::kCut, Bytes{source_.largest_block().value / 4});
  const Bytes rounded = std::min(Bytes{std::bit_ceil(need.value)}, arena.shape.reservation);
  return std::max({std::min({arena.next_cut, arena.shape.reservation, most}), rounded, need});
}

template <class Policy>
Result<Lease> Windows<Policy>::lease(ArenaOf& arena, Bytes want, Bytes need, Alignment alignment) noexcept {
  Result<Lease> lease = source_.get(want, alignment);
  while (!lease && want > need && worth_less(lease.error().code)) {
    want = std::max(need, align_up(Bytes{want.value / 2}, Alignment{source_.unit()}));
    lease = source_.get(want, alignment);
  }
  if (lease) arena.next_cut = std::min(arena.shape.reservation, arena.next_cut * 2);
  return lease;
}

template <class Policy>
bool Windows<Policy>::track(const Reservation& reservation, std::uint32_t k, std::uint32_t window) noexcept {
  const Lock lock(mutex_);
  return tracker_.insert(reservation.address, reservation.size, window * kMaxArenas + k + 1);
}

template <class Policy>
void Windows<Policy>::untrack(const Reservation& reservation) noexcept {
  const Lock lock(mutex_);
  tracker_.erase(reservation.address, reservation.size);
}

template <class Policy>
std::optional<Place> Windows<Policy>::locate(Address address) noexcept {
  const Lock lock(mutex_);
  const std::uint32_t value = tracker_.find(address);
  if (value == AddressTracker::kNone) return std::nullopt;
  return Place{(value - 1) % kMaxArenas, (value - 1) / kMaxArenas};
}

template <class Policy>
std::uint64_t Windows<Policy>::address_visits() noexcept {
  const Lock lock(mutex_);
  return tracker_.visits();
}

template <class Policy>
Result<std::uint32_t> Windows<Policy>::enter(ArenaOf& arena, const Lease& lease, bool queue) noexcept {
  const Reservation& reservation = lease.reservation;
  const Lock lock(arena.mutex);
  if (!arena.windows.reserve_more(1)) return fail(ErrorCode::out_of_host_memory);
  const Result<std::uint32_t> window = arena.spans.add(reservation.address, reservation.size);
  if (!window) {
    // As many windows as offsets or slots can number.
    return fail(window.error().code == ErrorCode::too_large ? Error{ErrorCode::out_of_space}
                                                            : window.error());
  }
  const bool paged = !arena.pages || arena.pages->add_window(*window, reservation.address, reservation.size);
  if (!paged || !track(reservation, arena.shape.index, *window)) {
    (void)arena.spans.remove(*window);
    return fail(ErrorCode::out_of_host_memory);
  }
  if (*window == arena.windows.size()) arena.windows.push_back_reserved({});
  typename ArenaOf::Window& entry = arena.windows[*window];
  entry.lease = lease;
  entry.in_use = true;
  if (queue) arena.queue_window(*window);  // who opened it may find no use for it
  ++arena.window_count;
  arena.reserved += reservation.size;
  tell(EventKind::reserve, arena.shape.index, reservation);
  return *window;
}

template <class Policy>
Result<void> Windows<Policy>::open(ArenaOf& arena, RangeRequest need, bool more) noexcept {
  const Lock one_at_a_time(arena.growing);
  {
    const Lock lock(arena.mutex);
    const bool crowded = more && arena.spans.slab()->is_crowded();
    if (!crowded && arena.spans.can_allocate(need)) return {};
  }
  const auto whole = checked_align_up(need.size, Alignment{source_.unit()});
  if (!whole) return fail(ErrorCode::too_large);
  const Result<Lease> leased = lease(arena, size_of_next(arena, *whole), *whole, arena.shape.base_alignment);
  if (!leased) return fail(leased.error());
  const Result<std::uint32_t> entered = enter(arena, *leased, true);
  if (entered) return {};
  source_.put(*leased);
  return fail(entered.error());
}

template <class Policy>
Result<std::uint32_t> Windows<Policy>::open_exact(ArenaOf& arena, RangeRequest need) noexcept {
  const auto whole = checked_align_up(need.size, Alignment{source_.unit()});
  if (!whole) return fail(ErrorCode::too_large);
  const Result<Lease> leased = source_.get(*whole, std::max(need.alignment, Alignment{source_.unit()}));
  if (!leased) return fail(leased.error());
  const Result<std::uint32_t> entered = enter(arena, *leased, false);
  if (!entered) source_.put(*leased);
  return entered;
}

template <class Policy>
void Windows<Policy>::close(ArenaOf& arena, std::uint32_t window, Paging<Policy>* paging, std::uint64_t keep,
                            std::uint64_t& most) noexcept {
  Offset begin;
  Offset end;
  {
    const Lock lock(arena.mutex);
    if (!arena.windows[window].in_use || !arena.spans.empty(window)) return;
    begin = arena.spans.begin_of(window);
    end = begin + arena.windows[window].lease.reservation.size;
  }
  if (paging != nullptr) most -= paging->drop(arena, begin, end, keep, most);
  Lease gone;
  {
    const Lock lock(arena.mutex);
    typename ArenaOf::Window& entry = arena.windows[window];
    if (!entry.in_use || !arena.spans.empty(window)) return;
    if (arena.pages && arena.pages->window_bound(window) != 0) {
      arena.queue_window(window);  // pages beyond `most`, or that the driver keeps: again next time
      return;
    }
    if (!arena.spans.remove(window)) return;
    gone = entry.lease;
    entry.lease = {};
    entry.in_use = false;
    --arena.window_count;
    arena.reserved -= gone.reservation.size;
    if (arena.pages) arena.pages->remove_window(window);
    untrack(gone.reservation);
    tell(EventKind::release, arena.shape.index, gone.reservation);
  }
  source_.put(gone);
}

template <class Policy>
void Windows<Policy>::close_empty(ArenaOf& arena, Paging<Policy>* paging, std::uint64_t keep,
                                  std::uint64_t& most) noexcept {
  std::uint32_t first = ArenaOf::kNoWindow;
  {
    // Those queued now; what close() queues again is for the next time.
    const Lock lock(arena.mutex);
    first = std::exchange(arena.first_empty, ArenaOf::kNoWindow);
  }
  while (first != ArenaOf::kNoWindow) {
    const std::uint32_t window = first;
    {
      const Lock lock(arena.mutex);
      first = arena.windows[window].next_empty;
      arena.windows[window].queued = false;
    }
    close(arena, window, paging, keep, most);
  }
}

template <class Policy>
void Windows<Policy>::take_down(ArenaOf& arena, Paging<Policy>* paging) noexcept {
  for (std::uint32_t window = 0; window < arena.windows.size(); ++window) {
    typename ArenaOf::Window& entry = arena.windows[window];
    if (!entry.in_use) continue;
    const Reservation& reservation = entry.lease.reservation;
    const Offset begin = arena.spans.begin_of(window);
    if (paging != nullptr) paging->take_down(arena, begin, begin + reservation.size);
    entry.in_use = false;
    tell(EventKind::release, arena.shape.index, reservation);
    source_.put(entry.lease);
  }
}

template class Windows<SingleThreaded>;
template class Windows<ThreadSafe>;

}  // namespace vaspace
