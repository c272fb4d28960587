// Why a trace was refused: an Error with the place and a sentence for a person.
//
// Always true: reason() is one line of printable ASCII, without the file's name; line() counts from 1, the
// header being line 1, and is 0 where no line is to blame (a file that cannot be opened).
#pragma once

#include <array>
#include <cstdint>
#include <tl/expected.hpp>

#include "vaspace/base/result.hpp"

namespace vaspace::trace {

struct Failure {
  ErrorCode code{};         // malformed, io_error, out_of_host_memory, invalid_argument
  std::int32_t native = 0;  // errno, with io_error
  std::uint64_t line = 0;
  std::array<char, 160> text{};  // null-terminated

  [[nodiscard]] const char* reason() const noexcept { return text.data(); }
  [[nodiscard]] Error error() const noexcept { return {code, native}; }
};

template <class T>
using Expected = tl::expected<T, Failure>;

}  // namespace vaspace::trace
