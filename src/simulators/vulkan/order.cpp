#include "order.hpp"

#include <algorithm>

namespace vasim {

void Clock::merge(const Clock& other) {
  epoch = std::max(epoch, other.epoch);
  if (other.operations.empty()) return;
  std::vector<OperationId> both;
  both.reserve(operations.size() + other.operations.size());
  std::set_union(operations.begin(), operations.end(), other.operations.begin(), other.operations.end(),
                 std::back_inserter(both));
  operations = std::move(both);
}

void Clock::add(OperationId operation) {
  const auto at = std::lower_bound(operations.begin(), operations.end(), operation);
  if (at == operations.end() || *at != operation) operations.insert(at, operation);
}

bool Clock::holds(OperationId operation) const {
  return std::binary_search(operations.begin(), operations.end(), operation);
}

OperationId Order::begin(Clock& known) {
  const OperationId id = ++last_;
  operations_[id] = {epoch_, 0};
  pending_.insert(id);
  known.epoch = std::max(known.epoch, epoch_);
  return id;
}

void Order::executed(OperationId operation) {
  pending_.erase(operation);
  if (operations_.size() >= forget_at_) forget();
}

void Order::retire(const Clock& clock) {
  ++epoch_;
  for (const OperationId id : clock.operations) {
    const auto found = operations_.find(id);
    if (found != operations_.end() && found->second.retired == 0) found->second.retired = epoch_;
  }
  if (operations_.size() >= forget_at_) forget();
}

bool Order::before(OperationId operation, const Clock& known) const {
  const auto found = operations_.find(operation);
  if (found == operations_.end()) return true;
  const std::uint64_t retired = found->second.retired;
  return (retired != 0 && retired <= known.epoch) || known.holds(operation);
}

bool Order::unfinished(OperationId operation) const {
  const auto found = operations_.find(operation);
  return found != operations_.end() && found->second.retired == 0;
}

void Order::forget_from(std::vector<OperationId>& operations) const {
  const auto gone = [this](OperationId id) { return forgotten(id); };
  operations.erase(std::remove_if(operations.begin(), operations.end(), gone), operations.end());
}

void Order::forget() {
  // Whoever comes later was submitted at this epoch or after it, and knows all that was retired before.
  const std::uint64_t oldest =
      pending_.empty() ? epoch_ : operations_.find(*pending_.begin())->second.submitted;
  for (auto one = operations_.begin(); one != operations_.end();) {
    const bool settled = one->second.retired != 0 && one->second.retired <= oldest;
    one = settled ? operations_.erase(one) : std::next(one);
  }
  forget_at_ = std::max<std::size_t>(64, 2 * operations_.size());
}

}  // namespace vasim
