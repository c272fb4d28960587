// What one stream's arena takes for its device: the device itself, but that
//
//  - physical pages come from and go to the allocator's store, so that pages move between streams;
//  - nothing is unbound or released before the stream has passed all frees (C13): where that would mean to
//    wait, and nobody is patient, the arena is refused, keeps the page bound and tries again (R7);
//  - an arena's page is a number that stays the same while the memory behind it goes and comes back
//    (suspend).
//
//   arena's page   7 ──► { address, physical page, or saved bytes }
//
// Always true: a page is free, taken, bound or suspended; bound pages are found by their address.
#pragma once

#include <atomic>
#include <mutex>

#include "vaspace/device/forwarding_backend.hpp"
#include "vaspace/device/interval_treap.hpp"
#include "vaspace/frontends/cuda.hpp"

#include "page_store.hpp"

namespace vaspace::cuda {

class StreamPages final : public ForwardingBackend {
 public:
  // `memory`: where reservations come from: the device, or its pinned memory.
  StreamPages(cuda::Backend& device, vaspace::Backend& memory, PageStore& store, Stream stream,
              std::uint32_t owner, const HostAllocator& host) noexcept
      : ForwardingBackend(memory),
        device_(device),
        store_(store),
        stream_(stream),
        owner_(owner),
        host_(host),
        pages_(host),
        bound_(host) {}
  ~StreamPages() override;

  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override;
  [[nodiscard]] Result<void> release(const Reservation& reservation) noexcept override;
  [[nodiscard]] Result<void> create_physical(const PhysicalRequest& request,
                                             std::span<PhysicalId> out) noexcept override;
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override;
  [[nodiscard]] Result<TimelinePoint> bind(std::span<const BindOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;

  // Something was freed on the stream, after all use of it was put there.
  void freed() noexcept {
    if (!dirty_.load(std::memory_order_acquire)) dirty_.store(true, std::memory_order_release);
  }
  // Whether the stream has passed everything that was freed on it so far. Records an event if there is none
  // that says so. Errors: timed_out (it has not, and was not waited for), and what the driver says.
  [[nodiscard]] Result<void> passed(bool wait) noexcept;
  // A last event; the stream is not asked again.
  [[nodiscard]] Result<void> close() noexcept;
  // The last event, of a stream that was closed.
  [[nodiscard]] TimelinePoint last_point() const noexcept;
  // The stream is the same, or begins behind the last event.
  void reopen() noexcept;
  // The device is idle, and nothing is put on the stream any more: it has passed for good.
  void end() noexcept;

  [[nodiscard]] Bytes bound() const noexcept {
    return store_.page() * bound_count_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] Bytes suspended() const noexcept;

  // Suspending, step by step; no other call is under way. What fails is cancelled.
  [[nodiscard]] Result<void> save(Suspend how) noexcept;  // host memory, contents
  void cancel_save() noexcept;
  [[nodiscard]] std::size_t bound_pages() const noexcept { return bound_.size(); }
  void list_unbinds(HostArray<BindOp>& ops) const noexcept;  // room is reserved
  void let_go(HostArray<PhysicalId>& gone) noexcept;         // likewise
  // Resuming: the same the other way.
  void list_binds(HostArray<BindOp>& ops, std::span<const PhysicalId> pages) const noexcept;
  [[nodiscard]] Result<void> restore() noexcept;  // contents
  void take_up(std::span<const PhysicalId> pages) noexcept;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  struct Page {
    PhysicalId physical{};
    std::byte* saved = nullptr;
    Address address{};
    std::uint32_t next_free = kNone;
    bool live = false;
  };

  [[nodiscard]] Page& page_of(PhysicalId id) noexcept {
    return pages_[static_cast<std::size_t>(id.value) - 1];
  }
  [[nodiscard]] Result<void> unbind(std::span<const BindOp> ops) noexcept;
  void drop_saved(Page& page) noexcept;
  template <class Visit>
  void for_each_bound(Visit&& visit) const noexcept {
    for (const auto* at = bound_.ceiling(0); at != nullptr; at = bound_.ceiling(at->end))
      visit(at->value);
  }

  cuda::Backend& device_;
  PageStore& store_;
  const Stream stream_;
  const std::uint32_t owner_;
  const HostAllocator host_;

  mutable std::mutex mutex_;  // of the pages
  HostArray<Page> pages_;
  IntervalTreap<std::uint32_t> bound_;  // by address; suspended pages too
  std::uint32_t free_page_ = kNone;
  bool suspended_ = false;
  std::atomic<std::uint64_t> bound_count_{0};  // with memory behind them

  std::atomic<bool> dirty_{false};  // something was freed since the event was recorded
  mutable std::mutex gate_;         // of what follows
  TimelinePoint point_{};
  bool closed_ = false;
};

}  // namespace vaspace::cuda
