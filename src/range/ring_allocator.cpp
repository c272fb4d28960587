#include "vaspace/range/ring_allocator.hpp"

#include <algorithm>
#include <utility>

namespace vaspace {

Result<RingAllocator> RingAllocator::create(const RingConfig& config) noexcept {
  if (config.capacity == Bytes{} || config.pending_closes == 0) return fail(ErrorCode::invalid_configuration);
  RingAllocator made(config);
  if (!made.closes_.resize(config.pending_closes)) return fail(ErrorCode::out_of_host_memory);
  return made;
}

Result<void> RingAllocator::close(std::uint64_t value) noexcept {
  if (value < last_closed_) return fail(ErrorCode::wrong_state);
  last_closed_ = value;
  if (!open_) return {};
  open_ = false;
  if (pending_ != 0 && close_at(pending_ - 1).value == value) return {};
  ++pending_;
  close_at(pending_ - 1) = {value, open_begin_};
  return {};
}

Result<void> RingAllocator::retire(std::uint64_t completed) noexcept {
  if (completed < completed_) return fail(ErrorCode::wrong_state);
  completed_ = completed;
  while (pending_ != 0 && close_at(0).value <= completed) {
    first_ = first_ + 1 == closes_.size() ? 0 : first_ + 1;
    --pending_;
  }
  advance_tail();
  return {};
}

// The oldest range that is left decides, so that gaps and the skipped end before it come free with what lay
// before them.
void RingAllocator::advance_tail() noexcept {
  if (empty()) {
    head_ = tail_ = Offset{};
  } else {
    tail_ = pending_ != 0 ? close_at(0).begin : open_begin_;
  }
  if (!wrapped()) end_ = capacity_;
}

bool RingAllocator::grow() noexcept {
  HostArray<Close> grown(closes_.host());
  if (!grown.resize(closes_.size() * 2)) return false;
  for (std::size_t i = 0; i < pending_; ++i)
    grown[i] = close_at(i);
  closes_ = std::move(grown);
  first_ = 0;
  return true;
}

Bytes RingAllocator::largest_free() const noexcept {
  if (wrapped()) return tail_ - head_;
  return std::max(capacity_ - head_, tail_ - Offset{});
}

RingReport RingAllocator::report() const noexcept {
  RingReport report;
  report.capacity = capacity_ - Offset{};
  if (!empty()) report.used = distance(tail_, head_);
  if (wrapped()) report.skipped = capacity_ - end_;
  if (open_) report.open = distance(open_begin_, head_);
  report.largest_free = largest_free();
  report.pending = pending_;
  return report;
}

const char* RingAllocator::validate() const noexcept {
  if (head_ > capacity_ || tail_ > capacity_) return "ring: head or tail lies outside the block";
  if (wrapped() ? end_ <= tail_ || end_ > capacity_ : end_ != capacity_) {
    return "ring: the end before the wrap is wrong";
  }
  const RingReport now = report();
  if (now.used > now.capacity || now.open > now.used || now.skipped > now.used) {
    return "ring: used + free is not the capacity";
  }
  if (const char* wrong = validate_closes()) return wrong;
  if (empty() && (head_ != Offset{} || tail_ != Offset{})) return "ring: an empty ring does not start at 0";
  return nullptr;
}

const char* RingAllocator::validate_closes() const noexcept {
  if (pending_ > closes_.size() || (pending_ == closes_.size() && open_)) {
    return "ring: no room for the next close";
  }
  Bytes before{};  // from the tail to the last close looked at
  for (std::size_t i = 0; i < pending_; ++i) {
    const Close& close = close_at(i);
    if (close.value > last_closed_) return "ring: a pending close is above the last one";
    if (i == 0) {
      if (close.begin != tail_) return "ring: the oldest close does not begin at the tail";
      continue;
    }
    if (close.value <= close_at(i - 1).value) return "ring: pending closes do not rise";
    const Bytes at = distance(tail_, close.begin);
    if (close.begin == tail_ || at <= before || at >= report().used) return "ring: closes are out of order";
    before = at;
  }
  if (open_ && pending_ == 0 && open_begin_ != tail_) return "ring: the open ranges do not begin at the tail";
  if (open_ && pending_ != 0 && (open_begin_ == tail_ || distance(tail_, open_begin_) <= before)) {
    return "ring: the open ranges come before a close";
  }
  return nullptr;
}

}  // namespace vaspace
