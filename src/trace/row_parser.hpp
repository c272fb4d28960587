// One line of text to one row; knows nothing of the lines around it.
#pragma once

#include <string_view>

#include "vaspace/trace/failure.hpp"
#include "vaspace/trace/row.hpp"

namespace vaspace::trace {

struct ParsedRow {
  Row row{};
  std::string_view flags{};  // a piece of the line
};

// `line` without its end. Failures have line 0: the caller knows it.
[[nodiscard]] Expected<ParsedRow> parse_row(std::string_view line) noexcept;

// Columns of a line, by its commas.
[[nodiscard]] std::size_t column_count(std::string_view line) noexcept;
inline constexpr std::size_t kColumns = 9;

}  // namespace vaspace::trace
