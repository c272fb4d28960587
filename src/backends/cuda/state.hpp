// The backend's books, and what its calls share.
//
// Always true (while `mutex` is free and nothing is lost): the driver's mappings are the bindings; every part
// is a reservation of the driver, and parts make up the reservations; used is the size of all objects.
#pragma once

#include <condition_variable>
#include <mutex>

#include "vaspace/device/binding_table.hpp"

#include "driver.hpp"
#include "errors.hpp"
#include "timelines.hpp"

namespace vaspace::cuda {

struct Backend::State {
  explicit State(const HostAllocator& allocator) noexcept
      : host(allocator),
        timelines(driver, allocator),
        reservations(allocator),
        objects(allocator),
        bindings(profile, reservations, objects, allocator),
        journal(allocator),
        parts(allocator),
        orphans(allocator),
        reach(allocator) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  // Once, before all else. Errors: as Backend::create.
  [[nodiscard]] Result<void> open(const BackendConfig& config, Refusal& refusal) noexcept;

  const HostAllocator host;
  Driver driver;
  DeviceProfile profile{};
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUmemAllocationProp properties{};  // of all memory
  Bytes recommended{};

  std::mutex mutex;  // guards what follows, and is held while mappings change
  Timelines timelines;
  ReservationTable reservations;
  PhysicalTable objects;
  BindingTable bindings;
  BindJournal journal;                 // of the batch at hand
  IntervalTreap<std::uint32_t> parts;  // the driver's reservations
  // What the driver did not take back in the middle of a call that could not be undone; tried again.
  struct Orphan {
    CUmemGenericAllocationHandle handle = 0;  // or, if 0, the reservation
    CUdeviceptr address = 0;
    std::size_t size = 0;
  };
  HostArray<Orphan> orphans;
  HostArray<CUmemAccessDesc> reach;  // who gets access: this device first, then peers (C7)
  Bytes used{};
  CUstream copies = nullptr;      // where copies go; made by the first
  TimelinePoint last_copy{};      // of them
  std::uint64_t copy_number = 0;  // ReservationRecord::last_use counts in these
  std::uint64_t copies_done = 0;
  std::uint32_t host_copies = 0;  // between host and device, that have begun and are not over
  std::condition_variable host_copies_over;
  CUresult lost = CUDA_SUCCESS;  // why mappings are not known any more

  // All of these are called under the lock, with the context current.

  [[nodiscard]] Result<void> alive() const noexcept {
    return lost == CUDA_SUCCESS ? Result<void>{}
                                : fail(ErrorCode::device_lost, static_cast<std::int32_t>(lost));
  }
  // Carries out the journal, or takes back what it did of it and answers why.
  [[nodiscard]] Result<void> carry_out() noexcept;
  [[nodiscard]] CUresult map(const BindingTree::Interval& bound) noexcept;
  [[nodiscard]] CUresult allow(std::uint64_t begin, std::uint64_t end, Access access) noexcept;
  void take_back(std::size_t count) noexcept;
  // The reservation of a range that is bound throughout, for `access` at least. Errors: invalid_argument,
  // wrong_state.
  [[nodiscard]] Result<ReservationRecord*> usable(Address address, Bytes size, Access access) noexcept;
  // Waits for copies in what the batch unbinds: the lock is let go of meanwhile, and held again after.
  [[nodiscard]] Result<void> await_copies(std::span<const BindOp> ops,
                                          std::unique_lock<std::mutex>& lock) noexcept;
  [[nodiscard]] Result<void> make_copy_stream() noexcept;

  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request, Alignment alignment) noexcept;
  [[nodiscard]] CUresult reserve_part(Bytes size, Alignment alignment, Address hint,
                                      CUdeviceptr& at) noexcept;
  [[nodiscard]] CUresult reserve_beside(Bytes size, Address where) noexcept;
  [[nodiscard]] Result<Address> reserve_chain(Bytes size, Alignment alignment, Address hint) noexcept;
  void free_parts(Address begin, Address end) noexcept;

  // Tries again what the driver did not take back.
  void retry_orphans() noexcept;
  // The device is idle, and nobody uses the backend any more.
  void give_all_back() noexcept;

  // With the context current; the lock does not matter. CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED where it
  // captures.
  [[nodiscard]] CUresult ask_capturing(Stream stream) const noexcept;
  // Called without the lock, with the context current: waits for all copies that were begun.
  [[nodiscard]] Result<void> finish_copies(CUresult begun) noexcept;
};

// Makes the device's context current for a while.
class ContextScope {
 public:
  explicit ContextScope(const Backend::State& s) noexcept
      : driver_(s.driver), pushed_(s.driver.push_context(s.context)) {}
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;
  ~ContextScope() {
    CUcontext popped = nullptr;
    // The thread's context is not ours to keep: a refusal is asked again once.
    if (pushed_ == CUDA_SUCCESS && driver_.pop_context(&popped) != CUDA_SUCCESS)
      (void)driver_.pop_context(&popped);
  }
  [[nodiscard]] Result<void> entered() const noexcept { return check(pushed_); }

 private:
  const Driver& driver_;
  CUresult pushed_;
};

}  // namespace vaspace::cuda
