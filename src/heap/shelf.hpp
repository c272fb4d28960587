// One arena allocator of a heap, with the device that it takes its memory from.
#pragma once

#include <optional>

#include "vaspace/arena/arena_allocator.hpp"

#include "heap/shelf_device.hpp"

namespace vaspace {

// Where memory comes in blocks, arenas serve what is small, and their reservations are windows of slices.
inline constexpr std::array<SizeClass, 6> kSliceClasses{{
    {512_B, 2_MiB, Strategy::slab},
    {1_KiB, 2_MiB, Strategy::slab},
    {2_KiB, 4_MiB, Strategy::slab},
    {4_KiB, 8_MiB, Strategy::slab},
    {64_KiB, 32_MiB, Strategy::object},
    {2_MiB, 64_MiB, Strategy::object},
}};

template <class Policy>
struct Shelf {
  explicit Shelf(std::uint32_t type) noexcept : memory_type(type) {}

  std::uint32_t memory_type;
  std::uint16_t number = 0;
  std::optional<SliceDevice> slices;
  std::optional<PageDevice> pages;
  std::optional<BasicArenaAllocator<Policy>> arena;
};

}  // namespace vaspace
