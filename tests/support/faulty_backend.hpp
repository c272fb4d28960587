// A backend in front of another that refuses the n-th call, of one kind or of any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "vaspace/device/forwarding_backend.hpp"

namespace vaspace::test {

enum class Call : std::uint8_t {
  reserve,
  release,
  create_physical,
  destroy_physical,
  bind,
  copy,
  set_access,
  map,
  unmap,
  flush,
  invalidate,
  wait,
  count,  // how many kinds there are
};

// Always true: a refused call does not reach the backend behind; calls(kind) counts those that arrived here,
// refused or not.
class FaultyBackend : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  // The nth call of `kind` from now (1 is the next) answers `error`; with `forever` all after it too.
  // Replaces what was asked for before.
  void fail_at(Call kind, std::int64_t nth, Error error, bool forever = false) {
    arm(kind, nth, error, forever);
  }
  // The same over calls of every kind.
  void fail_any_at(std::int64_t nth, Error error, bool forever = false) {
    arm(Call::count, nth, error, forever);
  }
  void stop_failing() { countdown_ = 0; }

  [[nodiscard]] std::uint64_t calls(Call kind) const { return calls_[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] std::uint64_t calls() const {
    std::uint64_t sum = 0;
    for (const auto& count : calls_)
      sum += count;
    return sum;
  }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

  Result<Reservation> reserve(const ReservationRequest& request) noexcept override {
    if (refuses(Call::reserve)) return fail(error_);
    return next().reserve(request);
  }
  Result<void> release(const Reservation& reservation) noexcept override {
    if (refuses(Call::release)) return fail(error_);
    return next().release(reservation);
  }
  Result<void> create_physical(const PhysicalRequest& request, std::span<PhysicalId> out) noexcept override {
    if (refuses(Call::create_physical)) return fail(error_);
    return next().create_physical(request, out);
  }
  Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override {
    if (refuses(Call::destroy_physical)) return fail(error_);
    return next().destroy_physical(objects);
  }
  Result<TimelinePoint> bind(std::span<const BindOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    if (refuses(Call::bind)) return fail(error_);
    return next().bind(ops, waits);
  }
  Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    if (refuses(Call::copy)) return fail(error_);
    return next().copy(ops, waits);
  }
  Result<void> set_access(Address address, Bytes size, Access access) noexcept override {
    if (refuses(Call::set_access)) return fail(error_);
    return next().set_access(address, size, access);
  }
  Result<std::byte*> map(Address address, Bytes size) noexcept override {
    if (refuses(Call::map)) return fail(error_);
    return next().map(address, size);
  }
  Result<void> unmap(Address address, Bytes size) noexcept override {
    if (refuses(Call::unmap)) return fail(error_);
    return next().unmap(address, size);
  }
  Result<void> flush(Address address, Bytes size) noexcept override {
    if (refuses(Call::flush)) return fail(error_);
    return next().flush(address, size);
  }
  Result<void> invalidate(Address address, Bytes size) noexcept override {
    if (refuses(Call::invalidate)) return fail(error_);
    return next().invalidate(address, size);
  }
  Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept override {
    if (refuses(Call::wait)) return fail(error_);
    return next().wait(point, timeout_ns);
  }

 private:
  // Not to be called while calls are under way.
  void arm(Call kind, std::int64_t nth, Error error, bool forever) {
    kind_ = kind;
    error_ = error;
    forever_ = forever;
    countdown_ = nth;
  }
  bool refuses(Call kind) noexcept {
    ++calls_[static_cast<std::size_t>(kind)];
    if (countdown_ <= 0 || (kind_ != kind && kind_ != Call::count)) return false;
    if (countdown_.fetch_sub(1) != 1) return false;
    if (forever_) countdown_ = 1;
    ++refused_;
    return true;
  }

  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Call::count)> calls_{};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::int64_t> countdown_{0};
  Call kind_ = Call::count;  // count: any
  Error error_{};
  bool forever_ = false;
};

}  // namespace vaspace::test
