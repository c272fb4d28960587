// Pinned host memory as a backend: what a program shares with its devices, at the same address for both.
//
// Always true: reserving takes the memory (reserve_commits) and releasing gives it back; the host reads and
// writes it at its address, and so does every device; there are no pages and no binds; the budget's usage is
// what is page-locked.
#pragma once

#include "vaspace/backends/cuda.hpp"
#include "vaspace/device/reservation_table.hpp"

namespace vaspace::cuda {

struct PinnedConfig {
  // How much of the host's memory may be pinned. 0: half of it.
  Bytes limit{};
  HostAllocator host = default_host_allocator();
};

// Thread-safe. Releasing waits, as the driver does, for all work of the device. Alignments up to 1 GiB.
class PinnedBackend final : public vaspace::Backend {
 public:
  // `device` outlives this. Errors: out_of_host_memory.
  [[nodiscard]] static Result<HostObject<PinnedBackend>> create(cuda::Backend& device,
                                                                const PinnedConfig& config = {}) noexcept;

  struct State;
  explicit PinnedBackend(HostObject<State> state) noexcept;  // create() makes them
  ~PinnedBackend() override;

  [[nodiscard]] const DeviceProfile& profile() const noexcept override;
  [[nodiscard]] Result<Budget> budget(std::uint32_t heap) noexcept override;
  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override;
  [[nodiscard]] Result<void> release(const Reservation& reservation) noexcept override;
  [[nodiscard]] Result<void> create_physical(const PhysicalRequest&,
                                             std::span<PhysicalId>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] Result<TimelinePoint> bind(std::span<const BindOp>,
                                           std::span<const TimelinePoint>) noexcept override {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept override;
  [[nodiscard]] Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept override;

 private:
  HostObject<State> state_;
};

}  // namespace vaspace::cuda
