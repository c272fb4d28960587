// A Result that goes back in registers.
//
// A compiler that puts a tl::expected together in memory (g++ 12 does) stores its parts and loads the whole;
// such a load waits until the stores have left the core: more than half the time of a pair that the stream's
// cache serves. Made of whole words it goes to the registers. Where tl::expected is laid out otherwise, no
// allocator is made (is_laid_out_as_thought).
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "vaspace/base/result.hpp"
#include "vaspace/base/units.hpp"

namespace vaspace::cuda {

// The value or error first, then whether it is a value, as tl::expected has them.
[[nodiscard]] inline Result<Address> in_registers(Address value) noexcept {
  if constexpr (sizeof(Result<Address>) == 16 && std::endian::native == std::endian::little) {
    return std::bit_cast<Result<Address>>(std::array<std::uint64_t, 2>{value.value, 1});
  } else {
    return value;
  }
}
[[nodiscard]] inline Result<void> in_registers() noexcept {
  if constexpr (sizeof(Result<void>) == 12 && std::endian::native == std::endian::little) {
    return std::bit_cast<Result<void>>(std::array<std::uint32_t, 3>{0, 0, 1});
  } else {
    return {};
  }
}

[[nodiscard]] inline bool is_laid_out_as_thought() noexcept {
  const Result<Address> address = in_registers(Address{256});
  return address.has_value() && *address == Address{256} && in_registers().has_value();
}

}  // namespace vaspace::cuda
