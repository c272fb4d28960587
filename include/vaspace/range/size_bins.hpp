// The first digit of the order (size, offset): sizes below 128 units have a bin each, above that every power
// of two is cut into 16 bins.
//
// Always true: bins rise with size; a bin's sizes differ only in their lowest low_bits(bin) bits.
#pragma once

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

[[nodiscard]] constexpr std::uint32_t bin_of(std::uint32_t size) noexcept {
  if (size < kExactBins) return size;
  const auto low = static_cast<unsigned>(std::bit_width(size)) - kMantissaBits - 1;
  const std::uint32_t mantissa = (size >> low) & ((1U << kMantissaBits) - 1);
  return kExactBins + ((low - (kExactBits - kMantissaBits)) << kMantissaBits) + mantissa;
}

// Bits in which two sizes of a bin can differ, at most.
inline constexpr unsigned kMaxLowBits = 32 - kMantissaBits - 1;

static_assert(bin_of(127) == 127 && bin_of(128) == 128 && bin_of(135) == 128 && bin_of(136) == 129);
static_assert(bin_of(255) == 143 && bin_of(256) == 144 && low_bits(128) == 3 && low_bits(144) == 4);
static_assert(bin_of(~std::uint32_t{0}) == kCount - 1 && low_bits(kCount - 1) == kMaxLowBits);

}  // namespace vaspace::size_bins
