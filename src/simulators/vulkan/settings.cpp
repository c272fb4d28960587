#include "settings.hpp"

#include <charconv>
#include <utility>

namespace vasim {
namespace {

constexpr std::pair<std::string_view, VkResult> kResults[] = {
    {"VK_NOT_READY", VK_NOT_READY},
    {"VK_TIMEOUT", VK_TIMEOUT},
    {"VK_INCOMPLETE", VK_INCOMPLETE},
    {"VK_ERROR_OUT_OF_HOST_MEMORY", VK_ERROR_OUT_OF_HOST_MEMORY},
    {"VK_ERROR_OUT_OF_DEVICE_MEMORY", VK_ERROR_OUT_OF_DEVICE_MEMORY},
    {"VK_ERROR_INITIALIZATION_FAILED", VK_ERROR_INITIALIZATION_FAILED},
    {"VK_ERROR_DEVICE_LOST", VK_ERROR_DEVICE_LOST},
    {"VK_ERROR_MEMORY_MAP_FAILED", VK_ERROR_MEMORY_MAP_FAILED},
    {"VK_ERROR_EXTENSION_NOT_PRESENT", VK_ERROR_EXTENSION_NOT_PRESENT},
    {"VK_ERROR_FEATURE_NOT_PRESENT", VK_ERROR_FEATURE_NOT_PRESENT},
    {"VK_ERROR_TOO_MANY_OBJECTS", VK_ERROR_TOO_MANY_OBJECTS},
    {"VK_ERROR_FORMAT_NOT_SUPPORTED", VK_ERROR_FORMAT_NOT_SUPPORTED},
    {"VK_ERROR_FRAGMENTED_POOL", VK_ERROR_FRAGMENTED_POOL},
    {"VK_ERROR_UNKNOWN", VK_ERROR_UNKNOWN},
    {"VK_ERROR_OUT_OF_POOL_MEMORY", VK_ERROR_OUT_OF_POOL_MEMORY},
    {"VK_ERROR_INVALID_EXTERNAL_HANDLE", VK_ERROR_INVALID_EXTERNAL_HANDLE},
    {"VK_ERROR_FRAGMENTATION", VK_ERROR_FRAGMENTATION},
    {"VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS", VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS},
};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    if (end != 0) parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

bool read(std::string_view text, std::uint64_t& out) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && stop == end && !text.empty();
}

// "64", "64K", "64M", "1G".
bool read_bytes(std::string_view text, std::uint64_t& out) {
  constexpr std::string_view kUnits = "KMG";
  unsigned shift = 0;
  if (!text.empty()) {
    const std::size_t unit = kUnits.find(text.back());
    if (unit != std::string_view::npos) {
      shift = 10U * static_cast<unsigned>(unit + 1);
      text.remove_suffix(1);
    }
  }
  if (!read(text, out) || out > (UINT64_MAX >> shift)) return false;
  out <<= shift;
  return true;
}

// "500", "0..500".
bool read_range(std::string_view text, std::uint64_t& low, std::uint64_t& high) {
  const std::size_t dots = text.find("..");
  if (dots == std::string_view::npos) {
    low = 0;
    return read(text, high);
  }
  return read(text.substr(0, dots), low) && read(text.substr(dots + 2), high) && low <= high;
}

// "vkAllocateMemory:3:VK_ERROR_OUT_OF_DEVICE_MEMORY", or "*:p0.01:VK_ERROR_OUT_OF_HOST_MEMORY".
bool read_failure(std::string_view text, FailureRule& out) {
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() != 3) return false;
  out.function = parts[0];
  const std::optional<VkResult> result = result_of(parts[2]);
  if (!result) return false;
  out.result = *result;
  if (parts[1].front() != 'p') return read(parts[1], out.nth) && out.nth > 0;
  const std::string_view number = parts[1].substr(1);
  const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), out.probability);
  return error == std::errc() && stop == number.data() + number.size() && out.probability >= 0 &&
         out.probability <= 1;
}

// "0:32M", "0:32M@3" (from the 3rd allocation on), "0:32M@50ms".
bool read_other_usage(std::string_view text, OtherUsage& out) {
  const std::size_t at = text.find('@');
  const std::vector<std::string_view> parts = split(text.substr(0, at), ':');
  std::uint64_t heap = 0;
  if (parts.size() != 2 || !read(parts[0], heap) || heap >= VK_MAX_MEMORY_HEAPS) return false;
  out.heap = static_cast<std::uint32_t>(heap);
  if (!read_bytes(parts[1], out.bytes)) return false;
  if (at == std::string_view::npos) return true;
  std::string_view when = text.substr(at + 1);
  if (!when.ends_with("ms")) return read(when, out.at_allocation);
  when.remove_suffix(2);
  return read(when, out.after_ms);
}

bool read_flag(std::string_view text, bool& out) {
  out = text == "1";
  return text == "1" || text == "0";
}

bool read_list(std::string_view text, std::vector<std::string>& out) {
  for (const std::string_view part : split(text, ','))
    out.emplace_back(part);
  return !out.empty();
}

bool read_setting(std::string_view key, std::string_view value, Settings& out) {
  if (key == "profile") return read_list(value, out.profiles);
  if (key == "delay_us") return read_range(value, out.delay_us_low, out.delay_us_high);
  if (key == "seed") return read(value, out.seed);
  if (key == "fail") return read_failure(value, out.failures.emplace_back());
  if (key == "other") return read_other_usage(value, out.other_usage.emplace_back());
  if (key == "ignore") return read_list(value, out.ignored_rules);
  if (key == "abort") return read_flag(value, out.abort_on_report);
  if (key == "quiet") return read_flag(value, out.quiet);
  if (key == "budget") {
    out.enforce_budget = value == "enforce";
    return out.enforce_budget || value == "inform";
  }
  if (key == "log") {
    out.log = value;
    return !value.empty();
  }
  return false;
}

}  // namespace

std::optional<VkResult> result_of(std::string_view name) {
  for (const auto& [known, result] : kResults)
    if (known == name) return result;
  return std::nullopt;
}

std::optional<Settings> parse_settings(std::string_view text, std::string& error) {
  Settings settings;
  for (const std::string_view word : split(text, ';')) {
    const std::size_t equals = word.find('=');
    const bool read = equals != std::string_view::npos &&
                      read_setting(word.substr(0, equals), word.substr(equals + 1), settings);
    if (!read) {
      error = "not understood: \"" + std::string(word) + "\"";
      return std::nullopt;
    }
  }
  if (settings.profiles.empty()) settings.profiles.emplace_back("all");
  return settings;
}

}  // namespace vasim
