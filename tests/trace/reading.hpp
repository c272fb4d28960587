// A trace that a test wrote, read to its end or to what is wrong with it.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vaspace/trace/reader.hpp"

#include "files.hpp"

namespace vaspace::test {

struct Read {
  std::vector<trace::Row> rows;
  std::vector<std::string> flags;
  std::optional<trace::Failure> failure;
};

inline Read read_all(trace::Expected<trace::Reader> reader) {
  Read result;
  if (!reader) {
    result.failure = reader.error();
    return result;
  }
  for (trace::Row row;;) {
    const trace::Expected<bool> more = reader->next(row);
    if (!more) {
      result.failure = more.error();
      return result;
    }
    if (!*more) return result;
    result.rows.push_back(row);
    result.flags.emplace_back(reader->flags());
  }
}

inline Read read_text(const std::string& text) {
  return read_all(trace::Reader::from_memory(std::as_bytes(std::span(text))));
}

inline Read read_rows(const std::string& rows) {
  return read_text(kHeaderLine + rows);
}

inline const std::string kAlloc = "5,0,alloc,1,8,8,buffer,1,\n";

inline std::string many_rows() {
  std::string text = kHeaderLine;
  for (int i = 0; i < 3000; ++i)
    text += std::to_string(7 * i) + ",0,alloc," + std::to_string(i * i) + "," + std::to_string(1 + i % 977) +
            ",8,buffer,1,\n";
  return text;
}

}  // namespace vaspace::test
