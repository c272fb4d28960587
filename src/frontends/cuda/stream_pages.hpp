// What one stream's arena takes for its device: the device itself, but that
//
//  - physical pages come from and go to the allocator's store, so that pages move between streams;
//  - nothing is unmapped or released before the stream has passed all frees (C13): where that would mean to
//    wait, and nobody is patient, the arena is refused, keeps the page bound and tries again (R7); or, where
//    memory is lacking, the mapping lingers, while its page is used again on the same stream (lingering.hpp);
//  - an arena's page is a number that stays the same while the memory behind it goes and comes back
//    (suspend), or changes because other memory is still mapped at its address.
//
//   arena's page   7 ──► { address, physical page, or saved bytes }
//
// Always true: a page is free, taken, bound or suspended; bound pages are found by their address; a mapping
// of the device's is that of a bound page, or lingers.
#pragma once

#include <atomic>
#include <mutex>

#include "vaspace/device/forwarding_backend.hpp"
#include "vaspace/device/interval_treap.hpp"
#include "vaspace/frontends/cuda.hpp"

#include "backends/cuda/steps.hpp"
#include "lingering.hpp"
#include "page_store.hpp"

namespace vaspace::cuda {

class StreamPages final : public ForwardingBackend, public PageTaker {
 public:
  // `memory`: where reservations come from: the device, or its pinned memory.
  StreamPages(cuda::Backend& device, vaspace::Backend& memory, PageStore& store, Stream stream,
              std::uint32_t owner, const HostAllocator& host) noexcept
      : ForwardingBackend(memory),
        device_(device),
        store_(store),
        owner_(owner),
        host_(host),
        pages_(host),
        bound_(host),
        lingering_(host),
        stream_(stream) {}
  ~StreamPages() override;

  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override;
  [[nodiscard]] Result<void> release(const Reservation& reservation) noexcept override;
  [[nodiscard]] Result<void> create_physical(const PhysicalRequest& request,
                                             std::span<PhysicalId> out) noexcept override;
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override;
  [[nodiscard]] Result<TimelinePoint> bind(std::span<const BindOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;

  [[nodiscard]] std::size_t take_own(std::span<PhysicalId> out) noexcept override;
  void give_page(PhysicalId page) noexcept override;
  // Pages that are used by nobody and can only be used on this stream yet.
  [[nodiscard]] std::size_t own() const noexcept { return own_.load(std::memory_order_relaxed); }

  // While one lives, what the arena unbinds lingers where the stream has not passed; else it is refused, and
  // stays bound where it is used again without a driver call.
  class Stealing {
   public:
    explicit Stealing(StreamPages& pages) noexcept : pages_(pages) {
      pages_.stealing_.fetch_add(1, std::memory_order_relaxed);
    }
    Stealing(const Stealing&) = delete;
    Stealing& operator=(const Stealing&) = delete;
    ~Stealing() { pages_.stealing_.fetch_sub(1, std::memory_order_relaxed); }

   private:
    StreamPages& pages_;
  };

  // Something was freed on the stream, after all use of it was put there.
  void freed() noexcept {
    if (!dirty_.load(std::memory_order_acquire)) dirty_.store(true, std::memory_order_release);
  }
  // Whether the stream has passed everything that was freed on it so far. Records an event if there is none
  // that says so. Errors: timed_out (it has not, and was not waited for), and what the driver says.
  [[nodiscard]] Result<void> passed(bool wait) noexcept;
  // Where the stream is now, or what it was closed with; no point where it has nothing to do.
  [[nodiscard]] Result<TimelinePoint> now() noexcept;
  // Unmaps what lingers and was passed; pages of which nothing lingers any more and that nobody uses are the
  // store's. Errors: out_of_host_memory, and what the driver says: then all that lingers does.
  [[nodiscard]] Result<void> reap() noexcept;
  [[nodiscard]] bool lingers() const noexcept;
  // A last event, where it is not idle; the stream is not asked again.
  [[nodiscard]] Result<void> close() noexcept;
  // The last event, of a stream that was closed.
  [[nodiscard]] TimelinePoint last_point() const noexcept;
  // The stream is the same, or begins behind the last event.
  void reopen(Stream stream) noexcept;
  // The device is idle, and nothing is put on the stream any more: it has passed for good.
  void end() noexcept;
  // Nobody can say so: what is mapped and reserved stays as it is, the device's own. The arena lets go of it.
  void abandon() noexcept;

  // Pages of the arena's with memory behind them.
  [[nodiscard]] std::uint64_t bound_now() const noexcept {
    return bound_count_.load(std::memory_order_relaxed);
  }
  // And the unused.
  [[nodiscard]] Bytes bound() const noexcept { return store_.page() * (bound_now() + own()); }
  [[nodiscard]] Bytes suspended() const noexcept;

  // Suspending, step by step; no other call is under way, and nothing lingers. What fails is cancelled.
  [[nodiscard]] Result<void> make_room(HostArray<cuda::HostCopy>& copies) noexcept;  // room is reserved
  void cancel_save() noexcept;
  [[nodiscard]] std::size_t bound_pages() const noexcept { return bound_.size(); }
  void list_unbinds(HostArray<BindOp>& ops) const noexcept;  // room is reserved
  void let_go(HostArray<PhysicalId>& gone) noexcept;         // likewise
  // Resuming: the same the other way.
  void list_binds(HostArray<BindOp>& ops, std::span<const PhysicalId> pages) const noexcept;
  void list_saved(HostArray<cuda::HostCopy>& copies) const noexcept;  // likewise
  void take_up(std::span<const PhysicalId> pages) noexcept;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  struct Page {
    PhysicalId physical{};
    std::byte* saved = nullptr;
    Address address{};
    std::uint32_t next_free = kNone;
    bool live = false;
    bool binding = false;  // in the hands of a thread that binds it
  };
  // A bind that needs no driver call: what lingers at the address is taken up again.
  struct Claim {
    Address address{};
    std::uint32_t page = kNone;
    PhysicalId instead{};  // what the page had, where the other was unused
  };
  struct Reaped {
    Address address{};
    PhysicalId page{};
    TimelinePoint until{};
  };

  [[nodiscard]] Page& page_of(PhysicalId id) noexcept {
    return pages_[static_cast<std::size_t>(id.value) - 1];
  }
  // The point that the stream passes when everything that was freed on it so far is.
  [[nodiscard]] Result<TimelinePoint> freed_until() noexcept;
  [[nodiscard]] Result<TimelinePoint> reached() noexcept;  // gate_ is held
  [[nodiscard]] bool give_own(PhysicalId page) noexcept;   // mutex_ is held; false: nothing of it lingers
  [[nodiscard]] Result<void> bind_pages(std::span<const BindOp> ops) noexcept;
  [[nodiscard]] Result<void> make_way(TimelinePoint until) noexcept;
  // False: what lingers at one of the addresses is used elsewhere; it is in the way until its point.
  [[nodiscard]] Result<bool> prepare(std::span<const BindOp> ops, HostArray<BindOp>& real,
                                     HostArray<Claim>& claims, TimelinePoint& in_the_way) noexcept;
  [[nodiscard]] bool begin_claim(const BindOp& op, HostArray<Claim>& claims) noexcept;  // mutex_ is held
  void cancel(std::span<const BindOp> ops, HostArray<Claim>& claims) noexcept;          // likewise
  void bound_now(std::span<const BindOp> ops, std::span<const Claim> claims) noexcept;
  [[nodiscard]] Result<void> unbind(std::span<const BindOp> ops) noexcept;
  [[nodiscard]] Result<void> let_linger(std::span<const BindOp> ops, TimelinePoint until) noexcept;
  [[nodiscard]] Result<void> list_passed(HostArray<Reaped>& list) noexcept;
  void drop_saved(Page& page) noexcept;
  template <class Visit>
  void for_each_bound(Visit&& visit) const noexcept {
    for (const auto* at = bound_.ceiling(0); at != nullptr; at = bound_.ceiling(at->end))
      visit(at->value);
  }

  cuda::Backend& device_;
  PageStore& store_;
  const std::uint32_t owner_;
  const HostAllocator host_;

  std::mutex reaping_;        // one at a time, over the driver's call; taken before mutex_
  mutable std::mutex mutex_;  // of the pages
  HostArray<Page> pages_;
  IntervalTreap<std::uint32_t> bound_;  // by address; suspended pages too
  Lingering lingering_;
  std::uint32_t free_page_ = kNone;
  bool suspended_ = false;
  std::atomic<std::uint64_t> bound_count_{0};  // with memory behind them
  std::atomic<std::size_t> own_{0};            // unused ones of lingering_
  std::atomic<std::uint32_t> stealing_{0};
  bool abandoned_ = false;  // at the end, when one thread is left

  std::atomic<bool> dirty_{false};  // something was freed since the event was recorded
  mutable std::mutex gate_;         // of what follows
  Stream stream_;
  TimelinePoint point_{};
  bool closed_ = false;
  bool ended_ = false;
};

}  // namespace vaspace::cuda
