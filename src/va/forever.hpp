// How long the layer waits for the driver: until it is done.
#pragma once

#include <cstdint>

namespace vaspace::va_detail {

inline constexpr std::uint64_t kForever = ~std::uint64_t{0};

}  // namespace vaspace::va_detail
