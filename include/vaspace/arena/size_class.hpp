// Which arena serves which size: a table, as data.
//
// Always true of a table that validates: classes rise strictly; a reservation holds at least one allocation
// of its class; slab classes hold at most 64 KiB, and one of 64 KiB has a smaller class below it; only the
// last class may be unlimited.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "vaspace/base/result.hpp"
#include "vaspace/base/units.hpp"

namespace vaspace {

enum class Strategy : std::uint8_t { slab, object };

struct SizeClass {
  Bytes max_size{};     // allocations up to this; kMaxBytes: of any size
  Bytes reservation{};  // of each reservation; 0: the device's physical memory size
  Strategy strategy = Strategy::object;
};

inline constexpr std::uint32_t kMaxSizeClasses = 30;

// The standard table of eight arenas.
inline constexpr std::array<SizeClass, 8> kStandardSizeClasses{{
    {512_B, 2_MiB, Strategy::slab},
    {1_KiB, 2_MiB, Strategy::slab},
    {2_KiB, 4_MiB, Strategy::slab},
    {4_KiB, 8_MiB, Strategy::object},
    {64_KiB, 32_MiB, Strategy::object},
    {2_MiB, 64_MiB, Strategy::object},
    {32_MiB, 512_MiB, Strategy::object},
    {kMaxBytes, {}, Strategy::object},
}};

// For speed: slabs up to 64 KiB, two to every doubling, so that nearly every allocation of a renderer is a
// slot. What it costs is memory: each class that is used has a page of its own that is partly empty, so that
// a program below some hundred megabytes is better off with the standard table (docs/performance.md).
inline constexpr std::array<SizeClass, 19> kTunedSizeClasses{{
    {256_B, 2_MiB, Strategy::slab},    {512_B, 2_MiB, Strategy::slab},    {768_B, 2_MiB, Strategy::slab},
    {1_KiB, 2_MiB, Strategy::slab},    {1536_B, 4_MiB, Strategy::slab},   {2_KiB, 4_MiB, Strategy::slab},
    {3_KiB, 8_MiB, Strategy::slab},    {4_KiB, 8_MiB, Strategy::slab},    {6_KiB, 16_MiB, Strategy::slab},
    {8_KiB, 16_MiB, Strategy::slab},   {12_KiB, 32_MiB, Strategy::slab},  {16_KiB, 32_MiB, Strategy::slab},
    {24_KiB, 64_MiB, Strategy::slab},  {32_KiB, 64_MiB, Strategy::slab},  {48_KiB, 64_MiB, Strategy::slab},
    {64_KiB, 64_MiB, Strategy::slab},  {2_MiB, 64_MiB, Strategy::object}, {32_MiB, 512_MiB, Strategy::object},
    {kMaxBytes, {}, Strategy::object},
}};

// Errors: invalid_configuration.
[[nodiscard]] Result<void> validate_size_classes(std::span<const SizeClass> classes) noexcept;

// The class of a size by one table look-up and, where classes are no powers of two, a step or two more.
class SizeClassIndex {
 public:
  SizeClassIndex() noexcept = default;
  // `classes` has been validated.
  explicit SizeClassIndex(std::span<const SizeClass> classes) noexcept;

  // The first class that holds `size` (at least 1) at `alignment` (valid); one past the last where none does.
  // An alignment that not every slot of a slab has selects the first object class that holds the size.
  [[nodiscard]] std::uint32_t choose(Bytes size, Alignment alignment) const noexcept {
    std::uint32_t k = first_[static_cast<unsigned>(std::bit_width(size.value - 1))];
    while (max_[k] < size.value)
      ++k;
    return alignment.value <= alignment_[k] ? k : choose_object(k);
  }

 private:
  [[nodiscard]] std::uint32_t choose_object(std::uint32_t k) const noexcept;

  std::array<std::uint8_t, 65> first_{};  // by bit width of size - 1
  std::array<std::uint64_t, kMaxSizeClasses + 1> max_{};
  std::array<std::uint64_t, kMaxSizeClasses + 1>
      alignment_{};  // every slot's, for slabs; unlimited otherwise
};

}  // namespace vaspace
