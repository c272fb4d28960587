// Counts the calls that reach a backend, and tells an observer what came of them.
//
// Always true: a call is counted once, whether it succeeds or not (`failed` counts those that did not); ops,
// objects and bytes are counted, and events told, only where the call succeeded.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "vaspace/base/observer.hpp"
#include "vaspace/device/forwarding_backend.hpp"

namespace vaspace {

struct BackendCounts {
  std::uint64_t reserve = 0;
  std::uint64_t release = 0;
  std::uint64_t create_physical = 0;
  std::uint64_t objects_created = 0;
  std::uint64_t destroy_physical = 0;
  std::uint64_t objects_destroyed = 0;
  std::uint64_t bind = 0;
  std::uint64_t bound_ops = 0;
  std::uint64_t bound_bytes = 0;
  std::uint64_t unbound_ops = 0;
  std::uint64_t unbound_bytes = 0;
  std::uint64_t copy = 0;
  std::uint64_t copied_bytes = 0;
  std::uint64_t set_access = 0;
  std::uint64_t map = 0;
  std::uint64_t unmap = 0;
  std::uint64_t flush = 0;
  std::uint64_t invalidate = 0;
  std::uint64_t export_physical = 0;
  std::uint64_t import_physical = 0;
  std::uint64_t export_reservation = 0;
  std::uint64_t import_reservation = 0;
  std::uint64_t locate = 0;
  std::uint64_t budget = 0;
  std::uint64_t measured_physical = 0;
  std::uint64_t completed = 0;
  std::uint64_t wait = 0;
  std::uint64_t failed = 0;

  friend bool operator==(const BackendCounts&, const BackendCounts&) noexcept = default;

  // visit(name, count) for each, in the order above; the names are the fields'.
  template <class Visit>
  void each(Visit&& visit) const;
};

// Adds one relaxed atomic increment per number to each call. Thread-safe where the other backend is; counts
// taken while calls are under way are each exact, but not of one moment.
class CountingBackend final : public ForwardingBackend {
 public:
  // Events: reserve (imports too) and release with the reservation, commit and decommit with each range bound
  // or unbound.
  explicit CountingBackend(Backend& next, Observer observer = {}) noexcept
      : ForwardingBackend(next), observer_(observer) {}

  [[nodiscard]] BackendCounts counts() const noexcept;
  void reset() noexcept;

  [[nodiscard]] Result<Budget> budget(std::uint32_t heap) noexcept override;
  // Counted as budget.
  [[nodiscard]] Result<Budget> read_budget(std::uint32_t heap) noexcept override;
  [[nodiscard]] Result<Bytes> measured_physical() noexcept override;
  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override;
  [[nodiscard]] Result<void> release(const Reservation& reservation) noexcept override;
  [[nodiscard]] Result<void> create_physical(const PhysicalRequest& request,
                                             std::span<PhysicalId> out) noexcept override;
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override;
  [[nodiscard]] Result<TimelinePoint> bind(std::span<const BindOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;
  [[nodiscard]] Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;
  [[nodiscard]] Result<void> set_access(Address address, Bytes size, Access access) noexcept override;
  [[nodiscard]] Result<std::byte*> map(Address address, Bytes size) noexcept override;
  [[nodiscard]] Result<void> unmap(Address address, Bytes size) noexcept override;
  [[nodiscard]] Result<void> flush(Address address, Bytes size) noexcept override;
  [[nodiscard]] Result<void> invalidate(Address address, Bytes size) noexcept override;
  [[nodiscard]] Result<ExternalHandle> export_physical(PhysicalId physical) noexcept override;
  [[nodiscard]] Result<PhysicalId> import_physical(const PhysicalRequest& request,
                                                   ExternalHandle handle) noexcept override;
  [[nodiscard]] Result<ExternalHandle> export_reservation(const Reservation& reservation) noexcept override;
  [[nodiscard]] Result<Reservation> import_reservation(const ReservationRequest& request,
                                                       ExternalHandle handle) noexcept override;
  // Counted and told as import_reservation.
  [[nodiscard]] Result<Reservation> import_host_pointer(void* pointer,
                                                        const ReservationRequest& request) noexcept override;
  [[nodiscard]] Result<NativeRange> locate(Address address) noexcept override;
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept override;
  [[nodiscard]] Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept override;

 private:
  enum class Counter : std::uint8_t {
    reserve,
    release,
    create_physical,
    objects_created,
    destroy_physical,
    objects_destroyed,
    bind,
    bound_ops,
    bound_bytes,
    unbound_ops,
    unbound_bytes,
    copy,
    copied_bytes,
    set_access,
    map,
    unmap,
    flush,
    invalidate,
    export_physical,
    import_physical,
    export_reservation,
    import_reservation,
    locate,
    budget,
    measured_physical,
    completed,
    wait,
    failed,
    number_of_counters,
  };

  void count(Counter counter, std::uint64_t by = 1) noexcept {
    counters_[static_cast<std::size_t>(counter)].fetch_add(by, std::memory_order_relaxed);
  }
  template <class T>
  [[nodiscard]] Result<T> counted(Counter counter, Result<T> answer) noexcept {
    count(counter);
    if (!answer) count(Counter::failed);
    return answer;
  }
  void tell(EventKind kind, Address address, Bytes size) const noexcept;

  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Counter::number_of_counters)> counters_{};
  Observer observer_;
};

template <class Visit>
void BackendCounts::each(Visit&& visit) const {
  visit("reserve", reserve);
  visit("release", release);
  visit("create_physical", create_physical);
  visit("objects_created", objects_created);
  visit("destroy_physical", destroy_physical);
  visit("objects_destroyed", objects_destroyed);
  visit("bind", bind);
  visit("bound_ops", bound_ops);
  visit("bound_bytes", bound_bytes);
  visit("unbound_ops", unbound_ops);
  visit("unbound_bytes", unbound_bytes);
  visit("copy", copy);
  visit("copied_bytes", copied_bytes);
  visit("set_access", set_access);
  visit("map", map);
  visit("unmap", unmap);
  visit("flush", flush);
  visit("invalidate", invalidate);
  visit("export_physical", export_physical);
  visit("import_physical", import_physical);
  visit("export_reservation", export_reservation);
  visit("import_reservation", import_reservation);
  visit("locate", locate);
  visit("budget", budget);
  visit("measured_physical", measured_physical);
  visit("completed", completed);
  visit("wait", wait);
  visit("failed", failed);
}

}  // namespace vaspace
