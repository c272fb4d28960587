// A backend in front of another that holds back one bind until the test says how it ends.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "vaspace/device/forwarding_backend.hpp"

namespace vaspace::test {

// Always true: between hold_next_bind() and open() at most one bind is inside the gate, the first that came;
// all other calls, later binds too, pass.
class GateBackend : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  // The next bind stops here.
  void hold_next_bind() { hold(std::nullopt); }
  // The next bind with an op that touches `address` stops here.
  void hold_next_bind_of(Address address) { hold(address); }

  // Returns once a bind stands at the gate.
  void wait_until_held() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return inside_; });
  }
  [[nodiscard]] bool held() {
    const std::lock_guard lock(mutex_);
    return inside_;
  }
  // Lets the bind that stands there (or will) go on to the backend behind.
  void open() { let_go(std::nullopt); }
  // Makes it answer `error` instead.
  void open_with(Error error) { let_go(error); }

  Result<TimelinePoint> bind(std::span<const BindOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    const std::optional<Error> error = pass(ops);
    if (error) return fail(*error);
    return next().bind(ops, waits);
  }

 private:
  void hold(std::optional<Address> address) {
    const std::lock_guard lock(mutex_);
    armed_ = true;
    open_ = false;
    address_ = address;
    error_.reset();
  }
  void let_go(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    error_ = error;
    open_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] bool concerns(std::span<const BindOp> ops) const {
    if (!address_) return true;
    for (const BindOp& op : ops)
      if (op.address <= *address_ && *address_ < op.address + op.size) return true;
    return false;
  }
  std::optional<Error> pass(std::span<const BindOp> ops) {
    std::unique_lock lock(mutex_);
    if (!armed_ || !concerns(ops)) return std::nullopt;
    armed_ = false;
    inside_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    inside_ = false;
    return error_;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Address> address_;
  std::optional<Error> error_;
  bool armed_ = false;
  bool inside_ = false;
  bool open_ = false;
};

}  // namespace vaspace::test
