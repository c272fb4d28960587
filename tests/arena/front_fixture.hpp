// Arenas with slabs for most sizes, and what their fronts hold.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/device/address_backend.hpp"

namespace vaspace::test {

inline HostObject<AddressBackend> addresses(bool paged = false) {
  static constexpr std::array<Bytes, 1> kPages{64_KiB};
  AddressBackendConfig config{.physical_size = 4_GiB};
  if (paged) config.page_sizes = kPages;
  return std::move(*AddressBackend::create(config));
}

template <class A>
A open_tuned(Backend& backend, ArenaConfig config = {}) {
  config.classes = kTunedSizeClasses;
  return std::move(*A::create(backend, config));
}

inline std::uint64_t parked(const AllocatorReport& report) {
  std::uint64_t slots = 0;
  for (const ArenaReport& arena : report.arenas)
    slots += arena.parked;
  return slots;
}
inline std::uint64_t acquisitions(const AllocatorReport& report) {
  std::uint64_t locks = 0;
  for (const ArenaReport& arena : report.arenas)
    locks += arena.lock_acquisitions;
  return locks;
}

// A free and an allocation of the same size class, over and over, in every slab class.
template <class A>
void pairs(A& arenas, int count) {
  std::vector<AllocationId> live;
  for (const SizeClass& one : kTunedSizeClasses) {
    if (one.strategy == Strategy::slab) live.push_back(arenas.allocate({.size = one.max_size})->id);
  }
  for (int i = 0; i < count; ++i) {
    for (std::size_t k = 0; k < live.size(); ++k) {
      arenas.free(live[k]);
      live[k] = arenas.allocate({.size = kTunedSizeClasses[k].max_size})->id;
    }
  }
  for (const AllocationId id : live)
    arenas.free(id);
}

}  // namespace vaspace::test
