// The simplest VaAllocator: first fit in one reservation, pages counted. It lets the replay be tested alone,
// and is told to misbehave by the tests of what a replay must notice.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "vaspace/arena/allocation.hpp"
#include "vaspace/base/observer.hpp"
#include "vaspace/device/backend.hpp"

namespace vaspace::test {

struct StandInConfig {
  Bytes page_size{};  // 0: the backend's smallest
  Bytes retain{};
  std::uint32_t retain_percent = 0;
  Observer observer{};
  bool collects = true;  // false: only flush() gives pages back
  Bytes reservation{};   // 0: the size of heap 0
  // Called after each allocation with how many there were; may damage what is allocated.
  std::function<void(std::uint64_t, const Allocation&)> after_allocate;
};

// Thread-safe by one lock.
class StandInAllocator {
  struct State {
    Backend* backend = nullptr;
    StandInConfig config;
    Reservation reservation;
    std::mutex mutex;
    std::map<Address, Allocation> live;                              // by address
    std::map<std::uint64_t, std::pair<PhysicalId, unsigned>> pages;  // by number: what is bound, users
    std::uint64_t allocated = 0;
    Bytes live_bytes{};

    ~State() {
      for (auto& [page, bound] : pages)
        bound.second = 0;
      drop_empty_pages();
      (void)backend->release(reservation);
    }
    [[nodiscard]] std::uint64_t first_page(const Allocation& a) const {
      return (a.address - reservation.address) / config.page_size;
    }
    [[nodiscard]] std::uint64_t last_page(const Allocation& a) const {
      return (a.end() - reservation.address - Bytes{1}) / config.page_size;
    }
    [[nodiscard]] Address page_address(std::uint64_t page) const {
      return reservation.address + page * config.page_size;
    }
    void drop_empty_pages() {
      for (auto at = pages.begin(); at != pages.end();) {
        if (at->second.second != 0) {
          ++at;
          continue;
        }
        const BindOp unbind{page_address(at->first), config.page_size, {}, {}};
        (void)backend->bind({&unbind, 1}, {});
        (void)backend->destroy_physical({&at->second.first, 1});
        at = pages.erase(at);
      }
    }
    [[nodiscard]] Result<void> use_pages(const Allocation& a) {
      for (std::uint64_t page = first_page(a); page <= last_page(a); ++page) {
        auto& [physical, users] = pages[page];
        ++users;
        if (physical) continue;
        const Result<void> made =
            backend->create_physical({config.page_size, 0, page_address(page)}, {&physical, 1});
        if (!made) return made;
        const BindOp bind{page_address(page), config.page_size, physical, {}};
        if (auto bound = backend->bind({&bind, 1}, {}); !bound) return fail(bound.error());
      }
      return {};
    }
    void leave_pages(const Allocation& a) {
      for (std::uint64_t page = first_page(a); page <= last_page(a); ++page)
        --pages[page].second;
    }
  };

 public:
  [[nodiscard]] static Result<StandInAllocator> create(Backend& backend, const StandInConfig& config) {
    StandInAllocator made;
    State& s = *made.state_;
    s.backend = &backend;
    s.config = config;
    if (s.config.page_size == Bytes{}) s.config.page_size = backend.profile().page_sizes[0];
    const Bytes size = config.reservation != Bytes{} ? config.reservation : backend.profile().heaps[0].size;
    const auto reservation = backend.reserve(
        {.size = align_up(size, Alignment{s.config.page_size}), .alignment = Alignment{s.config.page_size}});
    if (!reservation) return fail(reservation.error());
    s.reservation = *reservation;
    return made;
  }

  [[nodiscard]] Result<Allocation> allocate(const AllocationRequest& request) {
    State& s = *state_;
    const std::lock_guard lock(s.mutex);
    if (request.size == Bytes{}) return fail(ErrorCode::invalid_size);
    Address at = s.reservation.address;
    auto next = s.live.begin();
    for (;; ++next) {
      at = align_up(at, request.alignment);
      const Address end = next == s.live.end() ? s.reservation.end() : next->first;
      if (at <= end && request.size <= end - at) break;
      if (next == s.live.end()) return fail(ErrorCode::out_of_space);
      at = next->second.end();
    }
    const auto number = static_cast<std::uint32_t>(++s.allocated);
    const Allocation allocation{at, request.size, {number, 1}};
    if (auto used = s.use_pages(allocation); !used) return fail(used.error());
    s.live.emplace(at, allocation);
    s.live_bytes += request.size;
    s.config.observer(
        {.kind = EventKind::allocate, .address = at, .size = request.size, .id = allocation.id.bits()});
    if (s.config.after_allocate) s.config.after_allocate(s.allocated, allocation);
    return allocation;
  }
  void free(const Allocation& allocation) { (void)try_free(allocation); }
  void free(AllocationId id) { (void)try_free(id); }
  void free(Address address) { (void)try_free(address); }
  Result<void> try_free(AllocationId id) {
    for (const auto& [address, allocation] : state_->live) {
      if (allocation.id == id) return try_free(address);
    }
    return fail(ErrorCode::unknown_handle);
  }
  Result<void> try_free(const Allocation& allocation) { return try_free(allocation.address); }
  Result<void> try_free(Address address) {
    State& s = *state_;
    const std::lock_guard lock(s.mutex);
    const auto found = s.live.find(address);
    if (found == s.live.end()) return fail(ErrorCode::unknown_address);
    const Allocation allocation = found->second;
    s.leave_pages(allocation);
    s.live.erase(found);
    s.live_bytes -= allocation.size;
    s.config.observer(
        {.kind = EventKind::free, .address = address, .size = allocation.size, .id = allocation.id.bits()});
    return {};
  }
  [[nodiscard]] Result<AllocationInfo> find(Address address) const {
    const auto found = state_->live.find(address);
    if (found == state_->live.end()) return fail(ErrorCode::unknown_address);
    return AllocationInfo{.allocation = found->second, .used = found->second.size};
  }
  [[nodiscard]] bool can_allocate(const AllocationRequest&) const { return true; }
  void collect() {
    if (state_->config.collects) flush();
  }
  void flush() {
    const std::lock_guard lock(state_->mutex);
    state_->drop_empty_pages();
  }
  [[nodiscard]] AllocatorReport report() const {
    const std::lock_guard lock(state_->mutex);
    AllocatorReport report;
    report.total.live_allocations = state_->live.size();
    report.total.live = state_->live_bytes;
    report.total.used = state_->live_bytes + Bytes{state_->live.size() * 16};  // plays granules
    report.total.reserved = state_->reservation.size;
    report.total.committed = state_->pages.size() * state_->config.page_size;
    return report;
  }
  [[nodiscard]] const char* validate() const { return nullptr; }

 private:
  std::unique_ptr<State> state_ = std::make_unique<State>();
};

static_assert(VaAllocator<StandInAllocator>);

}  // namespace vaspace::test
