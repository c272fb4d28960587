// A small map, drawn: one letter per page and object, '=' for null, '~' for sparse, '.' for nothing; a bar
// where a mapping begins.
//
//   |AAAA|BB|..|==|
#pragma once

#include <string>

#include "vaspace/va/va_space.hpp"

namespace vaspace::test {

inline char letter_of(const Mapping& mapping) {
  if (mapping.backing == Backing::null) return '=';
  if (mapping.backing == Backing::sparse) return '~';
  const char base = mapping.backing == Backing::memory ? 'A' : 'a';
  return static_cast<char>(base + static_cast<int>(mapping.physical.value) - 1);
}

inline std::string draw(const VaSpace& space) {
  std::string text;
  std::optional<MappedRange> last;
  for (Address at = space.begin(); at < space.end(); at += space.page_size()) {
    const std::optional<MappedRange> here = space.find(at);
    text += at != space.begin() && last == here ? ' ' : '|';
    text += here ? letter_of(here->mapping) : '.';
    last = here;
  }
  return text + '|';
}

// What ops touch: 'x' where they unbind, the letter where they bind.
inline std::string draw(const VaSpace& space, std::span<const BindOp> ops) {
  std::string text;
  for (Address at = space.begin(); at < space.end(); at += space.page_size()) {
    char mark = ' ';
    char edge = ' ';
    for (const BindOp& op : ops) {
      if (at == op.address || at == op.address + op.size) edge = '|';
      if (at < op.address || at >= op.address + op.size) continue;
      const Backing backing = op.access == Access::read_write ? Backing::memory : Backing::read_only_memory;
      mark = !op.binds() ? 'x' : op.null ? '=' : letter_of({op.physical, op.offset, backing});
    }
    text += edge;
    text += mark;
  }
  for (const BindOp& op : ops)
    if (op.address + op.size == space.end()) text += '|';
  return text;
}

}  // namespace vaspace::test
