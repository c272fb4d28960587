// The reference backend: real virtual memory of this process, with one memfd per heap as the device's memory.
//
// Always true:
//  - A reservation is PROT_NONE address space and costs no memory. A page is a piece of the heap's memfd,
//    really taken when it is created (fallocate) and really given back when it is destroyed (a hole is
//    punched), so that st_blocks of the memfd is the physical memory held.
//  - What is bound can be read and written at its address; what is unbound is inaccessible again and faults.
//    What is bound to null reads as zeros and costs no memory; a write there faults, as it does in what is
//    read-only.
//  - mappings held, as the kernel counts them, never pass config.max_mappings.
#pragma once

#include <span>

#include "vaspace/base/host_object.hpp"
#include "vaspace/device/backend.hpp"

namespace vaspace::cpu {

struct BackendConfig {
  // Heaps and types: none means one heap of `physical_size`, and for each heap one type, host-visible and
  // coherent. No heap is larger than 256 TiB.
  Bytes physical_size = 4_GiB;
  std::span<const MemoryHeap> heaps{};
  std::span<const MemoryType> memory_types{};
  // In rising order, powers of two, multiples of the host's page. None means 64 KiB and 2 MiB; there are none
  // where reserving commits.
  std::span<const Bytes> page_sizes{};
  // A bind or copy is done this long after its call; until then its point has not passed, the addresses keep
  // what they had, and the memory that it frees is not reused.
  std::uint64_t bind_latency_ns = 0;
  // Mappings as the kernel counts them that this backend may hold. 0: what the host allows
  // (vm.max_map_count), less a quarter for everything else in the process.
  std::uint64_t max_mappings = 0;
  // Capabilities, to be switched off one by one: CUDA is {partial_unbind, physical_offset: off}, plain Vulkan
  // is reserve_commits.
  bool partial_unbind = true;
  bool physical_offset = true;
  bool aliasing = true;
  bool replace = true;
  bool null_binds = true;
  bool reserve_commits = false;
  Bytes max_reservation_size = kMaxBytes;
  std::uint64_t max_reservations = kUnlimited;
  HostAllocator host = default_host_allocator();
};

// Thread-safe. One lock guards the books; memory is taken from and given back to the OS outside it.
//
// Cost: one system call per run of neighbouring pages in a batch, and O(log n) book-keeping per op. Binds and
// copies are done when they return, unless bind_latency_ns says later; then a call of any thread into this
// backend carries out what has become due, in the order of submission.
//
// What it answers beyond the contract:
//  - out_of_mappings before the OS is asked, where config.max_mappings would be passed (unbinding the middle
//    of a merged run takes two more); native is 0 then, and errno where the OS refused;
//  - out_of_address_space for a reservation above max_reservation_size or beyond max_reservations;
//  - not_supported for a second binding of the same bytes where aliasing is off;
//  - wrong_state for destroying, releasing, mapping or changing the access of what a bind or copy that has
//    not passed still concerns;
//  - wrong_state for releasing what is still mapped by map(); map() and its kind: invalid_size for 0,
//    unknown_address outside all reservations, invalid_argument where the range leaves its reservation, and
//    wrong_state where it is not bound or, for the last three, not mapped;
//  - invalid_argument for a point that it has not answered yet;
//  - device_lost, for good, where the OS refused a bind after its call had returned, or refused to take a
//    failed batch back: what is mapped is no longer known.
class Backend final : public vaspace::Backend {
 public:
  // Errors: invalid_configuration, out_of_host_memory, io_error (native: errno of memfd_create).
  [[nodiscard]] static Result<HostObject<Backend>> create(const BackendConfig& config) noexcept;

  struct State;
  explicit Backend(HostObject<State> state) noexcept;  // create() makes them
  // Gives back whatever is still held; pointers into it are void.
  ~Backend() override;

  // What config.max_mappings limits: mappings in all reservations, as the kernel counts them if no two
  // reservations touch.
  [[nodiscard]] std::uint64_t mappings_held() const noexcept;

  [[nodiscard]] const DeviceProfile& profile() const noexcept override;
  [[nodiscard]] Result<Budget> budget(std::uint32_t heap) noexcept override;
  [[nodiscard]] Result<Bytes> measured_physical() noexcept override;
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
  [[nodiscard]] Result<std::byte*> map(Address address, Bytes size) noexcept override;
  [[nodiscard]] Result<void> unmap(Address address, Bytes size) noexcept override;
  [[nodiscard]] Result<void> flush(Address address, Bytes size) noexcept override;
  [[nodiscard]] Result<void> invalidate(Address address, Bytes size) noexcept override;
  [[nodiscard]] Result<bool> completed(TimelinePoint point) noexcept override;
  [[nodiscard]] Result<void> wait(TimelinePoint point, std::uint64_t timeout_ns) noexcept override;

 private:
  HostObject<State> state_;
};

}  // namespace vaspace::cpu
