// The first digit of the order (size, offset): sizes below 128 units have a bin each, above that every power
// of two is cut into 16 bins.
//
// Always true: bins rise with size; a bin's sizes differ only in their lowest low_bits(bin) bits.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace vaspace::size_bins {

inline constexpr unsigned kMantissaBits = 4;
inline constexpr unsigned kExactBits = 7;
inline constexpr std::uint32_t kExactBins = 1U << kExactBits;
inline constexpr std::uint32_t kCount = kExactBins + ((32 - kExactBits) << kMantissaBits);

// Bits in which two sizes of a bin can differ.
[[nodiscard]] constexpr unsigned low_bits(std::uint32_t bin) noexcept {
  if (bin < kExactBins) return 0;
  return ((bin - kExactBins) >> kMantissaBits) + kExactBits - kMantissaBits;
}

// By the width of a size: a table and no question, because which side of the border a size is on is a coin's
// toss where sizes are spread.
struct Group {
  std::uint16_t first;  // bin of the size 0 that would be in the group, if bins went on as they do in it
  std::uint16_t low;    // low_bits of its bins
};
inline constexpr std::array<Group, 33> kGroups = [] {
  std::array<Group, 33> groups{};
  for (unsigned width = kExactBits + 1; width < groups.size(); ++width) {
    const unsigned low = width - kMantissaBits - 1;
    const std::uint32_t bin = kExactBins + ((width - kExactBits - 1) << kMantissaBits);
    groups[width] = {static_cast<std::uint16_t>(bin - (1U << kMantissaBits)),
                     static_cast<std::uint16_t>(low)};
  }
  return groups;
}();

struct Place {
  std::uint32_t bin;
  unsigned low;  // low_bits(bin)
};
[[nodiscard]] constexpr Place place_of(std::uint32_t size) noexcept {
  const Group group = kGroups[static_cast<unsigned>(std::bit_width(size))];
  return {group.first + (size >> group.low), group.low};
}
[[nodiscard]] constexpr std::uint32_t bin_of(std::uint32_t size) noexcept {
  return place_of(size).bin;
}

// Bits in which two sizes of a bin can differ, at most.
inline constexpr unsigned kMaxLowBits = 32 - kMantissaBits - 1;

static_assert(bin_of(127) == 127 && bin_of(128) == 128 && bin_of(135) == 128 && bin_of(136) == 129);
static_assert(bin_of(255) == 143 && bin_of(256) == 144 && low_bits(128) == 3 && low_bits(144) == 4);
static_assert(bin_of(~std::uint32_t{0}) == kCount - 1 && low_bits(kCount - 1) == kMaxLowBits);

}  // namespace vaspace::size_bins
