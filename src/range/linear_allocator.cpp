#include "vaspace/range/linear_allocator.hpp"

#include <utility>

#include "vaspace/base/identity.hpp"

namespace vaspace {

Result<LinearAllocator> LinearAllocator::create(const LinearConfig& config) noexcept {
  if (config.capacity == Bytes{}) return fail(ErrorCode::invalid_configuration);
  LinearAllocator made(config);
  if (!made.marks_.reserve(config.max_marks)) return fail(ErrorCode::out_of_host_memory);
  made.max_marks_ = config.max_marks;
  made.owner_ = config.identity != 0 ? config.identity : identity_of(made.marks_.data());
  return made;
}

Result<LinearMark> LinearAllocator::mark() noexcept {
  if (marks_.empty() || marks_.back().top != top_) {
    if (marks_.size() == max_marks_) return fail(ErrorCode::out_of_space);
    marks_.push_back_reserved({next_serial_++, top_, live_});
  }
  return LinearMark{marks_.back().serial, static_cast<std::uint32_t>(marks_.size() - 1), owner_};
}

Result<void> LinearAllocator::rewind(LinearMark mark) noexcept {
  if (mark.owner != owner_ || mark.serial == 0 || mark.serial >= next_serial_) {
    return fail(ErrorCode::unknown_handle);
  }
  if (mark.index >= marks_.size() || marks_[mark.index].serial != mark.serial) {
    return fail(ErrorCode::stale_handle);
  }
  top_ = marks_[mark.index].top;
  live_ = marks_[mark.index].live;
  while (marks_.size() > mark.index + std::size_t{1})
    marks_.pop_back();
  return {};
}

RangeReport LinearAllocator::report() const noexcept {
  RangeReport report;
  report.capacity = capacity_ - Offset{};
  report.used = top_ - Offset{};
  report.largest_free = largest_free();
  report.live = live_;
  report.free_ranges = top_ == capacity_ ? 0 : 1;
  return report;
}

const char* LinearAllocator::validate() const noexcept {
  if ((top_ == Offset{}) != (live_ == 0) || live_ > top_.value)
    return "linear: live ranges do not fill [0, top)";
  if (top_ > capacity_) return "linear: top is above the capacity";
  Mark older{};
  for (const Mark& mark : marks_) {
    if (mark.top > top_) return "linear: a live mark lies above the top";
    if (mark.serial >= next_serial_ || mark.serial <= older.serial) return "linear: marks are out of order";
    if (mark.live < older.live || mark.live > live_)
      return "linear: a mark counts other ranges than there are";
    if (older.serial != 0 && mark.top <= older.top) return "linear: two marks share a top";
    older = mark;
  }
  return nullptr;
}

}  // namespace vaspace
