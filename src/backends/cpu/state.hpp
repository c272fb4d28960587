// The backend's books, and what its calls share.
//
// Always true (while `mutex` is free): bindings are what has been asked for; the kernel shows it up to the
// steps that still wait in `later`; used[h] is the memory taken from heap h, and `mappings` is what the
// kernel would count if no two reservations touched, both as of the last submission.
#pragma once

#include <array>
#include <mutex>

#include "vaspace/backends/cpu.hpp"
#include "vaspace/device/binding_table.hpp"

#include "file.hpp"
#include "steps.hpp"

namespace vaspace::cpu {

// Errors: invalid_configuration.
[[nodiscard]] Result<DeviceProfile> describe(const BackendConfig& config) noexcept;

struct Backend::State {
  State(const DeviceProfile& described, const BackendConfig& config) noexcept
      : host(config.host),
        profile(described),
        latency_ns(config.bind_latency_ns),
        reservations(host),
        objects(host),
        bindings(profile, reservations, objects, host),
        journal(host),
        steps(host),
        later(host) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  const HostAllocator host;
  const DeviceProfile profile;
  const std::uint64_t latency_ns;
  std::array<HostObject<HeapFile>, kMaxHeaps> files;

  std::mutex mutex;  // guards what follows
  ReservationTable reservations;
  std::uint64_t reservations_held = 0;  // and those that are being made
  PhysicalTable objects;
  BindingTable bindings;
  std::array<Bytes, kMaxHeaps> used{};
  std::uint64_t mappings = 0;
  BindJournal journal;    // of the batch at hand
  HostArray<Step> steps;  // of the batch at hand
  StepQueue later;
  std::uint64_t submitted = 0;  // timeline values
  std::uint64_t done = 0;
  int lost = 0;  // errno of what could not be taken back

  [[nodiscard]] std::uint32_t heap_of(std::uint32_t memory_type) const noexcept {
    return profile.memory_types[memory_type].heap;
  }
  [[nodiscard]] Bytes unused(std::uint32_t heap) const noexcept {
    return profile.heaps[heap].size - used[heap];
  }
  [[nodiscard]] bool answered(TimelinePoint point) const noexcept {
    return point.timeline == TimelineId{} && point.value <= submitted;
  }

  // All of these are called under the lock.

  // Carries out what is due by now. Errors: device_lost.
  Result<void> advance() noexcept;
  [[nodiscard]] int carry_out(const Step& step) const noexcept;
  // What every batch checks first, after advance(). Errors: device_lost, invalid_argument.
  [[nodiscard]] Result<void> begin_batch(std::span<const TimelinePoint> waits) noexcept;
  // Carries out `steps`, now or later. Errors: out_of_mappings, driver_error: the first `shown` steps have
  // been carried out and are the caller's to take back; out_of_host_memory.
  [[nodiscard]] Result<TimelinePoint> submit(std::size_t& shown) noexcept;
  // Makes the kernel show what the books say where the first `shown` steps have changed it. False, and the
  // device lost, where it refuses.
  [[nodiscard]] bool take_back(std::size_t shown) noexcept;

  // Applies ops to the books and fills `journal` and `steps`; a refusal leaves all of them to be taken back.
  [[nodiscard]] Result<void> plan(std::span<const BindOp> ops) noexcept;
  [[nodiscard]] Result<void> plan_run(std::span<const BindOp> run, Bytes size) noexcept;
  [[nodiscard]] Result<void> plan(std::span<const CopyOp> ops) noexcept;
  [[nodiscard]] bool continues(const BindOp& last, const BindOp& next) noexcept;
  void mark_used(std::uint64_t value) noexcept;
  // Accounts for the change from `before` meeting points to `after`. Errors: out_of_mappings.
  [[nodiscard]] Result<void> account_mappings(std::uint64_t before, std::uint64_t after) noexcept;

  // Makes the kernel show what the books say. 0 or errno.
  [[nodiscard]] int restore(Address address, Bytes size) const noexcept;
  [[nodiscard]] int restore_bound(Address at, Bytes length,
                                  const BindingTree::Interval& bound) const noexcept;
  // The same for a range that is bound throughout and differs by its access at most.
  [[nodiscard]] int restore_access(Address address, Bytes size) const noexcept;

  // The reservation of a range that is bound throughout, for `access` at least, once all that was submitted
  // is done. Errors: invalid_argument, wrong_state.
  [[nodiscard]] Result<ReservationRecord*> usable(Address address, Bytes size, Access access) noexcept;
  // The same, for a caller who cannot wait: nothing that is on its way concerns the range.
  [[nodiscard]] Result<ReservationRecord*> usable_now(Address address, Bytes size, Access access) noexcept;
};

}  // namespace vaspace::cpu
