// The first digit of the order (size, offset): sizes below 512 units have a bin each, above that every power
// of two is cut into 16 bins.
//
// Always true: bins rise with size; a bin's sizes differ only in their lowest low_bits(bin) bits.
#pragma once

#include <bit>
#include <cstdint>

namespace vaspace::size_bins {

inline constexpr unsigned kMantissaBits = 4;
inline constexpr unsigned kExactBits = 9;
inline constexpr std::uint32_t kExactBins = 1U << kExactBits;
inline constexpr std::uint32_t kCount = kExactBins + ((32 - kExactBits) << kMantissaBits);

// Bits in which two sizes of a bin can differ.
[[nodiscard]] constexpr unsigned low_bits(std::uint32_t bin) noexcept {
  if (bin < kExactBins) return 0;
  return ((bin - kExactBins) >> kMantissaBits) + kExactBits - kMantissaBits;
}

[[nodiscard]] constexpr std::uint32_t bin_of(std::uint32_t size) noexcept {
  if (size < kExactBins) return size;
  const auto low = static_cast<unsigned>(std::bit_width(size)) - kMantissaBits - 1;
  const std::uint32_t mantissa = (size >> low) & ((1U << kMantissaBits) - 1);
  return kExactBins + ((low - (kExactBits - kMantissaBits)) << kMantissaBits) + mantissa;
}

static_assert(bin_of(511) == 511 && bin_of(512) == 512 && bin_of(543) == 512 && bin_of(544) == 513);
static_assert(bin_of(1023) == 527 && bin_of(1024) == 528 && low_bits(512) == 5 && low_bits(528) == 6);
static_assert(bin_of(~std::uint32_t{0}) == kCount - 1);

}  // namespace vaspace::size_bins
