// Which operation is ordered before which, by semaphores, fences and waits of the host; never by the clock.
//
//   submit A ──signal──► semaphore ──wait──► bind B          A is known to B
//   submit A ──signal──► fence ──vkWaitForFences── submit C   A is retired before C was submitted
//
// An operation is one batch of a submit or of a vkQueueBindSparse. A missing wait is so found on every run,
// also where the queues happened to be fast enough. The host counts as one agent: what any thread has waited
// for is before all that is submitted later.
#pragma once

#include <cstdint>
#include <set>
#include <unordered_map>
#include <vector>

#include "objects.hpp"

namespace vasim {

// What is known to have completed: everything retired up to `epoch`, and the operations listed (sorted).
struct Clock {
  std::uint64_t epoch = 0;
  std::vector<OperationId> operations;

  void merge(const Clock& other);
  void add(OperationId operation);
  [[nodiscard]] bool holds(OperationId operation) const;
};

// Of a device, under its lock.
class Order {
 public:
  // Another operation is submitted now; its clock begins with what the host knows.
  OperationId begin(Clock& known);
  // It was carried out, and will look at nobody's order again.
  void executed(OperationId operation);
  // The host knows that all of these have completed.
  void retire(const Clock& clock);

  [[nodiscard]] bool before(OperationId operation, const Clock& known) const;
  // The host has not waited for it yet.
  [[nodiscard]] bool unfinished(OperationId operation) const;
  [[nodiscard]] std::uint64_t epoch() const { return epoch_; }

  // Whether it matters to nobody any more: it is before all that can still come.
  [[nodiscard]] bool forgotten(OperationId operation) const { return operations_.count(operation) == 0; }
  void forget_from(std::vector<OperationId>& operations) const;

 private:
  void forget();

  struct Operation {
    std::uint64_t submitted = 0;  // the epoch
    std::uint64_t retired = 0;    // the epoch; 0: not yet
  };

  std::unordered_map<OperationId, Operation> operations_;
  std::set<OperationId> pending_;  // submitted, not executed; ids grow as epochs do
  std::uint64_t epoch_ = 1;
  OperationId last_ = 0;
  std::size_t forget_at_ = 64;
};

}  // namespace vasim
