// Copies and fills: boxes of bytes between addresses, run by a stream's thread.
#pragma once

#include "call.hpp"

namespace vasim::cuda {

// One side of a copy. `pitch` is from row to row, `rows` from slice to slice.
struct Side {
  std::uint64_t address = 0;
  bool on_host = false;
  int device = 0;  // that accesses it
  std::uint64_t pitch = 0;
  std::uint64_t rows = 0;
};

struct Box {
  std::uint64_t width = 0;  // bytes
  std::uint64_t height = 1;
  std::uint64_t depth = 1;
};

struct Copy {
  Side to, from;
  Box box;
};

struct Fill {
  std::uint64_t address = 0;
  int device = 0;
  std::uint64_t pitch = 0;
  Box box;  // bytes
  std::uint32_t value = 0;
  std::uint32_t element = 1;  // bytes: 1, 2 or 4
};

// A side whose kind the address tells: host memory where the driver does not know it or has it pinned.
[[nodiscard]] Side side_at(Call& call, std::uint64_t address);

// Puts the copy on the stream. Returns when it is over where a caller could tell the difference: `waits` and
// a host side, or pageable memory written. Pageable memory that is read is copied at the call.
[[nodiscard]] CUresult copy(Call& call, Stream& stream, Copy what, bool waits);

[[nodiscard]] CUresult fill(Call& call, Stream& stream, const Fill& what);

}  // namespace vasim::cuda
