// One row of a trace, as numbers.
//
// Always true, of a row that a Reader gave: kind fits op (present and submit belong to frames, the others to
// alloc and free); an alloc has size > 0; alignment is a power of two for alloc and free, and 1 for a frame;
// `allocation` counts the alloc rows from 0, and a free carries the number of the alloc that it ends.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vaspace::trace {

// The first line of every trace.
inline constexpr std::string_view kHeader = "t_ns,thread,op,id,size,alignment,kind,memory_type_bits,flags";

// Bytes of one line, its LF not counted.
inline constexpr std::uint32_t kMaxLine = 65536;

enum class Op : std::uint8_t { alloc, free, frame };
enum class Kind : std::uint8_t { buffer, image_linear, image_optimal, memory, present, submit };

struct Row {
  std::uint64_t t_ns = 0;
  std::uint64_t id = 0;  // the trace's own; a frame's number
  std::uint64_t size = 0;
  std::uint64_t alignment = 1;
  std::uint32_t thread = 0;
  std::uint32_t memory_type_bits = 0;
  std::uint32_t allocation = 0;
  Op op{};
  Kind kind{};

  friend constexpr bool operator==(const Row&, const Row&) noexcept = default;
};

// The words of the file.
[[nodiscard]] std::string_view to_string(Op op) noexcept;
[[nodiscard]] std::string_view to_string(Kind kind) noexcept;
[[nodiscard]] std::optional<Op> op_named(std::string_view word) noexcept;
[[nodiscard]] std::optional<Kind> kind_named(std::string_view word) noexcept;

}  // namespace vaspace::trace
