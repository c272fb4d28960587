// The CUDA backend: reservations, pages and mappings of the driver's virtual memory management, one device
// per backend.
//
//   reservation |==page==|==page==|........|==page==|     every page is a physical object of its own and one
//                                                         mapping, because a mapping cannot be split (C8)
//
// Always true:
//  - The driver's library is loaded when the first backend is made, its functions are asked for by the
//    version whose meaning they have here, and nothing is linked. Page sizes are what the driver answers for
//    exactly the memory that is created (C3).
//  - What is bound is accessible to the device and to every peer that was added (C5, C7); a mapping begins at
//    its object's begin (C4) and is unbound whole (C8); addresses stay reserved until they are released, as
//    they were got (C9, C17).
//  - A call that fails has restored what it had changed (C16). Only where the driver refuses to take a step
//    back does the backend answer device_lost from then on: what is mapped is not known any more.
//  - Error::native is the CUresult, the driver's or, for a size that no device has addresses for, the one
//  that
//    it would give; 0 where the library refused before any driver call (an argument, a state, no host
//    memory).
//  - While another thread captures a graph, in whichever mode, calls are made all the same and break nothing:
//    the calling thread is in the relaxed mode meanwhile.
//
// Binding is done when bind() returns. Streams are timelines: mark() says where one is, a point can be waited
// for, and bind() and copy() begin after the points that they are given (C13: an unbind does not wait for
// running work by itself).
#pragma once

#include <span>

#include "vaspace/base/host_object.hpp"
#include "vaspace/device/backend.hpp"

struct CUstream_st;

namespace vaspace::cuda {

using Stream = CUstream_st*;  // a CUstream, which is a cudaStream_t; nullptr is the legacy default stream

// The stream that a handle names: CU_STREAM_LEGACY (1) is nullptr. Errors: not_supported for
// CU_STREAM_PER_THREAD (2), which is another stream in each thread: give the thread a stream of its own.
[[nodiscard]] Result<Stream> known_stream(Stream stream) noexcept;

// Why there is no backend, for a person.
struct Refusal {
  int driver_version = 0;     // as the driver says it: 12080 is 12.8; 0: none answered
  int needed_version = 0;     // of the function that is missing
  const char* function = "";  // of the driver: the one that is missing or refused
  char text[256] = {};        // one sentence
};

// Bytes of the host's and of the device's that are the same after a copy.
struct HostCopy {
  std::byte* host = nullptr;
  Address device{};
  Bytes size{};
};

struct BackendConfig {
  int device = 0;  // the driver's number of it
  // The driver's library. Null: what the environment's VASPACE_CUDA_DRIVER names, else libcuda.so.1.
  const char* driver = nullptr;
  // All physical memory can be exported as a file descriptor. The page sizes are then those of such memory
  // (C3). Where the device accepts the kind and cannot export it, external_memory is off and nothing is lost
  // (C14).
  bool exportable = false;
  std::span<const int> peers{};  // other devices that reach the memory from the beginning
  Refusal* refusal = nullptr;    // filled in where create() fails
  HostAllocator host = default_host_allocator();
};

// Devices that the driver shows. Errors: as of Backend::create.
[[nodiscard]] Result<int> device_count(const char* driver = nullptr, Refusal* refusal = nullptr) noexcept;

// Thread-safe: one lock around the books and the calls that change mappings, none around waits. The device's
// primary context is retained while a backend lives and made current around its calls.
//
// What it answers beyond the contract: not_supported for a bind that crosses the seam of a reservation that
// the driver gave only in pieces (C2; seams lie at multiples of the largest page), and for access to a part
// of a mapping; an unbind waits for copies of this backend that use the reservation.
class Backend final : public vaspace::Backend {
 public:
  // Errors: not_supported (no library, a driver that is too old, no virtual memory management),
  // invalid_argument (no such device or peer), invalid_configuration (a granularity that is no power of two),
  // out_of_host_memory, driver_error. config.refusal says more.
  [[nodiscard]] static Result<HostObject<Backend>> create(const BackendConfig& config) noexcept;

  struct State;
  explicit Backend(HostObject<State> state) noexcept;  // create() makes them
  // Waits for the device and gives back whatever is still held.
  ~Backend() override;

  [[nodiscard]] int device() const noexcept;
  [[nodiscard]] int driver_version() const noexcept;
  // The device can export memory: tried once with a page, for a kind of handle may be accepted and not work
  // (C14). Whether this backend's memory is exportable, profile() says.
  [[nodiscard]] bool can_export() const noexcept;
  // The driver's advice for speed: a multiple of the smallest page (C3).
  [[nodiscard]] Bytes recommended_page() const noexcept;

  // Lets another device reach all memory that is and will be bound (C7). Errors: invalid_argument,
  // not_supported (it cannot), driver_error; then no mapping has changed. Cost: one call per live mapping.
  [[nodiscard]] Result<void> add_peer(int device) noexcept;
  [[nodiscard]] Result<void> remove_peer(int device) noexcept;

  // Where the stream is now: a point that passes when all that was put on it so far is done. Errors:
  // invalid_argument (no such stream), not_supported (as known_stream), wrong_state (it captures a graph),
  // device_lost, out_of_host_memory, driver_error.
  [[nodiscard]] Result<TimelinePoint> mark(Stream stream) noexcept;
  // Whether the stream is of this device's primary context, as nullptr is here: work on others is ordered by
  // events that their own contexts made. Errors: what the driver says.
  [[nodiscard]] Result<bool> is_own(Stream stream) noexcept;
  // Whether all that was put on the stream so far is done: mark() and completed() in one, without an event.
  // A stream that captures a graph is not. Of nullptr: what was put on the legacy stream; streams that wait
  // for it, as blocking ones do, are not asked.
  [[nodiscard]] Result<bool> idle(Stream stream) noexcept;
  // What is put on the stream from now on begins after the point. The host does not wait.
  [[nodiscard]] Result<void> order_after(Stream stream, TimelinePoint point) noexcept;
  // The stream is about to be destroyed; its points stay valid. A later stream of the same address is
  // another.
  void forget(Stream stream) noexcept;

  // Between host and device memory. The host's side may be pageable; the call returns when the bytes are
  // there: of all of them, waited for once. Errors: as of copy(); then some bytes may have been copied.
  [[nodiscard]] Result<void> copy_to_host(std::span<const HostCopy> copies) noexcept;
  [[nodiscard]] Result<void> copy_from_host(std::span<const HostCopy> copies) noexcept;
  [[nodiscard]] Result<void> copy_to_host(std::byte* to, Address from, Bytes size) noexcept;
  [[nodiscard]] Result<void> copy_from_host(Address to, const std::byte* from, Bytes size) noexcept;
  // Puts a fill of bound memory on the stream.
  [[nodiscard]] Result<void> fill(Address address, std::byte value, Bytes size, Stream stream) noexcept;

  // Host memory that every device reaches at its own address. Errors: out_of_host_memory, driver_error.
  [[nodiscard]] Result<std::byte*> allocate_pinned(Bytes size) noexcept;
  [[nodiscard]] Result<void> free_pinned(std::byte* memory) noexcept;
  // The same for whole pages of the program's own. Errors: not_supported (the device would have it at another
  // address), out_of_host_memory, driver_error.
  [[nodiscard]] Result<void> pin(std::byte* memory, Bytes size) noexcept;
  // No work uses the memory any more.
  [[nodiscard]] Result<void> unpin(std::byte* memory) noexcept;

  // For programs that make no streams of their own: one that does not wait for the legacy default stream.
  [[nodiscard]] Result<Stream> make_stream() noexcept;
  [[nodiscard]] Result<void> destroy_stream(Stream stream) noexcept;
  [[nodiscard]] Result<void> wait_for(Stream stream) noexcept;
  // Waits for all work on the device that came through its primary context: not for what other devices do in
  // memory of this one (C7).
  [[nodiscard]] Result<void> wait_idle() noexcept;

  [[nodiscard]] const DeviceProfile& profile() const noexcept override;
  [[nodiscard]] Result<Budget> budget(std::uint32_t heap) noexcept override;
  [[nodiscard]] Result<Reservation> reserve(const ReservationRequest& request) noexcept override;
  [[nodiscard]] Result<void> release(const Reservation& reservation) noexcept override;
  [[nodiscard]] Result<void> create_physical(const PhysicalRequest& request,
                                             std::span<PhysicalId> out) noexcept override;
  [[nodiscard]] Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override;
  [[nodiscard]] Result<TimelinePoint> bind(std::span<const BindOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;
  [[nodiscard]] Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                                           std::span<const TimelinePoint> waits) noexcept override;
  [[nodiscard]] Result<void> set_access(Address address, Bytes size, Access access) noexcept override;
  // The descriptor is a new one, the caller's to close (C15); it keeps the memory alive.
  [[nodiscard]] Result<ExternalHandle> export_physical(PhysicalId physical) noexcept override;
  // The descriptor is closed when it succeeds: the import holds the memory by itself, until it is destroyed
  // (C11). request.size is the exporter's.
  [[nodiscard]] Result<PhysicalId> import_physical(const PhysicalRequest& request,
                                                   ExternalHandle handle) noexcept override;
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept override;
  [[nodiscard]] Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept override;

 private:
  HostObject<State> state_;
};

}  // namespace vaspace::cuda
