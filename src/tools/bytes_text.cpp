#include "bytes_text.hpp"

#include <array>
#include <cctype>
#include <charconv>
#include <fmt/format.h>

namespace vaspace::tools {

namespace {

std::optional<unsigned> shift_of(std::string_view suffix) {
  constexpr std::string_view kUnits = "kmgt";
  if (suffix.empty()) return 0;
  std::string lower;
  for (const char c : suffix)
    lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const std::size_t unit = kUnits.find(lower.front());
  if (unit == std::string_view::npos || (lower.size() != 1 && lower.substr(1) != "ib")) return std::nullopt;
  return 10 * static_cast<unsigned>(unit + 1);
}

}  // namespace

std::optional<Bytes> parse_bytes(std::string_view text) {
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  const auto shift = shift_of(text.substr(static_cast<std::size_t>(stop - text.data())));
  if (!shift || number > (kMaxBytes.value >> *shift)) return std::nullopt;
  return Bytes{number << *shift};
}

std::string bytes_text(Bytes bytes) {
  constexpr std::array<const char*, 5> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1_KiB) return fmt::format("{} B", bytes.value);
  double number = static_cast<double>(bytes.value) / 1024;
  std::size_t unit = 0;
  for (; number >= 1024 && unit + 1 < kUnits.size(); ++unit)
    number /= 1024;
  return fmt::format("{:.1f} {}", number, kUnits[unit]);
}

}  // namespace vaspace::tools
