#include "heap/retired_list.hpp"

#include <utility>

namespace vaspace {

using Lock = std::lock_guard<std::mutex>;

bool RetiredList::has_room(std::size_t retirees, std::span<const TimelinePoint> points) noexcept {
  const std::size_t nodes = retirees * points.size();
  const std::size_t wanted = nodes > spare_nodes_ ? nodes - spare_nodes_ : 0;
  return entries_.reserve_more(retirees) && points_.reserve_more(wanted) &&
         timelines_.reserve_more(points.size());
}

// Room for another one has been made.
std::uint32_t RetiredList::timeline_of(TimelineId id) noexcept {
  std::uint32_t spare = 0;
  for (std::uint32_t t = 1; t <= timelines_.size(); ++t) {
    const Timeline& timeline = timelines_[t - 1];
    if (timeline.unused) {
      spare = t;
    } else if (timeline.id == id) {
      return t;
    }
  }
  if (spare == 0) {
    timelines_.push_back_reserved({});
    spare = static_cast<std::uint32_t>(timelines_.size());
  }
  timelines_[spare - 1] = {.id = id};
  return spare;
}

Result<void> RetiredList::add(std::span<const Retiree> retirees,
                              std::span<const TimelinePoint> points) noexcept {
  const Lock lock(mutex_);
  for (const Retiree& retiree : retirees) {
    if (retiree.from_arena() && holds_locked(retiree.allocation)) return fail(ErrorCode::stale_handle);
  }
  if (!has_room(retirees.size(), points)) return fail(ErrorCode::out_of_host_memory);
  for (const Retiree& retiree : retirees)
    enter(retiree, points);
  return {};
}

// Room has been made.
void RetiredList::enter(const Retiree& retiree, std::span<const TimelinePoint> points) noexcept {
  std::uint32_t i = free_entry_;
  if (i != 0) {
    free_entry_ = entry(i).next;
  } else {
    entries_.push_back_reserved({});
    i = static_cast<std::uint32_t>(entries_.size());
  }
  Entry& e = entry(i);
  e = {.retiree = retiree};
  for (const TimelinePoint& point : points) {
    std::uint32_t n = free_node_;
    if (n != 0) {
      free_node_ = node(n).next;
      --spare_nodes_;
    } else {
      points_.push_back_reserved({});
      n = static_cast<std::uint32_t>(points_.size());
    }
    node(n) = {point, e.first_point};
    e.first_point = n;
    ++timelines_[timeline_of(point.timeline) - 1].points;
  }
  if (retiree.from_arena()) {
    std::atomic<std::uint32_t>& bucket = buckets_[bucket_of(retiree.allocation.id)];
    e.next_in_bucket = bucket.load(std::memory_order_relaxed);
    bucket.store(i, std::memory_order_relaxed);
  }
  ++count_;
  bytes_ += retiree.size();
  wait_on(i);
}

void RetiredList::drop_first_point(Entry& e) noexcept {
  const std::uint32_t n = e.first_point;
  e.first_point = node(n).next;
  Timeline& timeline = timelines_[timeline_of(node(n).point.timeline) - 1];
  if (--timeline.points == 0) timeline.unused = true;
  node(n).next = free_node_;
  free_node_ = n;
  ++spare_nodes_;
}

// Into the queue of its first point that is not known to have passed, or among the ready.
void RetiredList::wait_on(std::uint32_t i) noexcept {
  Entry& e = entry(i);
  e.waits = false;
  while (e.first_point != 0) {
    const TimelinePoint point = node(e.first_point).point;
    Timeline& timeline = timelines_[timeline_of(point.timeline) - 1];
    // The default point, as any of value 0, has always passed.
    if (point.value > timeline.passed) {
      e.waits = true;
      enqueue(timeline, i);
      return;
    }
    drop_first_point(e);
  }
  e.next = 0;
  (ready_tail_ == 0 ? ready_head_ : entry(ready_tail_).next) = i;
  ready_tail_ = i;
}

// Values mostly come in order, so that its place is at the end.
void RetiredList::enqueue(Timeline& timeline, std::uint32_t i) noexcept {
  std::uint32_t before = timeline.tail;
  while (before != 0 && value_of(before) > value_of(i))
    before = entry(before).previous;
  Entry& e = entry(i);
  e.previous = before;
  e.next = before == 0 ? timeline.head : entry(before).next;
  (before == 0 ? timeline.head : entry(before).next) = i;
  (e.next == 0 ? timeline.tail : entry(e.next).previous) = i;
}

// What stands at or below `passed` leaves the queue.
void RetiredList::pass(std::uint32_t timeline) noexcept {
  for (;;) {
    Timeline& mine = timelines_[timeline - 1];
    const std::uint32_t i = mine.head;
    if (i == 0 || value_of(i) > mine.passed) return;
    mine.head = entry(i).next;
    (mine.head == 0 ? mine.tail : entry(mine.head).previous) = 0;
    drop_first_point(entry(i));
    wait_on(i);
  }
}

bool RetiredList::ask(std::uint32_t timeline, TimelinePoint point) noexcept {
  const Result<bool> answer =
      reader_.completed != nullptr ? reader_.completed(reader_.user, point) : backend_.completed(point);
  const Lock lock(mutex_);
  const bool lost = !answer && answer.error().code == ErrorCode::device_lost;
  if (!answer && !lost) ++lost_questions_;
  if (!lost && !answer.value_or(false)) return false;
  Timeline& mine = timelines_[timeline - 1];
  const std::uint64_t passed = lost ? ~std::uint64_t{0} : point.value;
  if (passed > mine.passed) mine.passed = passed;
  return true;
}

// The oldest, the next, and when both have passed the newest: the device is far behind or done. Then one by
// one. Whether any had passed.
bool RetiredList::look_at(std::uint32_t timeline) noexcept {
  bool any = false;
  for (int question = 0;; ++question) {
    TimelinePoint point;
    {
      const Lock lock(mutex_);
      const Timeline& mine = timelines_[timeline - 1];
      if (mine.unused || mine.head == 0) return any;
      point = {mine.id, value_of(question == 2 ? mine.tail : mine.head)};
      if (point.value >= mine.not_yet) {
        if (question == 2) continue;
        return any;
      }
    }
    const bool passed = ask(timeline, point);
    const Lock lock(mutex_);
    if (passed) {
      any = true;
      pass(timeline);
    } else {
      timelines_[timeline - 1].not_yet = point.value;
    }
  }
}

// What leaves one queue may join another that was looked at already: again, until nothing moves. No value
// that had not passed is asked for twice.
void RetiredList::look() noexcept {
  std::uint32_t timelines = 0;
  {
    const Lock lock(mutex_);
    timelines = static_cast<std::uint32_t>(timelines_.size());
    for (Timeline& timeline : timelines_)
      timeline.not_yet = ~std::uint64_t{0};
  }
  for (bool any = true; any;) {
    any = false;
    for (std::uint32_t t = 1; t <= timelines; ++t)
      any = look_at(t) || any;
  }
}

void RetiredList::pass_all() noexcept {
  const Lock lock(mutex_);
  for (Timeline& timeline : timelines_)
    timeline.passed = ~std::uint64_t{0};
  for (std::uint32_t t = 1; t <= timelines_.size(); ++t)
    pass(t);
}

bool RetiredList::take_ready(Retiree& out) noexcept {
  const Lock lock(mutex_);
  const std::uint32_t i = ready_head_;
  if (i == 0) return false;
  Entry& e = entry(i);
  ready_head_ = e.next;
  if (ready_head_ == 0) ready_tail_ = 0;
  out = e.retiree;
  if (e.retiree.from_arena()) unlink_bucket(i);
  --count_;
  bytes_ -= e.retiree.size();
  e.next = free_entry_;
  free_entry_ = i;
  return true;
}

void RetiredList::unlink_bucket(std::uint32_t i) noexcept {
  std::atomic<std::uint32_t>& bucket = buckets_[bucket_of(entry(i).retiree.allocation.id)];
  std::uint32_t at = bucket.load(std::memory_order_relaxed);
  if (at == i) {
    bucket.store(entry(i).next_in_bucket, std::memory_order_relaxed);
    return;
  }
  while (entry(at).next_in_bucket != i)
    at = entry(at).next_in_bucket;
  entry(at).next_in_bucket = entry(i).next_in_bucket;
}

bool RetiredList::holds_locked(const HeapAllocation& allocation) const noexcept {
  std::uint32_t i = buckets_[bucket_of(allocation.id)].load(std::memory_order_relaxed);
  for (; i != 0; i = entry(i).next_in_bucket) {
    const HeapAllocation& held = entry(i).retiree.allocation;
    if (held.id == allocation.id && held.shelf == allocation.shelf) return true;
  }
  return false;
}

bool RetiredList::holds(const HeapAllocation& allocation) const noexcept {
  const Lock lock(mutex_);
  return holds_locked(allocation);
}

std::uint64_t RetiredList::count() const noexcept {
  const Lock lock(mutex_);
  return count_;
}

Bytes RetiredList::bytes() const noexcept {
  const Lock lock(mutex_);
  return bytes_;
}

std::uint64_t RetiredList::lost_questions() const noexcept {
  const Lock lock(mutex_);
  return lost_questions_;
}

const char* RetiredList::validate() const noexcept {
  const Lock lock(mutex_);
  std::uint64_t standing = 0;
  for (const Timeline& timeline : timelines_) {
    std::uint64_t last = 0;
    for (std::uint32_t i = timeline.head; i != 0; i = entry(i).next) {
      const TimelinePoint point = points_[entry(i).first_point - 1].point;
      if (point.timeline != timeline.id) return "a retired allocation waits in another timeline's queue";
      if (point.value < last) return "a timeline's queue does not rise";
      last = point.value;
      ++standing;
    }
  }
  for (std::uint32_t i = ready_head_; i != 0; i = entry(i).next)
    ++standing;
  return standing == count_ ? nullptr : "retired allocations are miscounted";
}

}  // namespace vaspace
