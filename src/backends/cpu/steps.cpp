#include "steps.hpp"

#include <algorithm>

namespace vaspace::cpu {

bool StepQueue::reserve(std::size_t more) noexcept {
  if (first_ > entries_.size() / 2) {
    std::copy(entries_.begin() + first_, entries_.end(), entries_.begin());
    for (; first_ != 0; --first_)
      entries_.pop_back();
  }
  return entries_.reserve_more(more);
}

void StepQueue::pop() noexcept {
  ++first_;
  if (!empty()) return;
  entries_.clear();
  first_ = 0;
}

std::optional<std::uint64_t> StepQueue::due_of(std::uint64_t value) const noexcept {
  for (std::size_t i = first_; i < entries_.size(); ++i)
    if (entries_[i].value == value) return entries_[i].due;
  return std::nullopt;
}

bool StepQueue::concerns(Address address, Bytes size) const noexcept {
  const Address end = address + size;
  for (std::size_t i = first_; i < entries_.size(); ++i) {
    const Step& step = entries_[i].step;
    if (step.address < end && address < step.address + step.size) return true;
    const bool copies = step.kind == Step::Kind::copy;
    if (copies && step.source < end && address < step.source + step.size) return true;
  }
  return false;
}

}  // namespace vaspace::cpu
