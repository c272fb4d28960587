// What a device is and what its driver can do, as data (DESIGN: "a capability is data, not an #ifdef").
//
// Always true: a profile does not change during the life of its backend; page sizes are powers of two in
// rising order; every memory type names an existing heap.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "vaspace/base/units.hpp"

namespace vaspace {

inline constexpr std::uint32_t kMaxHeaps = 16;
inline constexpr std::uint32_t kMaxMemoryTypes = 32;
inline constexpr std::uint32_t kMaxPageSizes = 4;
inline constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

struct MemoryHeap {
  Bytes size{};
  bool device_local = true;
};

struct MemoryType {
  std::uint32_t heap = 0;
  bool device_local = true;
  bool host_visible = false;
  bool host_coherent = false;
  bool host_cached = false;
  bool lazily_allocated = false;
  bool protected_memory = false;
  std::uint32_t native_flags = 0;  // VkMemoryPropertyFlags where there are any
};

struct Capabilities {
  // Reservations and pages are separate, and bind() puts a page behind an address. Off: plain Vulkan, and an
  // address-only backend that commits nothing.
  bool bind = false;
  // reserve() takes physical memory for the whole reservation at once (plain Vulkan). Never together with
  // `bind`.
  bool reserve_commits = false;
  // An unbind may cover a part of what one bind put there (not on CUDA, C8).
  bool partial_unbind = false;
  // A bind may begin inside its physical object (not on CUDA, C4).
  bool physical_offset = false;
  // One page may be bound at two addresses at once (V29).
  bool aliasing = false;
  // A bind may take the place of what is bound, in one step (BindOp::replace).
  bool replace = false;
  // Addresses can be bound to nothing: reads give zeros (BindOp::null).
  bool null_binds = false;
  // bind() and copy() may answer with a point that is not yet complete.
  bool completes_later = false;
  // What is bound can be read and written by the host at its address, without map().
  bool host_addressable = false;
  // map() works on memory of host-visible types.
  bool map = false;
  bool copy = false;
  bool set_access = false;
  bool external_memory = false;
  // What MemoryTraits asks for, where reserve_commits.
  bool dedicated = false;
  bool device_address = false;
  // Physical memory can be measured rather than computed: Backend::measured_physical().
  bool measures_physical = false;
  // Mappings that a process may hold, counted as the OS counts them (merged neighbours are one); kUnlimited
  // where nothing counts them.
  std::uint64_t max_mappings = kUnlimited;
  // Reservations that may be held at once (maxMemoryAllocationCount where reserve_commits).
  std::uint64_t max_reservations = kUnlimited;
  // The largest single reservation.
  Bytes max_reservation_size = kMaxBytes;
};

struct DeviceProfile {
  std::array<char, 64> name{};  // null-terminated
  std::uint32_t heap_count = 0;
  std::array<MemoryHeap, kMaxHeaps> heaps{};
  std::uint32_t memory_type_count = 0;
  std::array<MemoryType, kMaxMemoryTypes> memory_types{};
  // Units of physical memory; none where `bind` is off.
  std::uint32_t page_size_count = 0;
  std::array<Bytes, kMaxPageSizes> page_sizes{};
  // Memory types that pages can be of, one bit each: of others create_physical makes none that could be
  // bound.
  std::uint32_t pageable_types = ~std::uint32_t{0};
  // Every reservation's address and size are multiples of this, whatever is asked for.
  Bytes reservation_granularity{};
  Capabilities capabilities{};

  [[nodiscard]] std::span<const Bytes> pages() const noexcept { return {page_sizes.data(), page_size_count}; }
  [[nodiscard]] bool pages_of(std::uint32_t type) const noexcept {
    return type < memory_type_count && (pageable_types >> type & 1U) != 0;
  }
  [[nodiscard]] bool offers_page(Bytes size) const noexcept {
    for (const Bytes page : pages()) {
      if (page == size) return true;
    }
    return false;
  }
};

}  // namespace vaspace
