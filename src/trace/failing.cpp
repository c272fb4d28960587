#include "failing.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace vaspace::trace {

Failure failure(ErrorCode code, std::uint64_t line, const char* format, ...) noexcept {
  Failure result{.code = code, .native = 0, .line = line, .text = {}};
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(result.text.data(), result.text.size(), format, arguments);
  va_end(arguments);
  return result;
}

Failure malformed(const char* format, ...) noexcept {
  Failure result{.code = ErrorCode::malformed, .native = 0, .line = 0, .text = {}};
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(result.text.data(), result.text.size(), format, arguments);
  va_end(arguments);
  return result;
}

Failure io_failure(const char* what, int error_number) noexcept {
  Failure result = failure(ErrorCode::io_error, 0, "%s: %s", what, strerrordesc_np(error_number));
  result.native = error_number;
  return result;
}

Failure out_of_memory(std::uint64_t line) noexcept {
  return failure(ErrorCode::out_of_host_memory, line, "no host memory");
}

Excerpt excerpt(std::string_view piece) noexcept {
  constexpr std::size_t kShown = 24;
  Excerpt result{};
  const std::size_t shown = std::min(piece.size(), kShown);
  for (std::size_t i = 0; i < shown; ++i) {
    const char c = piece[i];
    result.text[i] = c >= ' ' && c <= '~' ? c : '?';
  }
  if (piece.size() > kShown) std::memcpy(result.text + kShown, "...", 3);
  return result;
}

}  // namespace vaspace::trace
