// A tag by which an allocator tells its own handles from another's (R6), without global state.
#pragma once

#include <cstdint>

namespace vaspace {

// Mixed from the host address of the allocator's state, which no two living allocators share. Only handles
// depend on it, never placement (R9). Two allocators have equal low 16 bits with probability 2^-15.
[[nodiscard]] inline std::uint32_t identity_of(const void* state) noexcept {
  auto x = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(state));
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
  return static_cast<std::uint32_t>(x ^ (x >> 31U)) | 1U;
}

}  // namespace vaspace
