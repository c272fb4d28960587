#include "heap/small_maps.hpp"

#include <utility>

namespace vaspace {

using Lock = std::lock_guard<std::mutex>;

std::uint32_t& SmallMaps::link_to(const HeapAllocation& allocation) noexcept {
  std::uint32_t* link = &heads_[bucket_of(allocation.id)];
  while (*link != kNone) {
    Entry& entry = entries_[*link];
    if (entry.id == allocation.id && entry.shelf == allocation.shelf) break;
    link = &entry.next;
  }
  return *link;
}

void SmallMaps::drop(std::uint32_t& link) noexcept {
  const std::uint32_t index = link;
  in_bucket_[bucket_of(entries_[index].id)].fetch_sub(1, std::memory_order_relaxed);
  link = entries_[index].next;
  entries_[index] = {.next = first_free_};
  first_free_ = index;
}

bool SmallMaps::add(const HeapAllocation& allocation) noexcept {
  const Lock lock(mutex_);
  if (const std::uint32_t there = link_to(allocation); there != kNone) {
    ++entries_[there].count;
    return true;
  }
  if (first_free_ == kNone) {
    if (!entries_.push_back({})) return false;
    first_free_ = static_cast<std::uint32_t>(entries_.size() - 1);
  }
  const std::uint32_t index = first_free_;
  first_free_ = entries_[index].next;
  std::uint32_t& head = heads_[bucket_of(allocation.id)];
  entries_[index] = {
      .id = allocation.id, .shelf = allocation.shelf, .count = 1, .next = std::exchange(head, index)};
  in_bucket_[bucket_of(allocation.id)].fetch_add(1, std::memory_order_relaxed);
  return true;
}

bool SmallMaps::begin_remove(const HeapAllocation& allocation) noexcept {
  if (!may_hold(allocation.id)) return false;
  const Lock lock(mutex_);
  const std::uint32_t there = link_to(allocation);
  if (there == kNone || entries_[there].count == 0) return false;
  --entries_[there].count;
  return true;
}

void SmallMaps::end_remove(const HeapAllocation& allocation, bool done) noexcept {
  const Lock lock(mutex_);
  std::uint32_t& link = link_to(allocation);
  if (link == kNone) return;  // it has ended meanwhile
  if (!done) ++entries_[link].count;
  if (entries_[link].count == 0) drop(link);
}

std::uint32_t SmallMaps::forget(const HeapAllocation& allocation) noexcept {
  if (!may_hold(allocation.id)) return 0;
  const Lock lock(mutex_);
  std::uint32_t& link = link_to(allocation);
  if (link == kNone) return 0;
  const std::uint32_t count = entries_[link].count;
  drop(link);
  return count;
}

}  // namespace vaspace
