// A subject at work: its state, the caller's handles, and the loops that are timed.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "bench/clock.hpp"
#include "bench/setup.hpp"
#include "bench/workload.hpp"

namespace vaspace::tools::bench {

// What is called once per operation lies behind it; what is virtual is called once per phase.
class Session {
 public:
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session() = default;

  virtual void run(const Phase& phase) = 0;
  // Adds the picoseconds per operation of batch k to samples[phase.first_sample + k].
  virtual void time_batches(const Phase& phase, std::vector<std::uint64_t>& samples) = 0;
  // Lowers least[i] to the nanoseconds of operation i, one by one; `least` grows with ~0 as needed.
  virtual void time_each(const Phase& phase, std::vector<std::uint64_t>& least) = 0;
  // Allocations refused so far.
  [[nodiscard]] virtual std::uint64_t refused() const = 0;
};

// The loops: one call per operation, never inlined into their callers, so that a profiler finds them.
template <class Subject>
[[gnu::noinline]] void bench_allocate(Subject& subject, typename Subject::Handle* handles,
                                      std::span<const Operation> operations) {
  for (const Operation op : operations)
    handles[op.handle] = subject.allocate(op.size, op.alignment);
}
template <class Subject>
[[gnu::noinline]] void bench_free(Subject& subject, typename Subject::Handle* handles,
                                  std::span<const Operation> operations) {
  for (const Operation op : operations)
    subject.free(handles[op.handle]);
}
template <class Subject>
[[gnu::noinline]] void bench_pair(Subject& subject, typename Subject::Handle* handles,
                                  std::span<const Operation> operations) {
  for (const Operation op : operations) {
    auto& handle = handles[op.handle];
    subject.free(handle);
    handle = subject.allocate(op.size, op.alignment);
  }
}
template <class Subject>
[[gnu::noinline]] void bench_mixed(Subject& subject, typename Subject::Handle* handles,
                                   std::span<const Operation> operations) {
  for (const Operation op : operations) {
    if (op.size == 0) {
      subject.free(handles[op.handle]);
    } else {
      handles[op.handle] = subject.allocate(op.size, op.alignment);
    }
  }
}

template <class Subject>
void bench_any(Subject& subject, typename Subject::Handle* handles, Kind kind,
               std::span<const Operation> operations) {
  switch (kind) {
    case Kind::allocate:
      return bench_allocate(subject, handles, operations);
    case Kind::free:
      return bench_free(subject, handles, operations);
    case Kind::pair:
      return bench_pair(subject, handles, operations);
    case Kind::mixed:
      return bench_mixed(subject, handles, operations);
  }
}

template <class Subject>
class SessionOf final : public Session {
 public:
  explicit SessionOf(const Setup& setup) : subject_(setup), handles_(setup.handles) {}

  void run(const Phase& phase) override {
    bench_any(subject_, handles_.data(), phase.kind, phase.operations);
  }

  void time_batches(const Phase& phase, std::vector<std::uint64_t>& samples) override {
    const std::span<const Operation> all(phase.operations);
    const std::size_t batches = all.size() / phase.batch;
    samples.resize(std::max(samples.size(), phase.first_sample + batches));
    for (std::size_t k = 0; k < batches; ++k) {
      const auto batch = all.subspan(k * phase.batch, phase.batch);
      const std::uint64_t from = now_ns();
      bench_any(subject_, handles_.data(), phase.kind, batch);
      const std::uint64_t elapsed = now_ns() - from;
      samples[phase.first_sample + k] += picoseconds_each(elapsed, floor_, phase.batch);
    }
    bench_any(subject_, handles_.data(), phase.kind, all.subspan(batches * phase.batch));
  }

  void time_each(const Phase& phase, std::vector<std::uint64_t>& least) override {
    least.resize(std::max(least.size(), phase.operations.size()), ~std::uint64_t{0});
    const std::span<const Operation> all(phase.operations);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::uint64_t from = now_ns();
      bench_mixed(subject_, handles_.data(), all.subspan(i, 1));
      const std::uint64_t elapsed = now_ns() - from;
      least[i] = std::min(least[i], elapsed <= floor_ ? 0 : elapsed - floor_);
    }
  }

  [[nodiscard]] std::uint64_t refused() const override { return subject_.refused(); }
  [[nodiscard]] Subject& subject() { return subject_; }

 private:
  Subject subject_;
  std::vector<typename Subject::Handle> handles_;
  std::uint64_t floor_ = clock_floor_ns();
};

}  // namespace vaspace::tools::bench
