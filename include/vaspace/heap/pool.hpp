// Pools: memory set apart, of one chosen type, cut up in one chosen way, within limits of its own.
//
// Always true: what a pool hands out lies in its own blocks and nowhere else; it never holds more than
// `limit`; resources of different kinds in it never share a page of bufferImageGranularity (V1), and in
// non-coherent memory no two allocations share an atom (V13).
#pragma once

#include <cstdint>
#include <string_view>

#include "vaspace/heap/heap_allocation.hpp"

namespace vaspace {

enum class PoolStrategy : std::uint8_t {
  object,  // any size, best fit
  slab,    // equal slots of `slot_size`
  linear,  // a bump over one block; it starts over when everything in it has been freed
  ring,    // in order over one block; what is freed comes back when all that is older has been freed
};

struct PoolConfig {
  PoolStrategy strategy = PoolStrategy::object;
  // The type; kByIntent: the best one for `intent`, `mapping` and `type_bits`.
  static constexpr std::uint32_t kByIntent = ~0U;
  std::uint32_t memory_type = kByIntent;
  Intent intent = Intent::device;
  Mapping mapping = Mapping::none;  // required: all of it is mapped from the beginning
  std::uint32_t type_bits = ~0U;
  // Of each block; raised to what a request needs, where the strategy is object. 0: as the heap's own grow.
  // Of linear and ring: the whole pool, not 0.
  Bytes block_size{};
  Bytes limit = kMaxBytes;      // bytes of blocks that it may hold
  Bytes slot_size{};            // slab: a multiple of 256 up to 64 KiB
  bool mixes_kinds = true;      // false: the caller puts one kind into it, and no padding is spent on V1
  bool device_address = false;  // V9
  float priority = 0.5F;
  Bytes keep = 0_B;  // empty blocks that collect leaves it
  BudgetPolicy budget = BudgetPolicy::may_exceed;
  std::string_view name{};  // copied
};

struct PoolReport {
  PoolStrategy strategy{};
  std::uint32_t memory_type = 0;
  std::uint32_t blocks = 0;
  std::uint64_t allocations = 0;
  Bytes live{};             // asked for
  Bytes used{};             // handed out for it
  Bytes committed{};        // of its blocks
  std::string_view name{};  // valid until the pool is destroyed
};

}  // namespace vaspace
