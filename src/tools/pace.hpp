// Keeps several workers close enough together that a replay asks for no more memory than the program did.
//
// Always true:
//  - An alloc goes ahead when its size still fits under the trace's peak, or when every row before it is
//  done: so
//    that live bytes stay below twice the peak however the threads run.
//  - Whoever has the first row that is not done can always go ahead, so that no replay hangs.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "vaspace/base/units.hpp"

namespace vaspace::tools {

class Pace {
 public:
  static constexpr std::uint64_t kDone = ~std::uint64_t{0};
  static constexpr std::uint64_t kLead = 64;

  Pace(unsigned workers, Bytes peak) : at_(workers), peak_(peak.value) {}

  // The worker has done all of its rows before this one; kDone: all of them.
  void reach(unsigned worker, std::uint64_t row) noexcept {
    at_[worker].row.store(row, std::memory_order_release);
  }
  // Waits until the alloc in `row`, which its worker has reached, may go ahead, and counts it. False:
  // the replay was abandoned.
  [[nodiscard]] bool admit(std::uint64_t row, Bytes size) noexcept;
  // The same without waiting: whether it may go ahead now, and was counted.
  [[nodiscard]] bool try_admit(std::uint64_t row, Bytes size) noexcept;
  // What was admitted lives no longer, or never did.
  void give_back(Bytes size) noexcept { admitted_.fetch_sub(size.value, std::memory_order_relaxed); }
  [[nodiscard]] Bytes admitted() const noexcept { return Bytes{admitted_.load(std::memory_order_relaxed)}; }

  // Everyone who waits stops waiting: a worker could not be started.
  void abandon() noexcept { abandoned_ = true; }
  [[nodiscard]] bool abandoned() const noexcept { return abandoned_.load(std::memory_order_relaxed); }

 private:
  struct alignas(64) Place {
    std::atomic<std::uint64_t> row{0};
  };
  [[nodiscard]] std::uint64_t first_open_row() const noexcept;
  [[nodiscard]] bool fits(Bytes size) noexcept;

  std::vector<Place> at_;
  std::uint64_t peak_;
  std::atomic<std::uint64_t> admitted_{0};  // bytes
  std::atomic<bool> abandoned_{false};
};

}  // namespace vaspace::tools
