#include "vaspace/device/counting_backend.hpp"

namespace vaspace {

BackendCounts CountingBackend::counts() const noexcept {
  const auto read = [this](Counter counter) noexcept {
    return counters_[static_cast<std::size_t>(counter)].load(std::memory_order_relaxed);
  };
  BackendCounts counts;
  counts.reserve = read(Counter::reserve);
  counts.release = read(Counter::release);
  counts.create_physical = read(Counter::create_physical);
  counts.objects_created = read(Counter::objects_created);
  counts.destroy_physical = read(Counter::destroy_physical);
  counts.objects_destroyed = read(Counter::objects_destroyed);
  counts.bind = read(Counter::bind);
  counts.bound_ops = read(Counter::bound_ops);
  counts.bound_bytes = read(Counter::bound_bytes);
  counts.unbound_ops = read(Counter::unbound_ops);
  counts.unbound_bytes = read(Counter::unbound_bytes);
  counts.copy = read(Counter::copy);
  counts.copied_bytes = read(Counter::copied_bytes);
  counts.set_access = read(Counter::set_access);
  counts.map = read(Counter::map);
  counts.unmap = read(Counter::unmap);
  counts.flush = read(Counter::flush);
  counts.invalidate = read(Counter::invalidate);
  counts.export_physical = read(Counter::export_physical);
  counts.import_physical = read(Counter::import_physical);
  counts.export_reservation = read(Counter::export_reservation);
  counts.import_reservation = read(Counter::import_reservation);
  counts.locate = read(Counter::locate);
  counts.budget = read(Counter::budget);
  counts.measured_physical = read(Counter::measured_physical);
  counts.completed = read(Counter::completed);
  counts.wait = read(Counter::wait);
  counts.failed = read(Counter::failed);
  return counts;
}

void CountingBackend::reset() noexcept {
  for (std::atomic<std::uint64_t>& counter : counters_)
    counter.store(0, std::memory_order_relaxed);
}

void CountingBackend::tell(EventKind kind, Address address, Bytes size) const noexcept {
  if (!observer_) return;
  Event event;
  event.kind = kind;
  event.address = address;
  event.size = size;
  observer_(event);
}

Result<Budget> CountingBackend::budget(std::uint32_t heap) noexcept {
  return counted(Counter::budget, next().budget(heap));
}

Result<Budget> CountingBackend::read_budget(std::uint32_t heap) noexcept {
  return counted(Counter::budget, next().read_budget(heap));
}

Result<Bytes> CountingBackend::measured_physical() noexcept {
  return counted(Counter::measured_physical, next().measured_physical());
}

Result<Reservation> CountingBackend::reserve(const ReservationRequest& request) noexcept {
  Result<Reservation> answer = counted(Counter::reserve, next().reserve(request));
  if (answer) tell(EventKind::reserve, answer->address, answer->size);
  return answer;
}

Result<void> CountingBackend::release(const Reservation& reservation) noexcept {
  const Result<void> answer = counted(Counter::release, next().release(reservation));
  if (answer) tell(EventKind::release, reservation.address, reservation.size);
  return answer;
}

Result<void> CountingBackend::create_physical(const PhysicalRequest& request,
                                              std::span<PhysicalId> out) noexcept {
  const Result<void> answer = counted(Counter::create_physical, next().create_physical(request, out));
  if (answer) count(Counter::objects_created, out.size());
  return answer;
}

Result<void> CountingBackend::destroy_physical(std::span<const PhysicalId> objects) noexcept {
  const Result<void> answer = counted(Counter::destroy_physical, next().destroy_physical(objects));
  if (answer) count(Counter::objects_destroyed, objects.size());
  return answer;
}

Result<TimelinePoint> CountingBackend::bind(std::span<const BindOp> ops,
                                            std::span<const TimelinePoint> waits) noexcept {
  Result<TimelinePoint> answer = counted(Counter::bind, next().bind(ops, waits));
  if (!answer) return answer;
  for (const BindOp& op : ops) {
    const bool binds = static_cast<bool>(op.physical);
    count(binds ? Counter::bound_ops : Counter::unbound_ops);
    count(binds ? Counter::bound_bytes : Counter::unbound_bytes, op.size.value);
    tell(binds ? EventKind::commit : EventKind::decommit, op.address, op.size);
  }
  return answer;
}

Result<TimelinePoint> CountingBackend::copy(std::span<const CopyOp> ops,
                                            std::span<const TimelinePoint> waits) noexcept {
  Result<TimelinePoint> answer = counted(Counter::copy, next().copy(ops, waits));
  if (!answer) return answer;
  for (const CopyOp& op : ops)
    count(Counter::copied_bytes, op.size.value);
  return answer;
}

Result<void> CountingBackend::set_access(Address address, Bytes size, Access access) noexcept {
  return counted(Counter::set_access, next().set_access(address, size, access));
}

Result<std::byte*> CountingBackend::map(Address address, Bytes size) noexcept {
  return counted(Counter::map, next().map(address, size));
}

Result<void> CountingBackend::unmap(Address address, Bytes size) noexcept {
  return counted(Counter::unmap, next().unmap(address, size));
}

Result<void> CountingBackend::flush(Address address, Bytes size) noexcept {
  return counted(Counter::flush, next().flush(address, size));
}

Result<void> CountingBackend::invalidate(Address address, Bytes size) noexcept {
  return counted(Counter::invalidate, next().invalidate(address, size));
}

Result<ExternalHandle> CountingBackend::export_physical(PhysicalId physical) noexcept {
  return counted(Counter::export_physical, next().export_physical(physical));
}

Result<PhysicalId> CountingBackend::import_physical(const PhysicalRequest& request,
                                                    ExternalHandle handle) noexcept {
  return counted(Counter::import_physical, next().import_physical(request, handle));
}

Result<ExternalHandle> CountingBackend::export_reservation(const Reservation& reservation) noexcept {
  return counted(Counter::export_reservation, next().export_reservation(reservation));
}

Result<Reservation> CountingBackend::import_reservation(const ReservationRequest& request,
                                                        ExternalHandle handle) noexcept {
  Result<Reservation> answer =
      counted(Counter::import_reservation, next().import_reservation(request, handle));
  if (answer) tell(EventKind::reserve, answer->address, answer->size);
  return answer;
}

Result<Reservation> CountingBackend::import_host_pointer(void* pointer,
                                                         const ReservationRequest& request) noexcept {
  Result<Reservation> answer =
      counted(Counter::import_reservation, next().import_host_pointer(pointer, request));
  if (answer) tell(EventKind::reserve, answer->address, answer->size);
  return answer;
}

Result<NativeRange> CountingBackend::locate(Address address) noexcept {
  return counted(Counter::locate, next().locate(address));
}

Result<bool> CountingBackend::completed(TimelinePoint point) noexcept {
  return counted(Counter::completed, next().completed(point));
}

Result<void> CountingBackend::wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept {
  return counted(Counter::wait, next().wait(point, timeout_ns));
}

}  // namespace vaspace
