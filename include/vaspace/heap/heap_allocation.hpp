// What a heap is asked for, and what it hands out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "vaspace/arena/allocation.hpp"
#include "vaspace/device/backend.hpp"
#include "vaspace/heap/memory_intent.hpp"

namespace vaspace {

// As the driver states them for a resource.
struct MemoryRequirements {
  Bytes size{};
  Alignment alignment{};
  std::uint32_t memory_type_bits = ~0U;
};

// How the resource lies in memory (V2): what its neighbours have to know.
enum class ResourceKind : std::uint8_t {
  linear,   // buffers; images of linear tiling
  optimal,  // images of optimal tiling
  unknown,  // plain memory that may become either, or both at once: keeps away from every neighbour
};

enum class DedicatedWish : std::uint8_t { none, preferred, required };

// The resource that dedicated memory is for (V8); its class is MemoryTraits::Dedicated's.
struct DedicatedResource {
  MemoryTraits::Dedicated type = MemoryTraits::Dedicated::none;
  std::uint64_t handle = 0;  // the driver's
};

// What a request may do to the budget (V16).
enum class BudgetPolicy : std::uint8_t {
  may_exceed,  // what is unused is given back first; then the driver decides
  within,      // out_of_device_memory rather than one byte above it
};

// Names a pool; the default names none: the heap's own blocks.
struct PoolId {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;

  [[nodiscard]] constexpr explicit operator bool() const noexcept { return generation != 0; }
  friend constexpr bool operator==(PoolId, PoolId) noexcept = default;
};

struct HeapRequest {
  MemoryRequirements requirements{};
  Intent intent = Intent::device;
  ResourceKind kind = ResourceKind::unknown;  // whoever knows better shares more
  Mapping mapping = Mapping::none;
  bool coherent = false;
  // An exportable request, and one too large to share, has a memory object of its own. With a resource, that
  // object is dedicated to it, where the device can; without, it is just alone in it.
  DedicatedWish dedicated = DedicatedWish::none;
  DedicatedResource resource{};
  bool device_address = false;  // the address will be asked for: V9; never moved
  bool exportable = false;      // Heap::export_memory
  bool movable = false;         // Heap::plan_moves may move it ...
  std::uint8_t mover = 0;       // ... for a MoveBudget of the same mover; 255 is a frontend's own
  // Heap::alias may give it a second owner, of any kind: it is placed as `unknown`, and dedicated to its
  // resource only where that is required, which then leaves nothing to alias.
  bool aliasable = false;
  BudgetPolicy budget = BudgetPolicy::may_exceed;
  float priority = 0.5F;  // 0 to 1, told to the driver in eighths: blocks are shared by equals only
  PoolId pool{};
  std::string_view name{};      // copied
  std::uint64_t user_data = 0;  // 0 is none
};

// The handle, and all there is to know about where the memory lies. Copying it copies no memory.
struct HeapAllocation {
  // The backend's. Where memory comes in blocks it is inside the block's reservation.
  Address address{};
  Bytes size{};  // asked for
  AllocationId id{};
  std::uint32_t block = 0;  // the heap's number of the block; 0 where pages are bound behind addresses
  std::uint16_t shelf = 0;  // who placed it; the heap's own
  std::uint8_t memory_type = 0;
  std::uint64_t native = 0;     // the block in the driver's terms (VkDeviceMemory); 0 where it has none
  Bytes offset{};               // in the block: what a resource is bound at
  std::byte* mapped = nullptr;  // where the host sees its first byte; null: not mapped

  [[nodiscard]] constexpr Address end() const noexcept { return address + size; }
  // Default-constructed ones name nothing.
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return size != Bytes{}; }
};

struct HeapAllocationInfo {
  HeapAllocation allocation{};
  Bytes used{};  // taken for it
  ResourceKind kind = ResourceKind::linear;
  bool dedicated = false;   // alone in its memory object
  std::string_view name{};  // valid during the call that gives it, or until the allocation is freed
  std::uint64_t user_data = 0;
};

}  // namespace vaspace
