// A backend in front of another that lets a second thread work while a call is under way.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "vaspace/device/forwarding_backend.hpp"

namespace vaspace::test {

// Always true: between begin() and end(), each call of the thread that called begin() runs the probe to
// completion on the probe's own thread before it goes on, or notes that the probe was held up.
class ProbeBackend final : public ForwardingBackend {
 public:
  ProbeBackend(Backend& next, std::function<void()> probe)
      : ForwardingBackend(next), probe_(std::move(probe)) {}
  ~ProbeBackend() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void begin() { caller_ = std::this_thread::get_id(); }
  void end() { caller_ = std::thread::id(); }
  [[nodiscard]] int probes() const { return probes_; }
  // The first call under which the probe could not work; empty if there was none.
  [[nodiscard]] const std::string& held_up() const { return held_up_; }

  Result<Budget> budget(std::uint32_t heap) noexcept override {
    probe("budget");
    return next().budget(heap);
  }
  Result<Bytes> measured_physical() noexcept override {
    probe("measured_physical");
    return next().measured_physical();
  }
  Result<Reservation> reserve(const ReservationRequest& request) noexcept override {
    probe("reserve");
    return next().reserve(request);
  }
  Result<void> release(const Reservation& reservation) noexcept override {
    probe("release");
    return next().release(reservation);
  }
  Result<void> create_physical(const PhysicalRequest& request, std::span<PhysicalId> out) noexcept override {
    probe("create_physical");
    return next().create_physical(request, out);
  }
  Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override {
    probe("destroy_physical");
    return next().destroy_physical(objects);
  }
  Result<TimelinePoint> bind(std::span<const BindOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    probe("bind");
    return next().bind(ops, waits);
  }
  Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept override {
    probe("wait");
    return next().wait(point, timeout_ns);
  }

 private:
  static constexpr std::chrono::seconds kHeldUp{20};

  void probe(const char* call) {
    if (caller_ != std::this_thread::get_id() || !held_up_.empty()) return;
    std::unique_lock lock(mutex_);
    asked_ = true;
    changed_.notify_all();
    if (!changed_.wait_for(lock, kHeldUp, [this] { return !asked_; })) held_up_ = call;
    ++probes_;
  }
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return asked_ || stop_; });
      if (stop_) return;
      lock.unlock();
      probe_();
      lock.lock();
      asked_ = false;
      changed_.notify_all();
    }
  }

  std::function<void()> probe_;
  std::atomic<std::thread::id> caller_{};
  std::string held_up_;
  int probes_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false;
  bool stop_ = false;
  std::thread thread_{[this] { work(); }};
};

}  // namespace vaspace::test
