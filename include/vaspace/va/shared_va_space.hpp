// A VaSpace whose addresses any thread may map and unmap: its lock is held while the map is read and written,
// and never while the driver is called, so that who waits for the driver keeps nobody waiting (T2).
//
// Always true: a change is in the map when the driver has taken it, and not before; what two threads change
// at once are different addresses, which their owner sees to.
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

#include "vaspace/va/va_space.hpp"

namespace vaspace {

class SharedVaSpace {
 public:
  static constexpr std::size_t kMostCommits = 64;

  SharedVaSpace(HostObject<VaSpace> space, const HostAllocator& host) noexcept
      : space_(std::move(space)), host_(host) {}
  SharedVaSpace(const SharedVaSpace&) = delete;
  SharedVaSpace& operator=(const SharedVaSpace&) = delete;
  ~SharedVaSpace() { reset(); }

  // What does not change: begin(), end(), page_size(), shape(), backend(); the rest while no call is under
  // way.
  [[nodiscard]] const VaSpace* operator->() const noexcept { return space_.get(); }
  [[nodiscard]] std::uint64_t mappings() const noexcept {
    const std::lock_guard lock(mutex_);
    return space_->mappings();
  }
  // The space ends: nobody calls any more.
  void reset() noexcept;

  // As VaSpace's; those of different addresses go on beside each other. Where kMostCommits are under way, or
  // as many as there is host memory for, a call waits for one of them.
  [[nodiscard]] Result<TimelinePoint> map(const MapRequest& request) noexcept;
  [[nodiscard]] Result<TimelinePoint> map_back(const MapRequest& request) noexcept;
  [[nodiscard]] Result<TimelinePoint> map_pages(Address address, std::span<const PhysicalId> pages) noexcept;
  [[nodiscard]] Result<TimelinePoint> unmap(Address address, Bytes size) noexcept;
  // VaSpace::keep_for_undo; every change has such room from now on. False: no host memory.
  [[nodiscard]] bool keep_for_undo(std::size_t undos, std::size_t pages) noexcept;

 private:
  struct Slot {
    explicit Slot(const HostAllocator& host) noexcept : commit(host) {}
    PendingCommit commit;
    Slot* next = nullptr;
  };
  using Lock = std::unique_lock<std::mutex>;
  template <class Begin>
  [[nodiscard]] Result<TimelinePoint> change(Begin&& begin) noexcept;
  [[nodiscard]] Slot* make_slot() noexcept;
  [[nodiscard]] Slot* take_slot(Lock& lock) noexcept;
  void give_slot(Slot* slot) noexcept;

  HostObject<VaSpace> space_;
  HostAllocator host_;
  mutable std::mutex mutex_;  // of all that follows, and of what *space_ says is its owner's lock
  std::condition_variable freed_;
  Slot* free_ = nullptr;
  std::size_t slots_ = 0;
  std::size_t pages_ = 1;  // that every slot has room for
};

}  // namespace vaspace
