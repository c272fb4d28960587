// The one narrow interface to a driver.
//
// Always true:
//  - Every call either does all of what it says or nothing, and then answers a typed Error with the driver's
//  own
//    code in Error::native. Nothing aborts, nothing throws.
//  - bind() and copy() answer with the timeline point at which they are done; it may lie in the future
//    (capabilities.completes_later). What is unbound or copied away may be reused only once that point has
//    passed (V27).
//  - Calls may come from several threads at once; calls that name the same reservation range or the same
//  physical
//    object are the caller's to order.
//  - A backend never calls back into the layers above and takes no lock of theirs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vaspace/base/result.hpp"
#include "vaspace/base/units.hpp"
#include "vaspace/device/profile.hpp"

namespace vaspace {

enum class TimelineId : std::uint32_t {};

// A moment of the device: `timeline` has reached `value`. The default value is a point that has always
// passed.
struct TimelinePoint {
  TimelineId timeline{};
  std::uint64_t value = 0;

  friend constexpr bool operator==(const TimelinePoint&, const TimelinePoint&) noexcept = default;
};

// Contiguous addresses got from a backend. Given back whole, as it was got (C17).
struct Reservation {
  Address address{};
  Bytes size{};
  std::uint64_t handle = 0;  // the backend's own

  [[nodiscard]] Address end() const noexcept { return address + size; }
};

// What the memory of a reservation must be beside its size and type, where reserving commits. What a backend
// cannot do is refused with not_supported, but for the priority, which is ignored.
struct MemoryTraits {
  enum class Dedicated : std::uint8_t { none, buffer, image };

  Dedicated dedicated = Dedicated::none;  // the memory of this resource alone (V8)
  std::uint64_t resource = 0;             // the driver's handle of it
  bool device_address = false;            // buffers in it may be asked for their device address (V9)
  bool exportable = false;                // Backend::export_reservation (V18)
  float priority = 0.5F;                  // 0 to 1: who stays when the device runs out

  friend constexpr bool operator==(const MemoryTraits&, const MemoryTraits&) noexcept = default;
};

struct ReservationRequest {
  Bytes size{};                   // a multiple of profile().reservation_granularity, unless dedicated
  Alignment alignment{};          // of the address; raised to the granularity
  Address hint{};                 // where it would be liked; 0: anywhere. Only ever a hint (C1, C18)
  std::uint32_t memory_type = 0;  // matters where reserve_commits
  MemoryTraits traits{};          // likewise
};

// Physical memory, opaque; 0 is none.
struct PhysicalId {
  std::uint64_t value = 0;

  [[nodiscard]] constexpr explicit operator bool() const noexcept { return value != 0; }
  friend constexpr bool operator==(PhysicalId, PhysicalId) noexcept = default;
};

struct PhysicalRequest {
  Bytes size{};  // of each object; a multiple of the smallest page size
  std::uint32_t memory_type = 0;
  // Where the first object will be bound, the others behind it. A backend may place the memory so that
  // neighbouring mappings merge (DESIGN, decision 13); it is only a hint.
  Address near{};
};

enum class Access : std::uint8_t { none, read, read_write };

// Binds [offset, offset + size) of `physical` at `address`, or unbinds [address, address + size) where there
// is no `physical`. Address, offset and size are multiples of the smallest page size.
struct BindOp {
  Address address{};
  Bytes size{};
  PhysicalId physical{};
  Bytes offset{};
  // What may be done there; less than everything only where capabilities.set_access.
  Access access = Access::read_write;
  // Binds nothing in place of memory: reads give zeros, and `access` is read (capabilities.null_binds). There
  // is no `physical` then.
  bool null = false;
  // Takes the place of whatever is bound there, or of parts of it, in one step: who reads meanwhile sees the
  // old or the new, never a hole (capabilities.replace).
  bool replace = false;

  [[nodiscard]] constexpr bool binds() const noexcept { return null || static_cast<bool>(physical); }
};

struct CopyOp {
  Address source{};
  Address destination{};
  Bytes size{};
};

struct Budget {
  Bytes size{};    // of the heap
  Bytes budget{};  // how much of it this process may hold, clamped to the heap (V16)
  Bytes usage{};   // how much it holds
};

// Where an address lies in the driver's own terms, for backends whose addresses are synthetic.
struct NativeRange {
  std::uint64_t object = 0;  // VkDeviceMemory, VkBuffer, ...
  Bytes offset{};
};

struct ExternalHandle {
  int fd = -1;  // owned by whoever holds this
};

class Backend {
 public:
  Backend() noexcept = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  [[nodiscard]] virtual const DeviceProfile& profile() const noexcept = 0;
  // Errors: invalid_argument for a heap that does not exist.
  [[nodiscard]] virtual Result<Budget> budget(std::uint32_t heap) noexcept = 0;
  // The same as the driver says it now, where budget() may answer with what it said a while ago: for callers
  // that keep a reading of their own.
  [[nodiscard]] virtual Result<Budget> read_budget(std::uint32_t heap) noexcept { return budget(heap); }
  // Bytes of physical memory held now as the OS or driver measures them, over all heaps. Errors:
  // not_supported.
  [[nodiscard]] virtual Result<Bytes> measured_physical() noexcept { return fail(ErrorCode::not_supported); }

  // Errors: invalid_size, invalid_alignment, out_of_address_space, out_of_device_memory (where reserving
  // commits), out_of_mappings, out_of_host_memory.
  [[nodiscard]] virtual Result<Reservation> reserve(const ReservationRequest& request) noexcept = 0;
  // Nothing may be bound in it. Errors: wrong_state, invalid_argument for what is no reservation.
  [[nodiscard]] virtual Result<void> release(const Reservation& reservation) noexcept = 0;

  // Fills `out` with objects of request.size each: all or none. Errors: not_supported where there are no
  // pages, invalid_size, invalid_argument, out_of_device_memory, out_of_host_memory.
  [[nodiscard]] virtual Result<void> create_physical(const PhysicalRequest& request,
                                                     std::span<PhysicalId> out) noexcept = 0;
  // Nothing of it may be bound any more. Errors: unknown_handle, wrong_state; nothing is destroyed then.
  [[nodiscard]] virtual Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept = 0;

  // All of `ops`, in order, or none. Binding over what is bound, but to replace it, and unbinding what is not
  // is wrong_state.
  // Begins after `waits`. Errors: not_supported (a capability that the profile denies), invalid_argument,
  // wrong_state, unknown_handle, out_of_mappings, out_of_host_memory.
  [[nodiscard]] virtual Result<TimelinePoint> bind(std::span<const BindOp> ops,
                                                   std::span<const TimelinePoint> waits) noexcept = 0;
  // Copies between bound ranges that do not overlap. Begins after `waits`. Errors as for bind.
  [[nodiscard]] virtual Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                                                   std::span<const TimelinePoint> waits) noexcept = 0;
  // The whole range is bound (C6). Errors: not_supported, wrong_state.
  [[nodiscard]] virtual Result<void> set_access(Address, Bytes, Access) noexcept {
    return fail(ErrorCode::not_supported);
  }

  // A host pointer to [address, address + size), which lies in one reservation. Maps nest by count (V10).
  // Errors: not_supported where the memory is not host-visible.
  [[nodiscard]] virtual Result<std::byte*> map(Address, Bytes) noexcept {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] virtual Result<void> unmap(Address, Bytes) noexcept { return fail(ErrorCode::not_supported); }
  // The ranges are widened to what the device asks for (V12).
  [[nodiscard]] virtual Result<void> flush(Address, Bytes) noexcept { return fail(ErrorCode::not_supported); }
  [[nodiscard]] virtual Result<void> invalidate(Address, Bytes) noexcept {
    return fail(ErrorCode::not_supported);
  }

  [[nodiscard]] virtual Result<ExternalHandle> export_physical(PhysicalId) noexcept {
    return fail(ErrorCode::not_supported);
  }
  // Takes the handle only when it succeeds.
  [[nodiscard]] virtual Result<PhysicalId> import_physical(const PhysicalRequest&, ExternalHandle) noexcept {
    return fail(ErrorCode::not_supported);
  }

  // The same for a reservation, where reserving commits. Exported: it was reserved as exportable. Imported:
  // the request's size and memory type are the exporter's (V17).
  [[nodiscard]] virtual Result<ExternalHandle> export_reservation(const Reservation&) noexcept {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] virtual Result<Reservation> import_reservation(const ReservationRequest&,
                                                               ExternalHandle) noexcept {
    return fail(ErrorCode::not_supported);
  }

  // Memory that is the host's, as a reservation where reserving commits. The pointer and the request's size
  // are multiples of what host_pointer_alignment() says (0: there is no such thing here), and its memory type
  // is one of the bits that host_pointer_types() answers for the pointer. The memory stays the caller's and
  // outlives the reservation.
  [[nodiscard]] virtual Bytes host_pointer_alignment() const noexcept { return {}; }
  [[nodiscard]] virtual Result<std::uint32_t> host_pointer_types(const void*) noexcept {
    return fail(ErrorCode::not_supported);
  }
  [[nodiscard]] virtual Result<Reservation> import_host_pointer(void*, const ReservationRequest&) noexcept {
    return fail(ErrorCode::not_supported);
  }

  // Errors: not_supported where addresses are real; unknown_address.
  [[nodiscard]] virtual Result<NativeRange> locate(Address) noexcept {
    return fail(ErrorCode::not_supported);
  }

  [[nodiscard]] virtual Result<bool> completed(TimelinePoint point) noexcept = 0;
  // Errors: timed_out, device_lost.
  [[nodiscard]] virtual Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept = 0;
};

}  // namespace vaspace
