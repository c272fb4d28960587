// What --verify does to every allocation.
//
// Always true: begin() is called right after an allocation was handed out, end() before it goes back; every
// allocation that is wrong in any way counts once per call that finds it so. Calls may come from several
// threads, for different allocations.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "vaspace/arena/allocation.hpp"

#include "interval_set.hpp"

namespace vaspace::tools {

class Verifier {
 public:
  Verifier() = default;
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;
  virtual ~Verifier() = default;

  // `number` is the allocation's in its trace. Checks the alignment, then what the kind of verifier checks.
  void begin(std::uint32_t number, const Allocation& allocation, const AllocationRequest& asked);
  void end(std::uint32_t number, const Allocation& allocation) { on_end(number, allocation); }
  // Something found from outside, for example by the allocator's own validate().
  void report(const std::string& what);

  [[nodiscard]] std::uint64_t errors() const noexcept { return errors_; }
  [[nodiscard]] std::string first_error() const;

 protected:
  virtual void on_begin(std::uint32_t number, const Allocation& allocation) = 0;
  virtual void on_end(std::uint32_t number, const Allocation& allocation) = 0;

 private:
  std::atomic<std::uint64_t> errors_{0};
  mutable std::mutex mutex_;
  std::string first_error_;
};

// Memory that the host can address: filled wholly, checked wholly.
class PatternVerifier final : public Verifier {
  void on_begin(std::uint32_t number, const Allocation& allocation) override;
  void on_end(std::uint32_t number, const Allocation& allocation) override;
};

// Addresses without memory: no two overlap.
class OverlapVerifier final : public Verifier {
  void on_begin(std::uint32_t number, const Allocation& allocation) override;
  void on_end(std::uint32_t number, const Allocation& allocation) override;

  std::mutex mutex_;
  IntervalSet live_;
};

}  // namespace vaspace::tools
