// An observer that adds up what it is told.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "vaspace/arena/allocation.hpp"
#include "vaspace/base/observer.hpp"

namespace vaspace::test {

class Tally {
 public:
  [[nodiscard]] Observer observer() noexcept {
    return {this, [](void* user, const Event& event) noexcept { static_cast<Tally*>(user)->add(event); }};
  }

  [[nodiscard]] std::int64_t live_count() const { return live_count_; }
  [[nodiscard]] std::int64_t live_bytes() const { return live_bytes_; }
  [[nodiscard]] std::int64_t reserved(std::uint32_t arena) const { return reserved_[arena]; }
  [[nodiscard]] std::int64_t committed() const { return committed_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  [[nodiscard]] std::uint64_t unbinds_refused() const { return unbinds_refused_; }
  [[nodiscard]] std::uint64_t leaks() const { return leaks_; }

 private:
  void add(const Event& event) noexcept {
    const auto bytes = static_cast<std::int64_t>(event.size.value);
    switch (event.kind) {
      case EventKind::allocate:
        ++live_count_;
        live_bytes_ += bytes;
        break;
      case EventKind::free:
        --live_count_;
        live_bytes_ -= bytes;
        break;
      case EventKind::refuse:
        ++refused_;
        break;
      case EventKind::reserve:
        reserved_[event.arena] += bytes;
        break;
      case EventKind::release:
        reserved_[event.arena] -= bytes;
        break;
      case EventKind::commit:
        committed_ += bytes;
        break;
      case EventKind::decommit:
        committed_ -= bytes;
        break;
      case EventKind::unbind_refused:
        ++unbinds_refused_;
        break;
      case EventKind::leak:
        ++leaks_;
        break;
    }
  }

  std::atomic<std::int64_t> live_count_{0}, live_bytes_{0}, committed_{0};
  std::array<std::atomic<std::int64_t>, 256> reserved_{};
  std::atomic<std::uint64_t> refused_{0}, unbinds_refused_{0}, leaks_{0};
};

}  // namespace vaspace::test
