// How far one step of background work may go, and what it did.
#pragma once

#include <cstdint>

#include "vaspace/base/units.hpp"
#include "vaspace/device/profile.hpp"

namespace vaspace {

// Any clock of nanoseconds that never goes back; the caller's, so that a test's can stand still.
struct StepClock {
  void* user = nullptr;
  std::uint64_t (*now_ns)(void* user) noexcept = nullptr;
};

// A step stops before the first page for which nothing is left, of time or of pages. It looks at the clock
// before each page, so that it exceeds `time_ns` by one page at most, and what must be given back for it.
// Without a clock there is no limit of time; with `pages` alone a step does the same on every machine (R9).
struct StepBudget {
  std::uint64_t time_ns = kUnlimited;
  StepClock clock{};
  std::uint64_t pages = kUnlimited;
};

struct StepReport {
  std::uint64_t demoted = 0;    // pages copied out of large ones
  std::uint64_t dropped = 0;    // pages without a live byte, let go from behind large ones
  std::uint64_t meshed = 0;     // pages that moved in with others
  std::uint64_t promoted = 0;   // large pages made of small ones
  std::uint64_t cancelled = 0;  // freed while they were moved
  std::uint64_t postponed = 0;  // in use by others, or their writers could not be paused
  std::uint64_t refused = 0;    // by the driver, or for want of memory
  std::uint64_t unguarded = 0;  // can be written again, which an earlier move that was refused had prevented
  Bytes copied{};
  bool finished = false;  // the pass is over; the next step begins another

  [[nodiscard]] std::uint64_t pages() const noexcept { return demoted + dropped + meshed + promoted; }
  // What counts against a budget in pages: each that was taken in hand, whatever came of it.
  [[nodiscard]] std::uint64_t spent() const noexcept {
    return pages() + cancelled + postponed + refused + unguarded;
  }
};

// Counts a step's way through its budget.
class StepMeter {
 public:
  explicit StepMeter(const StepBudget& budget) noexcept
      : budget_(budget), timed_(budget.clock.now_ns != nullptr && budget.time_ns != kUnlimited) {
    if (timed_) begin_ = budget.clock.now_ns(budget.clock.user);
  }
  // Whether another page may be begun.
  [[nodiscard]] bool open(std::uint64_t pages) const noexcept {
    if (pages >= budget_.pages) return false;
    return !timed_ || budget_.clock.now_ns(budget_.clock.user) - begin_ < budget_.time_ns;
  }

 private:
  StepBudget budget_;
  bool timed_;
  std::uint64_t begin_ = 0;
};

}  // namespace vaspace
