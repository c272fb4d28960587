// A ring over one block, reused in order as a timeline advances: upload and per-frame data.
//
//   0     head        tail           end  capacity
//   |--c--|           |--a--|..|--b--|xxx|           oldest a, youngest c; xxx skipped: no range wraps
//
// close(v) says: what was allocated since the last close is used until the timeline reaches v. retire(v)
// takes everything back, in order, that was closed up to v.
//
// Always true: what is not retired lies in [tail, head) or, once wrapped, in [tail, end) and [0, head), in
// the order of the calls, and never overlaps (R1); used + free = capacity, where gaps of alignment and the
// skipped tail of the block count as used (R2); pending closes rise strictly in value and lie in the ring in
// that order; an empty ring starts over at offset 0, so that it holds its whole capacity again (R5).
//
// retire neither fails for want of anything nor touches host memory, and neither does close: the first
// allocation after a close makes the room that the next close needs (R7). allocate and close are O(1) (growth
// amortised), retire is O(closes retired). Externally synchronised. A moved-from allocator can only be
// destroyed or assigned to (R10).
#pragma once

#include <cstdint>
#include <optional>

#include "vaspace/base/host_array.hpp"
#include "vaspace/range/placement.hpp"

namespace vaspace {

struct RingConfig {
  Bytes capacity{};
  // Closes that can be pending at once before allocate asks for more host memory. At least 1.
  std::uint32_t pending_closes = 8;
  HostAllocator host = default_host_allocator();
};

struct RingReport {
  Bytes capacity{};           // used + free, always (R2)
  Bytes used{};               // from the oldest range that is not retired to the youngest, gaps included
  Bytes skipped{};            // of it, the end of the block that no range may wrap over
  Bytes open{};               // of it, what no close covers yet
  Bytes largest_free{};       // the largest size that allocate would serve now at alignment 1
  std::uint64_t pending = 0;  // closes that are not retired

  [[nodiscard]] constexpr Bytes free() const noexcept { return capacity - used; }
};

class RingAllocator {
 public:
  // Errors: invalid_configuration (capacity or pending_closes 0), out_of_host_memory.
  [[nodiscard]] static Result<RingAllocator> create(const RingConfig& config) noexcept;

  // Behind the youngest range, or at offset 0 where it does not fit before the block's end. Errors:
  // invalid_size, invalid_alignment, too_large (size or alignment above the capacity), out_of_space (retire
  // first), out_of_host_memory.
  [[nodiscard]] Result<Placement> allocate(RangeRequest request) noexcept {
    if (never_fits(request, Bytes{capacity_.value})) [[unlikely]]
      return fail(why_never(request));
    const auto begin = next_place(request);
    if (!begin) [[unlikely]]
      return fail(ErrorCode::out_of_space);
    if (!open_) [[unlikely]] {
      if (pending_ == closes_.size() && !grow()) return fail(ErrorCode::out_of_host_memory);
      open_ = true;
      open_begin_ = *begin;
    }
    if (*begin < head_) end_ = head_;
    head_ = *begin + request.size;
    return Placement{*begin, request.size};
  }

  // With nothing allocated since the last close, only the value counts; the same value again adds to that
  // close; a value that is completed already is taken back by the next retire. Errors: wrong_state (below the
  // last close's value); nothing has changed then.
  [[nodiscard]] Result<void> close(std::uint64_t value) noexcept;

  // Errors: wrong_state (below what was completed already); nothing has changed then.
  [[nodiscard]] Result<void> retire(std::uint64_t completed) noexcept;

  [[nodiscard]] bool can_allocate(RangeRequest request) const noexcept {
    return !never_fits(request, Bytes{capacity_.value}) && next_place(request).has_value();
  }
  [[nodiscard]] Bytes largest_free() const noexcept;
  [[nodiscard]] RingReport report() const noexcept;
  [[nodiscard]] const char* validate() const noexcept;

 private:
  struct Close {
    std::uint64_t value = 0;
    Offset begin{};  // of its first range
  };

  explicit RingAllocator(const RingConfig& config) noexcept
      : capacity_(config.capacity.value), end_(config.capacity.value), closes_(config.host) {}

  [[nodiscard]] bool empty() const noexcept { return !open_ && pending_ == 0; }
  [[nodiscard]] bool wrapped() const noexcept { return head_ <= tail_ && !empty(); }
  [[nodiscard]] std::optional<Offset> next_place(RangeRequest request) const noexcept {
    if (wrapped()) return place(head_, tail_, request);
    const auto behind = place(head_, capacity_, request);
    return behind ? behind : place(Offset{}, tail_, request);
  }
  // From one place in use forward to another, around the end of the block where that is the way.
  [[nodiscard]] Bytes distance(Offset from, Offset to) const noexcept {
    return from < to ? to - from : (capacity_ - from) + (to - Offset{});
  }
  [[nodiscard]] Close& close_at(std::size_t nth) noexcept {
    const std::size_t i = first_ + nth;
    return closes_[i < closes_.size() ? i : i - closes_.size()];
  }
  [[nodiscard]] const Close& close_at(std::size_t nth) const noexcept {
    return const_cast<RingAllocator*>(this)->close_at(nth);
  }
  [[nodiscard]] bool grow() noexcept;
  void advance_tail() noexcept;
  [[nodiscard]] const char* validate_closes() const noexcept;

  Offset capacity_{};
  Offset head_{};  // behind the youngest range
  Offset tail_{};  // begin of the oldest range that is not retired
  Offset end_{};   // behind the last range before the wrap; the capacity where there is none
  Offset open_begin_{};
  bool open_ = false;  // something was allocated since the last close
  std::uint64_t last_closed_ = 0;
  std::uint64_t completed_ = 0;
  HostArray<Close> closes_;  // a ring of its own: pending_ of them from first_ on
  std::size_t first_ = 0;
  std::size_t pending_ = 0;
};

}  // namespace vaspace
