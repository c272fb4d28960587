#include "vaspace/va/shared_va_space.hpp"

#include <algorithm>

namespace vaspace {

void SharedVaSpace::reset() noexcept {
  space_.reset();
  while (free_ != nullptr) {
    Slot* const slot = std::exchange(free_, free_->next);
    HostObject<Slot>(slot, HostDelete<Slot>{host_}).reset();
  }
  slots_ = 0;
}

SharedVaSpace::Slot* SharedVaSpace::make_slot() noexcept {
  if (slots_ == kMostCommits) return nullptr;
  HostObject<Slot> slot = make_host_object<Slot>(host_, host_);
  if (slot == nullptr || !slot->commit.keep(pages_, kMostCommits)) return nullptr;
  ++slots_;
  return slot.release();
}

// Null: there is none, and no host memory for one.
SharedVaSpace::Slot* SharedVaSpace::take_slot(Lock& lock) noexcept {
  while (free_ == nullptr) {
    if (Slot* const made = make_slot()) return made;
    if (slots_ == 0) return nullptr;
    freed_.wait(lock);
  }
  return std::exchange(free_, free_->next);
}

void SharedVaSpace::give_slot(Slot* slot) noexcept {
  slot->next = free_;
  free_ = slot;
  freed_.notify_one();
}

template <class Begin>
Result<TimelinePoint> SharedVaSpace::change(Begin&& begin) noexcept {
  Lock lock(mutex_);
  Slot* const slot = take_slot(lock);
  if (slot == nullptr) return fail(ErrorCode::out_of_host_memory);
  const Result<void> begun = begin(slot->commit);
  Result<TimelinePoint> point = fail(begun ? Error{} : begun.error());
  if (begun) {
    lock.unlock();
    space_->carry_out(slot->commit);
    lock.lock();
    point = space_->end(slot->commit);
  }
  give_slot(slot);
  return point;
}

Result<TimelinePoint> SharedVaSpace::map(const MapRequest& request) noexcept {
  return change([&](PendingCommit& commit) { return space_->begin_map(request, commit); });
}

Result<TimelinePoint> SharedVaSpace::map_back(const MapRequest& request) noexcept {
  return change([&](PendingCommit& commit) { return space_->begin_map_back(request, commit); });
}

Result<TimelinePoint> SharedVaSpace::map_pages(Address address, std::span<const PhysicalId> pages) noexcept {
  return change([&](PendingCommit& commit) { return space_->begin_map_pages(address, pages, commit); });
}

Result<TimelinePoint> SharedVaSpace::unmap(Address address, Bytes size) noexcept {
  return change([&](PendingCommit& commit) { return space_->begin_unmap(address, size, commit); });
}

// Slots that are in use now have had the room that their change needs.
bool SharedVaSpace::keep_for_undo(std::size_t undos, std::size_t pages) noexcept {
  const Lock lock(mutex_);
  if (pages > pages_) {
    for (Slot* slot = free_; slot != nullptr; slot = slot->next)
      if (!slot->commit.keep(pages, kMostCommits)) return false;
    pages_ = pages;
  }
  if (slots_ == 0) {
    Slot* const first = make_slot();
    if (first == nullptr) return false;
    give_slot(first);
  }
  return space_->keep_for_undo(undos, 1, kMostCommits);
}

}  // namespace vaspace
