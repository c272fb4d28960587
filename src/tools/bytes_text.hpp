// Byte counts as people write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "vaspace/base/units.hpp"

namespace vaspace::tools {

// "65536", "64K", "64KiB", "2MiB", "1g": digits, then nothing or one of K, M, G, T with or without "iB", in
// any case; all are powers of 1024. Nothing where it is none of these or passes 2^64 - 1.
[[nodiscard]] std::optional<Bytes> parse_bytes(std::string_view text);

// "64.0 KiB", "258.1 MiB", "17 B".
[[nodiscard]] std::string bytes_text(Bytes bytes);

}  // namespace vaspace::tools
