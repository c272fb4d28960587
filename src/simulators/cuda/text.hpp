// Words and figures out of configuration strings and profiles.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace vasim::cuda {

// "a;b;c" by ';' -> a, b, c. Empty pieces stay.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char by);

// Blanks at both ends removed.
[[nodiscard]] std::string_view trimmed(std::string_view text);

// A decimal number and nothing else.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);

// A number of bytes: "4096", "64 KiB", "2MiB", "8 GiB", "1 TiB".
[[nodiscard]] std::optional<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace vasim::cuda
