// The physical pages of one allocator that are bound nowhere, and who owns which addresses.
//
// Always true: idle pages were unbound after their streams had passed, so they are anybody's; held() counts
// idle pages and those that were taken. take() asks in this order: what the asking stream has unused of its
// own; idle pages; pages that streams have emptied and passed, and what the asking stream has emptied; the
// device; and, where somebody is patient, pages that streams will pass. give() needs no host memory.
#pragma once

#include <atomic>
#include <mutex>

#include "vaspace/arena/address_tracker.hpp"
#include "vaspace/backends/cuda.hpp"

namespace vaspace::cuda {

// Who takes pages: a stream may have some that nobody else can use yet.
class PageTaker {
 public:
  // Pages of its own, as many as there are: how many.
  [[nodiscard]] virtual std::size_t take_own(std::span<PhysicalId> out) noexcept = 0;
  // A page that was taken is not used.
  virtual void give_page(PhysicalId page) noexcept = 0;

 protected:
  ~PageTaker() = default;
};

// Collects pages that streams have emptied, about as many as asked for.
struct Reclaimer {
  void* user = nullptr;
  void (*reclaim)(void* user, const PageTaker* taker, std::size_t pages, bool wait) noexcept = nullptr;
};

class PageStore {
 public:
  PageStore(vaspace::Backend& device, Bytes page, const Reclaimer& reclaimer,
            const HostAllocator& host) noexcept
      : device_(device), page_(page), reclaimer_(reclaimer), idle_(host), owners_(host) {}
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;
  ~PageStore() { trim(); }

  [[nodiscard]] Bytes page() const noexcept { return page_; }
  // Fills `out`: all or none. Null: nobody in particular. Errors: as Backend::create_physical.
  [[nodiscard]] Result<void> take(std::span<PhysicalId> out, PageTaker* taker) noexcept;
  void give(std::span<const PhysicalId> pages) noexcept;
  // Gives pages that were taken, and are bound nowhere, to the device; what it refuses is idle.
  void destroy(std::span<const PhysicalId> pages) noexcept;
  // Gives idle pages to the device.
  void trim() noexcept;

  [[nodiscard]] std::uint64_t held() const noexcept { return held_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t idle() const noexcept;

  // Whether a stream that has not passed is to be waited for: somebody has no other way.
  [[nodiscard]] bool patient() const noexcept { return patient_.load(std::memory_order_relaxed) != 0; }
  class Patience {
   public:
    explicit Patience(PageStore& store) noexcept : store_(store) {
      store_.patient_.fetch_add(1, std::memory_order_relaxed);
    }
    Patience(const Patience&) = delete;
    Patience& operator=(const Patience&) = delete;
    ~Patience() { store_.patient_.fetch_sub(1, std::memory_order_relaxed); }

   private:
    PageStore& store_;
  };

  // Owners of addresses, as numbers from 0 on. False: no host memory.
  [[nodiscard]] bool add_owner(const Reservation& reservation, std::uint32_t owner) noexcept;
  void remove_owner(const Reservation& reservation) noexcept;
  static constexpr std::uint32_t kNobody = ~std::uint32_t{0};
  [[nodiscard]] std::uint32_t owner_of(Address address) const noexcept;

 private:
  [[nodiscard]] std::size_t take_idle(std::span<PhysicalId> out) noexcept;
  // Without the device: how many.
  [[nodiscard]] std::size_t take_some(std::span<PhysicalId> out, PageTaker* taker) noexcept;
  [[nodiscard]] Result<void> create(std::span<PhysicalId> out) noexcept;

  vaspace::Backend& device_;
  const Bytes page_;
  const Reclaimer reclaimer_;
  mutable std::mutex mutex_;    // of what follows
  HostArray<PhysicalId> idle_;  // its capacity is held_ at least
  AddressTracker owners_;
  std::atomic<std::uint64_t> held_{0};
  std::atomic<std::uint32_t> patient_{0};
};

}  // namespace vaspace::cuda
