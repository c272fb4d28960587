#include "row_parser.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

#include "failing.hpp"

namespace vaspace::trace {

namespace {

enum Column : std::size_t { t_ns, thread, op, id, size, alignment, kind, memory_type_bits, flags };

constexpr std::array<const char*, kColumns> kNames{
    "t_ns", "thread", "op", "id", "size", "alignment", "kind", "memory_type_bits", "flags"};

using Cells = std::array<std::string_view, kColumns>;

Cells split(std::string_view line) noexcept {
  Cells cells;
  for (std::size_t i = 0; i + 1 < kColumns; ++i) {
    const std::size_t comma = line.find(',');
    cells[i] = line.substr(0, comma);
    line.remove_prefix(comma + 1);
  }
  cells[flags] = line;
  return cells;
}

template <class Number>
bool read_number(const Cells& cells, Column column, Number& to, Failure& why) noexcept {
  const std::string_view cell = cells[column];
  const char* end = cell.data() + cell.size();
  const auto [stop, error] = std::from_chars(cell.data(), end, to);
  if (error == std::errc{} && stop == end) return true;
  const bool digits =
      !cell.empty() && std::all_of(cell.begin(), cell.end(), [](char c) { return c >= '0' && c <= '9'; });
  why = malformed(digits ? "%s \"%s\" passes %u bits" : "%s \"%s\" is not a number", kNames[column],
                  excerpt(cell).text, static_cast<unsigned>(8 * sizeof(Number)));
  return false;
}

bool read_words(const Cells& cells, Row& row, Failure& why) noexcept {
  const std::optional<Op> known_op = op_named(cells[op]);
  if (!known_op) {
    why = malformed("op \"%s\" is none of alloc, free, frame", excerpt(cells[op]).text);
    return false;
  }
  const std::optional<Kind> known_kind = kind_named(cells[kind]);
  if (!known_kind) {
    why = malformed("kind \"%s\" is unknown", excerpt(cells[kind]).text);
    return false;
  }
  row.op = *known_op;
  row.kind = *known_kind;
  const bool of_frame = row.kind == Kind::present || row.kind == Kind::submit;
  if (of_frame == (row.op == Op::frame)) return true;
  why = malformed("kind \"%s\" does not belong to op \"%s\"", excerpt(cells[kind]).text,
                  excerpt(cells[op]).text);
  return false;
}

bool read_numbers(const Cells& cells, Row& row, Failure& why) noexcept {
  return read_number(cells, t_ns, row.t_ns, why) && read_number(cells, thread, row.thread, why) &&
         read_number(cells, id, row.id, why) && read_number(cells, size, row.size, why) &&
         read_number(cells, alignment, row.alignment, why) &&
         read_number(cells, memory_type_bits, row.memory_type_bits, why);
}

// What a recorder of frames or of raw memory leaves at 0.
void complete(Row& row) noexcept {
  if (row.op == Op::frame) {
    row.size = 0;
    row.alignment = 1;
  }
  if (row.kind == Kind::memory && row.alignment == 0) row.alignment = 1;
}

bool sound(const Row& row, Failure& why) noexcept {
  if (row.op == Op::alloc && row.size == 0) {
    why = malformed("an alloc of size 0");
    return false;
  }
  if (!std::has_single_bit(row.alignment)) {
    why = malformed("alignment %llu is not a power of two", static_cast<unsigned long long>(row.alignment));
    return false;
  }
  return true;
}

bool has_control_character(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

}  // namespace

std::size_t column_count(std::string_view line) noexcept {
  return 1 + static_cast<std::size_t>(std::count(line.begin(), line.end(), ','));
}

Expected<ParsedRow> parse_row(std::string_view line) noexcept {
  const std::size_t columns = column_count(line);
  if (line.empty()) return tl::unexpected(malformed("the line is empty"));
  if (columns != kColumns) return tl::unexpected(malformed("%zu columns in place of %zu", columns, kColumns));
  if (has_control_character(line)) return tl::unexpected(malformed("a control character in the line"));
  const Cells cells = split(line);
  ParsedRow result{.row = {}, .flags = cells[flags]};
  Failure why{};
  if (!read_words(cells, result.row, why) || !read_numbers(cells, result.row, why))
    return tl::unexpected(why);
  complete(result.row);
  if (!sound(result.row, why)) return tl::unexpected(why);
  return result;
}

}  // namespace vaspace::trace
