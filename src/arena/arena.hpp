// One arena: a strategy over its reservations, the pages behind them, notes and figures, under one lock.
//
// Always true, under the lock: live <= used <= reserved; an empty window is in the queue of those that
// collect looks at. `growing` is taken before `mutex`, and neither is held during the driver calls of the
// other arenas' hot paths (T2).
#pragma once

#include <cstdint>
#include <optional>

#include "vaspace/arena/lock_policy.hpp"
#include "vaspace/va/page_table.hpp"

#include "arena/notes.hpp"
#include "arena/reservation_source.hpp"
#include "arena/spans.hpp"

namespace vaspace {

struct ArenaShape {
  std::uint32_t index = 0;
  Bytes max_size{};
  Bytes reservation{};         // of each window, where reserving costs nothing
  Alignment base_alignment{};  // of every window's address; what asks for more gets a reservation of its own
};

template <class Policy>
struct Arena {
  static constexpr std::uint32_t kNoWindow = ~std::uint32_t{0};

  struct Window {
    Lease lease{};
    std::uint32_t next_empty = kNoWindow;
    bool in_use = false;
    bool queued = false;
  };

  Arena(Spans&& s, const ArenaShape& with, const HostAllocator& host) noexcept
      : shape(with), spans(std::move(s)), notes(host), windows(host) {}

  void count_in(Bytes requested, Bytes size) noexcept {
    ++count;
    live += requested;
    used += size;
  }
  void count_out(Bytes requested, Bytes size) noexcept {
    --count;
    live -= requested;
    used -= size;
  }
  // The window looks empty; collect will see.
  void queue_window(std::uint32_t window) noexcept {
    Window& w = windows[window];
    if (w.queued) return;
    w.queued = true;
    w.next_empty = first_empty;
    first_empty = window;
  }
  [[nodiscard]] std::uint32_t next_queued_window() noexcept {
    const std::uint32_t window = first_empty;
    if (window != kNoWindow) {
      first_empty = windows[window].next_empty;
      windows[window].queued = false;
    }
    return window;
  }

  ArenaShape shape;
  typename Policy::Mutex growing;      // one opener of windows at a time
  typename Policy::Mutex mutex;        // of what follows
  typename Policy::Condition changed;  // a page is in nobody's hands any more
  Spans spans;
  std::optional<PageTable> pages;
  NoteTable notes;
  HostArray<Window> windows;
  std::uint64_t under_way = 0;  // placed, and not handed out yet: their pages are being bound
  std::uint32_t first_empty = kNoWindow;
  Bytes next_cut = ReservationSource::kCut;  // size of the next window, where they are cut out of blocks
  std::uint64_t count = 0;                   // live, of object strategy; a slab's are told by its slots
  std::uint64_t window_count = 0;
  Bytes live{};  // less what fronts have added to it
  Bytes used{};
  Bytes reserved{};
};

}  // namespace vaspace
