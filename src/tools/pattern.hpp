// What an allocation is filled with, so that any foreign or lost byte in it shows.
//
// Always true: the pattern depends on the seed and on the position, so that neither another allocation's
// bytes nor its own, moved, pass for it; a length that is no multiple of 8 is covered to its last byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace vaspace::tools {

// An allocation's own seed from its number in the trace.
[[nodiscard]] std::uint64_t pattern_seed(std::uint64_t number) noexcept;

void fill_pattern(std::span<std::byte> memory, std::uint64_t seed) noexcept;

// The first byte that is not as fill_pattern left it. Memory speed where all is well.
[[nodiscard]] std::optional<std::size_t> find_damage(std::span<const std::byte> memory,
                                                     std::uint64_t seed) noexcept;

}  // namespace vaspace::tools
