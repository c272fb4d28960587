// An allocator on a device of a test's choice, with all that looks at it or gets in its way.
#pragma once

#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "vaspace/device/counting_backend.hpp"

#include "support/arena_backends.hpp"
#include "support/arena_ledger.hpp"
#include "support/arena_subjects.hpp"
#include "support/arena_tally.hpp"
#include "support/faulty_backend.hpp"
#include "support/host.hpp"

namespace vaspace::test {

// What a test lets the driver refuse with.
inline constexpr Error kInjected{ErrorCode::driver_error, -77};

// What a test may change of an allocator's configuration.
struct StageConfig {
  ArenaConfig arena{};
  bool shared_device = false;  // another allocator takes memory from it too
  bool exact_books = true;     // false: a driver that fails for good may leave more held than is said
};

// An allocator over device <- ledger <- faults <- counts, with a host allocator, an observer and handlers of
// its own.
class Stage {
 public:
  Stage(const Subject& subject, const Device& device, StageConfig config = {})
      : subject_(subject), device_(device), backend_(device.open()), config_(config) {
    config_.arena.host = host_.allocator();
    config_.arena.observer = tally_.observer();
    config_.arena.on_misuse = {this, [](void* user, const Misuse& misuse) noexcept {
                                 static_cast<Stage*>(user)->misuses_.push_back(misuse);
                               }};
    config_.arena.on_leak = {this, [](void* user, const AllocationInfo& leaked) noexcept {
                               static_cast<Stage*>(user)->leaks_.emplace_back(leaked.name);
                             }};
  }
  [[nodiscard]] Result<void> open() {
    auto made = subject_.make(counting_, config_.arena);
    if (!made) return fail(made.error());
    va_ = std::move(*made);
    return {};
  }
  void close() { va_.reset(); }

  [[nodiscard]] Va& va() { return *va_; }
  [[nodiscard]] const Subject& subject() const { return subject_; }
  [[nodiscard]] const Device& device() const { return device_; }
  [[nodiscard]] const StageConfig& config() const { return config_; }
  [[nodiscard]] TestHost& host() { return host_; }
  [[nodiscard]] FaultyBackend& faulty() { return faulty_; }
  [[nodiscard]] CountingBackend& counting() { return counting_; }
  [[nodiscard]] LedgerBackend& ledger() { return ledger_; }
  [[nodiscard]] Tally& tally() { return tally_; }
  [[nodiscard]] std::vector<Misuse>& misuses() { return misuses_; }
  [[nodiscard]] std::vector<std::string>& leaks() { return leaks_; }

  // Empty, or what the device or the host still has. After close().
  [[nodiscard]] std::string left(bool but_reservations = false) const {
    std::ostringstream out;
    if (ledger_.reservations() != 0 && !but_reservations) out << ledger_.reservations() << " reservations; ";
    if (ledger_.objects() != 0) out << ledger_.objects() << " pages; ";
    if (ledger_.bound_bytes() != 0) out << ledger_.bound_bytes() << " bytes bound; ";
    if (host_.bytes() != 0) out << host_.bytes() << " bytes of host memory; ";
    return out.str();
  }

 private:
  Subject subject_;
  Device device_;
  std::shared_ptr<Backend> backend_;
  LedgerBackend ledger_{*backend_};
  FaultyBackend faulty_{ledger_};
  CountingBackend counting_{faulty_};
  TestHost host_;
  Tally tally_;
  StageConfig config_;
  std::vector<Misuse> misuses_;
  std::vector<std::string> leaks_;
  std::unique_ptr<Va> va_;
};

}  // namespace vaspace::test
