// A backend in front of another that knows what is held of it, for tests that ask whether anything is left.
#pragma once

#include <atomic>
#include <cstdint>

#include "vaspace/device/forwarding_backend.hpp"

namespace vaspace::test {

// Always true: the figures say what the calls that succeeded have left held.
class LedgerBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  [[nodiscard]] std::int64_t reservations() const { return reservations_; }
  [[nodiscard]] std::int64_t objects() const { return objects_; }
  [[nodiscard]] std::int64_t bound_bytes() const { return bound_bytes_; }

  Result<Reservation> reserve(const ReservationRequest& request) noexcept override {
    auto answer = next().reserve(request);
    if (answer) ++reservations_;
    return answer;
  }
  Result<void> release(const Reservation& reservation) noexcept override {
    auto answer = next().release(reservation);
    if (answer) --reservations_;
    return answer;
  }
  Result<void> create_physical(const PhysicalRequest& request, std::span<PhysicalId> out) noexcept override {
    auto answer = next().create_physical(request, out);
    if (answer) objects_ += static_cast<std::int64_t>(out.size());
    return answer;
  }
  Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override {
    auto answer = next().destroy_physical(objects);
    if (answer) objects_ -= static_cast<std::int64_t>(objects.size());
    return answer;
  }
  Result<TimelinePoint> bind(std::span<const BindOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    auto answer = next().bind(ops, waits);
    if (!answer) return answer;
    for (const BindOp& op : ops) {
      const auto bytes = static_cast<std::int64_t>(op.size.value);
      bound_bytes_ += op.physical ? bytes : -bytes;
    }
    return answer;
  }

 private:
  std::atomic<std::int64_t> reservations_{0}, objects_{0}, bound_bytes_{0};
};

}  // namespace vaspace::test
