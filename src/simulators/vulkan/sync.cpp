#include "sync.hpp"

#include <algorithm>

#include "report.hpp"

namespace vasim {

void Semaphore::signal(std::uint64_t to, const Clock& known) {
  if (!timeline) {
    signalled = true;
    known_ = known;
    return;
  }
  if (to <= value)
    report("V26", describe(),
           text("is signalled with %llu and has %llu: a timeline only grows",
                static_cast<unsigned long long>(to), static_cast<unsigned long long>(value)));
  value = std::max(value, to);
  signals_.push_back({to, known});
}

Clock Semaphore::take(std::uint64_t wanted) {
  if (timeline) {
    // The first signal that reached the value is the one that the wait depends on; later ones may be there by
    // luck.
    for (const Signal& one : signals_)
      if (one.value >= wanted) return one.known;
    return {};
  }
  signalled = false;
  return known_;
}

Clock Semaphore::known_at(std::uint64_t seen) const {
  Clock known;
  for (const Signal& one : signals_)
    if (one.value <= seen) known.merge(one.known);
  return known;
}

void Semaphore::forget(const Order& order) {
  const auto settled = [&](const Signal& one) {
    return std::all_of(one.known.operations.begin(), one.known.operations.end(),
                       [&](OperationId id) { return order.forgotten(id); });
  };
  // The last one stays: who waits for its value learns the host's epoch from it.
  while (signals_.size() > 1 && settled(signals_.front()))
    signals_.pop_front();
}

}  // namespace vasim
