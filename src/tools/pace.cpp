#include "pace.hpp"

#include <algorithm>
#include <thread>

namespace vaspace::tools {

std::uint64_t Pace::first_open_row() const noexcept {
  std::uint64_t first = kDone;
  for (const Place& place : at_)
    first = std::min(first, place.row.load(std::memory_order_acquire));
  return first;
}

bool Pace::fits(Bytes size) noexcept {
  std::uint64_t admitted = admitted_.load(std::memory_order_relaxed);
  while (size.value <= peak_ && admitted <= peak_ - size.value) {
    if (admitted_.compare_exchange_weak(admitted, admitted + size.value, std::memory_order_relaxed))
      return true;
  }
  return false;
}

bool Pace::try_admit(std::uint64_t row, Bytes size) noexcept {
  const std::uint64_t first = first_open_row();
  if (first != row) return row - first <= kLead && fits(size);
  admitted_.fetch_add(size.value, std::memory_order_relaxed);
  return true;
}

bool Pace::admit(std::uint64_t row, Bytes size) noexcept {
  while (!abandoned()) {
    if (try_admit(row, size)) return true;
    std::this_thread::yield();
  }
  return false;
}

}  // namespace vaspace::tools
