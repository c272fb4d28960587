// What waits for the device: each entry for all of its points.
//
//   timeline 1   40 ─ 41 ─ 41 ─ 43      an entry stands in the queue of one of its points that has not
//   passed; timeline 2   7 ─ 9                  when that has, in the next one's, and when there is none, it
//   is ready
//
// Always true:
//  - An entry is ready only when every one of its points was seen to have passed; a device that is lost has
//    passed them all.
//  - A queue rises in value. Asking whether something has passed happens under no lock, oldest value first:
//    one question per timeline where nothing has passed, never more than two above the number of values that
//    have.
//  - Adding asks for host memory, and may refuse; becoming ready never does (R7).
//
// Thread-safe. may_hold() takes no lock.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <span>

#include "vaspace/base/host_array.hpp"
#include "vaspace/heap/heap.hpp"

namespace vaspace {

// An allocation, or what a move leaves behind.
struct Retiree {
  HeapAllocation allocation{};
  std::uint32_t move = 0;  // index + 1; 0: it is an allocation
  Bytes left{};            // by the move

  [[nodiscard]] Bytes size() const noexcept { return move != 0 ? left : allocation.size; }
  [[nodiscard]] bool from_arena() const noexcept { return move == 0 && allocation.shelf != 0; }
};

class RetiredList {
 public:
  RetiredList(Backend& backend, const TimelineReader& reader, const HostAllocator& host) noexcept
      : backend_(backend), reader_(reader), entries_(host), points_(host), timelines_(host) {}

  // All or none. Errors: out_of_host_memory, stale_handle (this very allocation is in it).
  [[nodiscard]] Result<void> add(std::span<const Retiree> retirees,
                                 std::span<const TimelinePoint> points) noexcept;
  [[nodiscard]] Result<void> add(const Retiree& retiree, std::span<const TimelinePoint> points) noexcept {
    return add(std::span(&retiree, 1), points);
  }
  // Calls take(const Retiree&) for what is ready, in the order of adding as far as values rise with it; under
  // no lock. A collect meanwhile, of another thread or out of take, does nothing.
  template <class Take>
  void collect(Take&& take) noexcept {
    if (collecting_.exchange(true, std::memory_order_acquire)) return;
    look();
    for (Retiree ready; take_ready(ready);)
      take(ready);
    collecting_.store(false, std::memory_order_release);
  }
  // The same for everything, passed or not: the device is done, and nobody else is here.
  template <class Take>
  void drain(Take&& take) noexcept {
    collecting_.store(true, std::memory_order_relaxed);
    pass_all();
    for (Retiree ready; take_ready(ready);)
      take(ready);
    collecting_.store(false, std::memory_order_relaxed);
  }

  // Whether the id may be one that waits here; no: it is not.
  [[nodiscard]] bool may_hold(AllocationId id) const noexcept {
    return buckets_[bucket_of(id)].load(std::memory_order_relaxed) != 0;
  }
  [[nodiscard]] bool holds(const HeapAllocation& allocation) const noexcept;

  [[nodiscard]] std::uint64_t count() const noexcept;
  [[nodiscard]] Bytes bytes() const noexcept;
  // Questions that were answered with an error.
  [[nodiscard]] std::uint64_t lost_questions() const noexcept;
  [[nodiscard]] const char* validate() const noexcept;

 private:
  static constexpr std::uint32_t kBuckets = 1024;

  // Indices are counted from 1; 0 is none.
  struct Entry {
    Retiree retiree{};
    std::uint32_t first_point = 0;  // those that are not known to have passed; the first is waited for
    std::uint32_t next = 0;         // in its queue, among the ready or the free ones
    std::uint32_t previous = 0;     // in its queue
    std::uint32_t next_in_bucket = 0;
    bool waits = false;
  };
  struct PointNode {
    TimelinePoint point{};
    std::uint32_t next = 0;
  };
  struct Timeline {
    TimelineId id{};
    std::uint32_t head = 0;
    std::uint32_t tail = 0;
    std::uint32_t points = 0;  // nodes that name it
    std::uint64_t passed = 0;
    std::uint64_t not_yet =
        ~std::uint64_t{0};  // lowest value that was asked for in this look, and had not passed
    bool unused = false;
  };

  [[nodiscard]] static std::uint32_t bucket_of(AllocationId id) noexcept {
    return static_cast<std::uint32_t>((id.bits() * 0x9E3779B97F4A7C15ULL) >> 54U);
  }
  [[nodiscard]] Entry& entry(std::uint32_t i) noexcept { return entries_[i - 1]; }
  [[nodiscard]] const Entry& entry(std::uint32_t i) const noexcept { return entries_[i - 1]; }
  [[nodiscard]] PointNode& node(std::uint32_t i) noexcept { return points_[i - 1]; }
  [[nodiscard]] std::uint64_t value_of(std::uint32_t i) noexcept {
    return node(entry(i).first_point).point.value;
  }
  [[nodiscard]] bool holds_locked(const HeapAllocation& allocation) const noexcept;
  [[nodiscard]] bool has_room(std::size_t retirees, std::span<const TimelinePoint> points) noexcept;
  void enter(const Retiree& retiree, std::span<const TimelinePoint> points) noexcept;
  [[nodiscard]] std::uint32_t timeline_of(TimelineId id) noexcept;
  void drop_first_point(Entry& e) noexcept;
  void wait_on(std::uint32_t i) noexcept;
  void enqueue(Timeline& timeline, std::uint32_t i) noexcept;
  void pass(std::uint32_t timeline) noexcept;
  void look() noexcept;
  [[nodiscard]] bool look_at(std::uint32_t timeline) noexcept;
  [[nodiscard]] bool ask(std::uint32_t timeline, TimelinePoint point) noexcept;
  void pass_all() noexcept;
  [[nodiscard]] bool take_ready(Retiree& out) noexcept;
  void unlink_bucket(std::uint32_t i) noexcept;

  Backend& backend_;
  TimelineReader reader_;
  std::atomic<bool> collecting_{false};  // no mutex: who is told of a misuse meanwhile may collect
  mutable std::mutex mutex_;             // of what follows
  HostArray<Entry> entries_;
  HostArray<PointNode> points_;
  HostArray<Timeline> timelines_;
  std::uint32_t free_entry_ = 0;
  std::uint32_t free_node_ = 0;
  std::uint32_t spare_nodes_ = 0;
  std::uint32_t ready_head_ = 0;
  std::uint32_t ready_tail_ = 0;
  std::uint64_t count_ = 0;
  Bytes bytes_{};
  std::uint64_t lost_questions_ = 0;
  std::array<std::atomic<std::uint32_t>, kBuckets> buckets_{};  // allocations of arenas: the first entry's
};

}  // namespace vaspace
