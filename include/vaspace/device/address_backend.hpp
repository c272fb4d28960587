// Addresses without memory: what the layers above cost by themselves, and the whole arithmetic of a device of
// any size on a machine of none.
//
// Always true: addresses are handed out from `base` upwards, lowest first, so that every run gets the same
// ones (R9); nothing is ever mapped, so nothing here can be read or written. With page sizes, pages are
// counted (committed memory is exact) and nothing more.
#pragma once

#include <span>

#include "vaspace/base/host_object.hpp"
#include "vaspace/device/backend.hpp"

namespace vaspace {

struct AddressBackendConfig {
  Bytes physical_size = 4_GiB;
  Bytes address_space = 128_TiB;  // from `base`
  // Not 0, a multiple of the reservation granularity: the larger of 64 KiB and the smallest page size. (Who
  // binds larger pages asks for their alignment.)
  Address base{1ULL << 40U};
  std::span<const Bytes> page_sizes{};  // empty: nothing to bind, reserving is all there is
  bool reserve_commits = false;  // play plain Vulkan: no pages, a reservation takes its physical memory
  Bytes max_reservation_size = kMaxBytes;
  std::uint64_t max_reservations = kUnlimited;
  HostAllocator host = default_host_allocator();
};

// One heap, one memory type that the host does not see. Binds are done when they return. Thread-safe: one
// lock.
//
// Cost: reserve() and release() are O(log n) in the holes between reservations (one hole, until something is
// released), except that an alignment above the granularity may have to look at every hole of the size;
// bind() is O(log n) per binding that it makes or removes. Host memory grows with what is reserved and bound,
// never with the size of a reservation.
//
// What it refuses beyond the contract: a reservation above max_reservation_size or beyond max_reservations is
// out_of_address_space; a point that bind() has not answered yet is invalid_argument.
class AddressBackend final : public Backend {
 public:
  // Errors: invalid_configuration, out_of_host_memory.
  [[nodiscard]] static Result<HostObject<AddressBackend>> create(const AddressBackendConfig& config) noexcept;

  struct State;
  explicit AddressBackend(HostObject<State> state) noexcept;  // create() makes them
  ~AddressBackend() override;

  [[nodiscard]] const DeviceProfile& profile() const noexcept override;
  [[nodiscard]] Result<Budget> budget(std::uint32_t heap) noexcept override;
  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override;
  [[nodiscard]] Result<void> release(const Reservation& reservation) noexcept override;
  [[nodiscard]] Result<void> create_physical(const PhysicalRequest& request,
                                             std::span<PhysicalId> out) noexcept override;
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override;
  [[nodiscard]] Result<TimelinePoint> bind(std::span<const BindOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;
  [[nodiscard]] Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept override;
  [[nodiscard]] Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept override;

 private:
  HostObject<State> state_;
};

}  // namespace vaspace
