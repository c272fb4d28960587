// Physical pages of one size and memory type, held from the device on behalf of all page tables of an
// allocator.
//
// Always true: held() pages are held from the device, each counted once: behind addresses, in the hands of a
// thread that is just binding or unbinding them, or pooled here. Pooled pages are given out before the device
// is asked for new ones. Thread-safe; the lock is never held during a driver call (T2).
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>

#include "vaspace/base/host_array.hpp"
#include "vaspace/device/backend.hpp"

namespace vaspace {

class PagePool {
 public:
  PagePool(Backend& backend, Bytes page_size, std::uint32_t memory_type, const HostAllocator& host) noexcept
      : backend_(backend), page_size_(page_size), memory_type_(memory_type), pooled_(host) {}
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;
  ~PagePool() { trim(0); }

  [[nodiscard]] Backend& backend() const noexcept { return backend_; }
  [[nodiscard]] Bytes page_size() const noexcept { return page_size_; }
  [[nodiscard]] std::uint64_t held() const noexcept { return held_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t pooled() const noexcept {
    return pooled_count_.load(std::memory_order_relaxed);
  }

  // Times that the device did not take a page back.
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

  // Fills `out`: all or none, and then it is cleared. Errors: as Backend::create_physical.
  [[nodiscard]] Result<void> take(Address near, std::span<PhysicalId> out) noexcept;
  // Its parts, for who keeps a budget and reserves under a lock of its own. Pooled pages only, as many as
  // there are: how many. No driver call.
  [[nodiscard]] std::size_t take_pooled(std::span<PhysicalId> out) noexcept;
  // New pages only, not counted in held() before count() says so. All or none. Errors: as above.
  [[nodiscard]] Result<void> create(Address near, std::span<PhysicalId> out) noexcept;
  void count(std::size_t created) noexcept { held_.fetch_add(created, std::memory_order_relaxed); }
  // Pages that nothing is bound to any more go back: into the pool while it has fewer than `keep`, else to
  // the device. A page that the device does not take back stays pooled.
  void give(std::span<const PhysicalId> pages, std::uint64_t keep) noexcept;
  // Gives pooled pages back to the device until `keep` are left.
  void trim(std::uint64_t keep) noexcept;

 private:
  [[nodiscard]] bool pool_one(PhysicalId page, std::uint64_t keep) noexcept;
  void destroy(PhysicalId page) noexcept;

  Backend& backend_;
  Bytes page_size_;
  std::uint32_t memory_type_;
  std::mutex mutex_;  // of pooled_
  HostArray<PhysicalId> pooled_;
  // All are only read as figures, by threads that learn nothing else from them: relaxed.
  std::atomic<std::uint64_t> pooled_count_{0};
  std::atomic<std::uint64_t> held_{0};
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace vaspace
