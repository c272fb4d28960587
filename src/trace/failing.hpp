// How this layer words its failures.
#pragma once

#include <cstdint>
#include <string_view>

#include "vaspace/trace/failure.hpp"

namespace vaspace::trace {

// printf's formatting, cut to the room there is.
[[gnu::format(printf, 3, 4)]] Failure failure(ErrorCode code, std::uint64_t line, const char* format,
                                              ...) noexcept;
// "cannot open it: No such file or directory", with the errno.
Failure io_failure(const char* what, int error_number) noexcept;
Failure out_of_memory(std::uint64_t line) noexcept;

[[gnu::format(printf, 1, 2)]] Failure malformed(const char* format, ...) noexcept;

// A piece of the file as a message may show it: short, printable.
struct Excerpt {
  char text[32];
};
Excerpt excerpt(std::string_view piece) noexcept;

}  // namespace vaspace::trace
