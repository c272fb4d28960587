// Reservations become windows of arenas, and are given back.
//
// Always true: the tracker knows exactly the windows in use; a window is given back only when nothing lives
// in it and no page of it is bound. Lock order: Arena::growing, Arena::mutex, tracker.
#pragma once

#include <optional>

#include "vaspace/arena/address_tracker.hpp"
#include "vaspace/arena/allocation.hpp"

#include "arena/arena.hpp"
#include "arena/paging.hpp"
#include "arena/reservation_source.hpp"

namespace vaspace {

// Where an address lies.
struct Place {
  std::uint32_t arena = 0;
  std::uint32_t window = 0;
};

template <class Policy>
class Windows {
 public:
  using ArenaOf = Arena<Policy>;
  using Lock = std::unique_lock<typename Policy::Mutex>;

  Windows(Backend& backend, const SourceConfig& config, const Observer& observer) noexcept
      : source_(backend, config), tracker_(config.host), observer_(observer) {}

  [[nodiscard]] ReservationSource& source() noexcept { return source_; }

  // Opens a window of the arena that holds `need`: as large as the arena's shape says, or smaller where the
  // device has not so much, and not at all when another thread has just opened one that does. Errors: as
  // Backend::reserve; out_of_host_memory; out_of_space (no window can be numbered any more). `more`: only a
  // slab that is not crowded counts as one that holds it.
  [[nodiscard]] Result<void> open(ArenaOf& arena, RangeRequest need, bool more) noexcept;
  // Opens a window as large as `need` and no larger, at its alignment; which one. Nobody closes it before
  // something has lived in it, or the caller has queued it. Errors: as open.
  [[nodiscard]] Result<std::uint32_t> open_exact(ArenaOf& arena, RangeRequest need) noexcept;
  // Gives a window back if it is empty and its pages can be unbound, `most` of them, which becomes less by
  // what was tried; these go into the pool while it has fewer than `keep`. `paging` is null where there are
  // no pages.
  void close(ArenaOf& arena, std::uint32_t window, Paging<Policy>* paging, std::uint64_t keep,
             std::uint64_t& most) noexcept;
  // The same for all that look empty.
  void close_empty(ArenaOf& arena, Paging<Policy>* paging, std::uint64_t keep, std::uint64_t& most) noexcept;
  // The same at once and for good: an allocate fails, or needs the room.
  void close_empty(ArenaOf& arena, Paging<Policy>* paging) noexcept {
    std::uint64_t all = kUnlimited;
    close_empty(arena, paging, 0, all);
  }
  // Gives back all windows with whatever lives in them.
  void take_down(ArenaOf& arena, Paging<Policy>* paging) noexcept;

  [[nodiscard]] std::optional<Place> locate(Address address) noexcept;
  [[nodiscard]] std::uint64_t address_visits() noexcept;

 private:
  [[nodiscard]] Bytes size_of_next(const ArenaOf& arena, Bytes need) const noexcept;
  [[nodiscard]] Result<Lease> lease(ArenaOf& arena, Bytes want, Bytes need, Alignment alignment) noexcept;
  [[nodiscard]] Result<std::uint32_t> enter(ArenaOf& arena, const Lease& lease, bool queue) noexcept;
  [[nodiscard]] bool track(const Reservation& reservation, std::uint32_t k, std::uint32_t window) noexcept;
  void untrack(const Reservation& reservation) noexcept;
  void tell(EventKind kind, std::uint32_t k, const Reservation& reservation) const noexcept;

  ReservationSource source_;
  typename Policy::Mutex mutex_;  // of the tracker
  AddressTracker tracker_;
  Observer observer_;
};

}  // namespace vaspace
