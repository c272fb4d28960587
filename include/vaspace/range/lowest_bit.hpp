// The place of the lowest bit of a word that is not zero. std::countr_zero has an answer for zero too, which
// costs two instructions where the machine to compile for may have none that knows it.
#pragma once

#include <bit>
#include <cassert>
#include <cstdint>

namespace vaspace {

[[nodiscard]] inline std::uint32_t lowest_bit(std::uint64_t bits) noexcept {
  assert(bits != 0);
#if defined(__GNUC__)
  return static_cast<std::uint32_t>(__builtin_ctzll(bits));
#else
  return static_cast<std::uint32_t>(std::countr_zero(bits));
#endif
}

}  // namespace vaspace
