// A backend in front of another: whoever wants to see, count, hold back or refuse some of the calls overrides
// those and leaves the rest.
//
// Always true: a call that is not overridden reaches the other backend once, with the same arguments, and its
// answer is the answer.
#pragma once

#include "vaspace/device/backend.hpp"

namespace vaspace {

// As thread-safe as what it forwards to, which it does not own and which outlives it.
class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(Backend& next) noexcept : next_(&next) {}

  [[nodiscard]] const DeviceProfile& profile() const noexcept override { return next_->profile(); }
  [[nodiscard]] Result<Budget> budget(std::uint32_t heap) noexcept override { return next_->budget(heap); }
  [[nodiscard]] Result<Budget> read_budget(std::uint32_t heap) noexcept override {
    return next_->read_budget(heap);
  }
  [[nodiscard]] Result<Bytes> measured_physical() noexcept override { return next_->measured_physical(); }

  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override {
    return next_->reserve(request);
  }
  [[nodiscard]] Result<void> release(const Reservation& reservation) noexcept override {
    return next_->release(reservation);
  }
  [[nodiscard]] Result<void> create_physical(const PhysicalRequest& request,
                                             std::span<PhysicalId> out) noexcept override {
    return next_->create_physical(request, out);
  }
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override {
    return next_->destroy_physical(objects);
  }
  [[nodiscard]] Result<TimelinePoint> bind(std::span<const BindOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override {
    return next_->bind(ops, waits);
  }
  [[nodiscard]] Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override {
    return next_->copy(ops, waits);
  }
  [[nodiscard]] Result<void> set_access(Address address, Bytes size, Access access) noexcept override {
    return next_->set_access(address, size, access);
  }
  [[nodiscard]] Result<std::byte*> map(Address address, Bytes size) noexcept override {
    return next_->map(address, size);
  }
  [[nodiscard]] Result<void> unmap(Address address, Bytes size) noexcept override {
    return next_->unmap(address, size);
  }
  [[nodiscard]] Result<void> flush(Address address, Bytes size) noexcept override {
    return next_->flush(address, size);
  }
  [[nodiscard]] Result<void> invalidate(Address address, Bytes size) noexcept override {
    return next_->invalidate(address, size);
  }
  [[nodiscard]] Result<ExternalHandle> export_physical(PhysicalId physical) noexcept override {
    return next_->export_physical(physical);
  }
  [[nodiscard]] Result<PhysicalId> import_physical(const PhysicalRequest& request,
                                                   ExternalHandle handle) noexcept override {
    return next_->import_physical(request, handle);
  }
  [[nodiscard]] Result<ExternalHandle> export_reservation(const Reservation& reservation) noexcept override {
    return next_->export_reservation(reservation);
  }
  [[nodiscard]] Result<Reservation> import_reservation(const ReservationRequest& request,
                                                       ExternalHandle handle) noexcept override {
    return next_->import_reservation(request, handle);
  }
  [[nodiscard]] Bytes host_pointer_alignment() const noexcept override {
    return next_->host_pointer_alignment();
  }
  [[nodiscard]] Result<std::uint32_t> host_pointer_types(const void* pointer) noexcept override {
    return next_->host_pointer_types(pointer);
  }
  [[nodiscard]] Result<Reservation> import_host_pointer(void* pointer,
                                                        const ReservationRequest& request) noexcept override {
    return next_->import_host_pointer(pointer, request);
  }
  [[nodiscard]] Result<NativeRange> locate(Address address) noexcept override {
    return next_->locate(address);
  }
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept override {
    return next_->completed(point);
  }
  [[nodiscard]] Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept override {
    return next_->wait(point, timeout_ns);
  }

 protected:
  [[nodiscard]] Backend& next() noexcept { return *next_; }

 private:
  Backend* next_;
};

}  // namespace vaspace
