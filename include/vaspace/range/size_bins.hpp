// The first digit of the radix order by size: sizes below 64 units have a bin each, above that every power of
// two is cut into 32 bins.
//
// Always true: bins rise with size; a bin's sizes differ only in their lowest low_bits(bin) bits.
#pragma once

#include <bit>
#include <cstdint>

namespace vaspace::size_bins {

inline constexpr unsigned kMantissaBits = 5;
inline constexpr std::uint32_t kExactBins = 1U << (kMantissaBits + 1);
inline constexpr std::uint32_t kCount = kExactBins + ((32 - kMantissaBits - 1) << kMantissaBits);

// Bits in which two sizes of a bin can differ.
[[nodiscard]] constexpr unsigned low_bits(std::uint32_t bin) noexcept {
  return bin < kExactBins ? 0 : ((bin - kExactBins) >> kMantissaBits) + 1;
}

[[nodiscard]] constexpr std::uint32_t bin_of(std::uint32_t size) noexcept {
  if (size < kExactBins) return size;
  const auto low = static_cast<unsigned>(std::bit_width(size)) - kMantissaBits - 1;
  const std::uint32_t mantissa = (size >> low) & ((1U << kMantissaBits) - 1);
  return kExactBins + ((low - 1) << kMantissaBits) + mantissa;
}

static_assert(bin_of(63) == 63 && bin_of(64) == 64 && bin_of(65) == 64 && bin_of(66) == 65);
static_assert(bin_of(~std::uint32_t{0}) == kCount - 1);

}  // namespace vaspace::size_bins
