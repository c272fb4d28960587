// What lies behind a range of addresses, and the map of a whole address space.
//
//   addresses   |--A:0--|--A:4--|....|==N==|          A:0 and A:4 continue each other: one mapping
//   map         |-----A:0-------|    |==N==|
//
// Always true of a map: mappings do not overlap; two that touch and continue each other are one; a mapping of
// memory says which object and which byte of it lies behind its first address.
#pragma once

#include <cstdint>

#include "vaspace/device/backend.hpp"
#include "vaspace/range/interval_map.hpp"

namespace vaspace {

enum class Backing : std::uint8_t {
  memory,            // of a physical object
  read_only_memory,  // the same, and nobody writes through these addresses (capabilities.set_access)
  null,              // nothing: reads give zeros (capabilities.null_binds)
  sparse,            // not yet anything: the addresses are spoken for, and the driver knows nothing of it
};

struct Mapping {
  PhysicalId physical{};  // of memory; else none
  Bytes offset{};         // of the first byte in it; else 0
  Backing backing = Backing::memory;

  [[nodiscard]] constexpr bool has_memory() const noexcept {
    return backing == Backing::memory || backing == Backing::read_only_memory;
  }
  // Whether the driver is asked for it.
  [[nodiscard]] constexpr bool bound() const noexcept { return backing != Backing::sparse; }
  // What lies `distance` further on.
  [[nodiscard]] constexpr Mapping advanced(Bytes distance) const noexcept {
    return {physical, has_memory() ? offset + distance : Bytes{}, backing};
  }
  friend constexpr bool operator==(const Mapping&, const Mapping&) noexcept = default;
};

struct MappingContinues {
  static Mapping advance(const Mapping& mapping, std::uint64_t n) noexcept {
    return mapping.advanced(Bytes{n});
  }
  static bool continues(const Mapping& left, std::uint64_t length, const Mapping& right) noexcept {
    return left.advanced(Bytes{length}) == right;
  }
};

// O(log n) per look-up and per change, in the number of mappings.
using AddressMap = IntervalMap<Mapping, MappingContinues>;

// A mapping where it lies.
struct MappedRange {
  Address address{};
  Bytes size{};
  Mapping mapping{};

  [[nodiscard]] constexpr Address end() const noexcept { return address + size; }
  friend constexpr bool operator==(const MappedRange&, const MappedRange&) noexcept = default;
};

struct MapRequest {
  Address address{};
  Bytes size{};
  PhysicalId physical{};
  Bytes offset{};
  Backing backing = Backing::memory;

  [[nodiscard]] constexpr Mapping mapping() const noexcept { return {physical, offset, backing}; }
};

}  // namespace vaspace
