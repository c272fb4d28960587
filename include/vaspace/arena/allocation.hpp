// What the two VA allocators hand out, and what both can do.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>

#include "vaspace/base/result.hpp"
#include "vaspace/base/units.hpp"

namespace vaspace {

// 8 bytes: arena, slot or node, generation. 0 is none.
struct AllocationId {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;

  [[nodiscard]] constexpr std::uint64_t bits() const noexcept {
    return (std::uint64_t{generation} << 32U) | index;
  }
  friend constexpr bool operator==(const AllocationId&, const AllocationId&) noexcept = default;
};

struct Allocation {
  Address address{};
  Bytes size{};  // asked for
  AllocationId id{};

  [[nodiscard]] constexpr Address end() const noexcept { return address + size; }
};

struct AllocationRequest {
  Bytes size{};
  Alignment alignment{};
  std::string_view name{};      // copied; kept in a side table that exists from the first name on
  std::uint64_t user_data = 0;  // likewise; 0 is none
};

struct AllocationInfo {
  Allocation allocation{};
  Bytes used{};  // handed out for it: slot or granules
  std::uint8_t arena = 0;
  std::string_view name{};  // valid until the allocation is freed
  std::uint64_t user_data = 0;
};

// Why a request is refused, and what would let it succeed; each by a dry run of the allocation that it speaks
// of.
struct AllocationShortfall {
  Error error{};  // of the request as it is; none where it fits
  bool fits = false;
  Bytes largest{};               // so much of it would fit, to a sixty-fourth; 0: nothing of it
  bool alignment_helps = false;  // none
  // Another allocator of this configuration beside it: addresses are what it lacks.
  bool another_helps = false;
  bool other_type_helps = false;  // another allocator, of this memory type
  std::uint32_t other_type = 0;
  // What the heap has left under its budget, and what lies unused between allocations: of the addresses where
  // those ran out (out_of_space), else of the memory that is held. Where that is more than the size, frees of
  // neighbours are what makes room of it.
  Bytes left{};
  Bytes in_holes{};
};

// Size classes, and one more for allocations with a reservation of their own.
inline constexpr std::uint32_t kMaxArenas = 31;

// What was still allocated when its allocator was destroyed.
struct LeakHandler {
  void* user = nullptr;
  // Called once per leaked allocation, in the order of arenas and addresses. nullptr: the first sixteen are
  // printed on standard error, by name, and how many there are in all.
  void (*on_leak)(void* user, const AllocationInfo& leaked) noexcept = nullptr;
};

struct ArenaReport {
  Bytes max_size{};  // the class: allocations up to this
  bool slab = false;
  std::uint64_t live_allocations = 0;
  std::uint64_t under_way = 0;  // placed, but their pages are still being bound; not live yet
  std::uint64_t reservations = 0;
  std::uint64_t parked = 0;             // slots in threads' magazines: neither live nor free
  std::uint64_t lock_acquisitions = 0;  // of the arena's lock so far; 0 without one
  Bytes live{};                         // asked for
  Bytes used{};                         // slots, granules
  Bytes reserved{};   // address space; in the total the whole blocks, where arenas cut theirs out of blocks
  Bytes committed{};  // pages bound
};

// Words as DESIGN has them: live <= used <= reserved; committed is what is held from the device.
struct AllocatorReport {
  ArenaReport total{};
  Bytes pooled{};    // committed, but behind no address (part of total.committed)
  Bytes retained{};  // committed and empty, kept for the next allocation (part of total.committed)
  Bytes physical{};  // as the backend measures it; 0 where it cannot
  // Times that the driver refused to take something back; it is queued and tried again (R7).
  std::uint64_t refused_by_driver = 0;
  // Nodes that look-ups by address have looked at: at most AddressTracker::kLevels each.
  std::uint64_t address_visits = 0;
  std::uint32_t arena_count = 0;
  ArenaReport arenas[kMaxArenas]{};  // the last one used counts allocations with a reservation of their own
};

// What every test, benchmark and replay takes: ArenaAllocator (both lock policies) and DefaultAllocator.
template <class A>
concept VaAllocator = std::movable<A> && requires(A a, const A c, const AllocationRequest& request,
                                                  const Allocation& allocation, Address address) {
  // Errors: invalid_size, invalid_alignment, too_large, out_of_space, out_of_host_memory,
  // out_of_device_memory, out_of_address_space, out_of_mappings, or what the driver said. The state is then
  // as it was (R7).
  { a.allocate(request) } -> std::same_as<Result<Allocation>>;
  // A handle or address that is not live is misuse (R6). Neither fails nor asks for memory nor calls the
  // driver.
  { a.free(allocation) } -> std::same_as<void>;
  { a.free(address) } -> std::same_as<void>;
  { a.free(allocation.id) } -> std::same_as<void>;
  // The same, with an Error in place of misuse.
  { a.try_free(allocation) } -> std::same_as<Result<void>>;
  { a.try_free(allocation.id) } -> std::same_as<Result<void>>;
  { a.try_free(address) } -> std::same_as<Result<void>>;
  { c.find(address) } -> std::same_as<Result<AllocationInfo>>;
  { c.can_allocate(request) } -> std::same_as<bool>;
  // A bounded step of giving back what is empty; flush gives back all of it.
  { a.collect() } -> std::same_as<void>;
  { a.flush() } -> std::same_as<void>;
  { c.report() } -> std::same_as<AllocatorReport>;
  { c.validate() } -> std::same_as<const char*>;
};

}  // namespace vaspace
