// What ArenaAllocator and DefaultAllocator are made of: the calls, and the state behind them.
//
// Always true:
//  - Live allocations never overlap, lie at their alignment, and what the backend can bind is bound behind
//    all of each.
//  - An allocate that fails has changed nothing: live allocations, their contents and names, used bytes;
//    reserved and committed may only have fallen (R7).
//  - free neither fails nor asks for host memory nor calls the driver; collect and flush give back.
//  - The same calls give the same addresses on every run (R9), as far as the backend's reservations do.
//
// Thread-safety: Policy says. Destroying and moving are the owner's to order.
#pragma once

#include "vaspace/arena/allocation.hpp"
#include "vaspace/arena/lock_policy.hpp"
#include "vaspace/base/host_object.hpp"
#include "vaspace/device/backend.hpp"

namespace vaspace {

template <class Policy>
class AllocatorCore;

template <class Policy>
class BasicAllocator {
 public:
  // What is moved from can only be destroyed or assigned to (R10).
  BasicAllocator(BasicAllocator&& other) noexcept;
  BasicAllocator& operator=(BasicAllocator&& other) noexcept;
  BasicAllocator(const BasicAllocator&) = delete;
  BasicAllocator& operator=(const BasicAllocator&) = delete;
  // Gives everything back to the backend. What is still live is reported to config.on_leak first.
  ~BasicAllocator();

  // Errors: invalid_size, invalid_alignment, too_large, out_of_space, out_of_host_memory,
  // out_of_device_memory, out_of_address_space, out_of_mappings, or what the driver said. Cost: that of the
  // strategy; where a reservation or a page is missing, driver calls, made under no lock that another
  // thread's allocate needs (T2).
  [[nodiscard]] Result<Allocation> allocate(const AllocationRequest& request) noexcept;

  // A handle or address that is not live is reported to config.on_misuse and nothing changes (R6). By handle:
  // unknown, foreign and stale ones are told. By address: unknown, interior and free ones are; a reused one
  // cannot be. The first free or find by address puts the live ranges of that arena in order, once.
  //
  // By id alone where 8 bytes are all that a caller keeps. By allocation its address is compared too, which
  // tells a handle of an allocator with the same history and, once in 2^16, the same tag.
  void free(const Allocation& allocation) noexcept;
  void free(AllocationId id) noexcept;
  void free(Address address) noexcept;
  // Errors: unknown_handle, stale_handle; unknown_address, interior_address.
  [[nodiscard]] Result<void> try_free(const Allocation& allocation) noexcept;
  [[nodiscard]] Result<void> try_free(AllocationId id) noexcept;
  [[nodiscard]] Result<void> try_free(Address address) noexcept;

  // Errors: unknown_address, interior_address.
  [[nodiscard]] Result<AllocationInfo> find(Address address) const noexcept;
  // Whether a present reservation holds it, or the device has room for another one that would, once what is
  // unused is given back. The driver may still refuse to bind pages to it. Where reserving commits, a no may
  // become a yes by flush().
  [[nodiscard]] bool can_allocate(const AllocationRequest& request) const noexcept;

  // What allocate would do with this request, and why not. Where it fails, flush comes first, so that nothing
  // is left to trim; what the tries take from the device goes back by flush too. An observer sees them.
  // Errors: invalid_size, invalid_alignment, out_of_host_memory. Some ten allocations, and an allocator that
  // is made and destroyed for each memory type.
  [[nodiscard]] Result<AllocationShortfall> explain(const AllocationRequest& request) noexcept;

  // A bounded step of giving back: empty pages above what is retained (ArenaConfig::retain), empty
  // reservations, and what the driver refused to take earlier. At most ArenaConfig::collect_step bytes of
  // pages. Waits for the unbinds that it asks for.
  void collect() noexcept;
  // Gives back every unused page and reservation.
  void flush() noexcept;

  // Calls visit for every live allocation, arena by arena, under its lock: it must not call back.
  // O(everything).
  void for_each(void (*visit)(void* user, const AllocationInfo& info) noexcept, void* user) const noexcept;
  // Consistent: no allocation is half in it. Takes every arena's lock in turn.
  [[nodiscard]] AllocatorReport report() const noexcept;
  // The total's figures alone.
  [[nodiscard]] Bytes live() const noexcept;
  [[nodiscard]] Bytes used() const noexcept;
  [[nodiscard]] Bytes reserved() const noexcept;
  [[nodiscard]] Bytes committed() const noexcept;
  // Checks what can be checked while no call is under way; nullptr, or what is wrong. O(everything).
  [[nodiscard]] const char* validate() const noexcept;

 protected:
  explicit BasicAllocator(HostObject<AllocatorCore<Policy>> core) noexcept;

  HostObject<AllocatorCore<Policy>> core_;
};

extern template class BasicAllocator<SingleThreaded>;
extern template class BasicAllocator<ThreadSafe>;

}  // namespace vaspace
