// What is measured: streams of operations, made ahead of timing and the same for every subject.
//
// Always true of a workload: a handle is allocated before it is freed, and freed before it is allocated
// again; a pass leaves live what it found live, so that passes can be repeated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vaspace/base/units.hpp"

namespace vaspace::tools::bench {

// 8 bytes, because the stream goes through the same caches as the subject.
struct Operation {
  std::uint32_t handle;         // which of the caller's handles
  std::uint32_t size : 27;      // 0: a free
  std::uint32_t alignment : 5;  // its log2
};

inline constexpr unsigned kPlainAlignment = 8;  // log2 of 256 bytes

// `size` is in [1, 2^27).
[[nodiscard]] constexpr Operation allocation(std::uint32_t handle, std::uint32_t size,
                                             unsigned alignment_log2 = kPlainAlignment) {
  return {handle, size & ((1U << 27U) - 1), alignment_log2 & 31U};
}
[[nodiscard]] constexpr Operation freeing(std::uint32_t handle) {
  return {handle, 0, 0};
}

enum class Kind : std::uint8_t {
  allocate,  // only allocations
  free,      // only frees
  pair,      // each operation frees its handle and allocates it anew
  mixed,     // as each operation's size says
};

struct Phase {
  Kind kind = Kind::mixed;
  std::vector<Operation> operations{};
  // Operations timed together; 0: the phase is not timed.
  std::uint32_t batch = 0;
  // Batch k adds to sample first_sample + k of its pass: a pair may consist of two phases.
  std::uint32_t first_sample = 0;
};

using Pass = std::vector<Phase>;

enum class Unit : std::uint8_t { pair, op, allocate, free, find };

// What a row of the results is about. Empty: does not apply.
struct WorkloadKey {
  std::string workload{};
  std::string mode{};
  std::uint64_t live = 0;  // at the most (W1 to W3), or when timing begins
  std::string order{};
  unsigned threads = 1;
};

struct Workload {
  WorkloadKey key;
  Unit unit = Unit::op;
  Bytes heap{};               // what a subject manages
  std::uint32_t handles = 0;  // all are below this
  std::uint32_t largest = 0;  // size
  Bytes footprint{};          // bytes live at the most
  bool one_size = false;
  Pass setup;                // once per subject, untimed
  std::vector<Pass> passes;  // taken in turn
};

[[nodiscard]] const char* name_of(Unit unit);

enum class Order : std::uint8_t { in_order, reverse, shuffled };
[[nodiscard]] const char* name_of(Order order);
inline constexpr Order kOrders[] = {Order::in_order, Order::reverse, Order::shuffled};

// The order in which `count` things are freed.
[[nodiscard]] std::vector<std::uint32_t> order_of(Order order, std::uint32_t count, std::uint64_t seed);

// W1 to W3: `count` of one size, allocated, then freed in an order; `repeats` times a pass.
[[nodiscard]] Workload size_class_workload(const char* name, std::uint32_t size, std::uint32_t count,
                                           Order order, std::uint32_t repeats, std::uint64_t seed);
// W4: sizes log-uniform 256 B to 32 MiB, 70 % of 4 GiB.
[[nodiscard]] Workload churn_workload(std::uint32_t operations, std::uint64_t seed);
// Log-uniform from one size to the other.
struct PairSizes {
  const char* mode;
  std::uint32_t from;
  std::uint32_t to;
};
inline constexpr PairSizes kSamePairs{"same", 1024, 1024};
inline constexpr PairSizes kMixedPairs{"mixed", 256, 4096};
// Free and allocate again, with `live` allocations. Enough passes that every handle is met, but no more than
// `most_passes`.
[[nodiscard]] Workload pair_workload(const char* name, const PairSizes& sizes, std::uint32_t live,
                                     std::uint32_t pairs_per_pass, std::uint32_t most_passes,
                                     std::uint64_t seed);
// W8: kSamePairs or kMixedPairs.
[[nodiscard]] Workload pair_workload(bool mixed, std::uint32_t live, std::uint32_t pairs_per_pass,
                                     std::uint64_t seed);

}  // namespace vaspace::tools::bench
