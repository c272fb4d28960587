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
#include "steps.hpp"
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
  bool can_export = false;           // the device; whether this memory is exportable, the profile says
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
  // Room for whatever is alive to become one, and `more`: what is refused then needs no host memory.
  [[nodiscard]] bool room_for_orphans(std::size_t more) noexcept {
    return orphans.reserve_more(objects.count() + parts.size() + more);
  }
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
  [[nodiscard]] CUresult reserve_first(Bytes size, Alignment alignment, Address hint, Bytes& part,
                                       CUdeviceptr& at) noexcept;
  [[nodiscard]] Result<Address> grow_chain(Address first, Bytes part, Bytes size,
                                           Alignment alignment) noexcept;
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

// Makes the device's context current for a while, and the thread one whose calls no capture of a graph
// forbids: while any thread captures in the global mode, the driver refuses others what creates, waits and
// asks, and the capture is broken.
class ContextScope {
 public:
  explicit ContextScope(const Backend::State& s) noexcept : driver_(s.driver), entered_(enter(s.context)) {}
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;
  // The thread's mode and context are not ours to keep.
  ~ContextScope() {
    if (entered_ != CUDA_SUCCESS) return;
    (void)insist([&]() noexcept { return driver_.exchange_capture_mode(&mode_); });
    leave();
  }
  [[nodiscard]] Result<void> entered() const noexcept { return check(entered_); }

 private:
  [[nodiscard]] CUresult enter(CUcontext context) noexcept {
    const CUresult pushed = driver_.push_context(context);
    if (pushed != CUDA_SUCCESS) return pushed;
    const CUresult relaxed = driver_.exchange_capture_mode(&mode_);
    if (relaxed != CUDA_SUCCESS) leave();
    return relaxed;
  }
  void leave() noexcept {
    CUcontext popped = nullptr;
    (void)insist([&]() noexcept { return driver_.pop_context(&popped); });
  }

  const Driver& driver_;
  CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;  // while this lives, the thread's own
  CUresult entered_;
};

}  // namespace vaspace::cuda
