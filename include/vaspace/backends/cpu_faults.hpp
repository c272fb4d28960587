// Says what a faulting address was, on standard error, before the process dies of the fault as it would have.
//
// Always true: the handler that was there before gets every fault afterwards; while no namer is installed the
// process has its own handlers back. Installing is the program's decision and for the whole process: signals
// are.
#pragma once

#include <cstddef>
#include <span>

#include "vaspace/base/result.hpp"
#include "vaspace/base/units.hpp"

namespace vaspace::cpu {

// Called in a signal handler, perhaps in the middle of anything: it may neither allocate nor wait. Fills
// `text` with a line about the address and answers its length, or 0 where it knows nothing.
struct FaultNamer {
  void* user = nullptr;
  std::size_t (*name)(void* user, Address address, std::span<char> text) noexcept = nullptr;
};

// Installed while it lives. Several may be at once; each is asked.
class FaultReporter {
 public:
  static constexpr std::size_t kMost = 8;

  // Errors: out_of_space (kMost are installed), driver_error (native: errno of sigaction).
  [[nodiscard]] static Result<FaultReporter> install(const FaultNamer& namer) noexcept;
  FaultReporter(FaultReporter&& other) noexcept;
  FaultReporter& operator=(FaultReporter&& other) noexcept;
  FaultReporter(const FaultReporter&) = delete;
  FaultReporter& operator=(const FaultReporter&) = delete;
  ~FaultReporter();

 private:
  explicit FaultReporter(std::size_t slot) noexcept : slot_(slot) {}
  static constexpr std::size_t kNone = ~std::size_t{0};
  std::size_t slot_ = kNone;
};

}  // namespace vaspace::cpu
