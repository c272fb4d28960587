// The project's own sources as text, for tests that read them.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace vaspace::house {

struct SourceFile {
  std::string path;  // from the source folder, with '/'
  std::string text;
};

// The files below these folders (from the source folder) with one of these extensions, sorted by path. A
// folder that does not exist has none.
[[nodiscard]] std::vector<SourceFile> read_sources(const std::vector<std::string>& folders,
                                                   const std::set<std::string>& extensions = {".hpp", ".cpp",
                                                                                              ".h", ".c"});

// One source taken apart: both keep the line breaks, so that line numbers stay right.
struct Split {
  std::string code;      // comments blanked, and what is between quotes
  std::string comments;  // all but the comments blanked
};
[[nodiscard]] Split split_comments(std::string_view text);

// The line, from 1, that a position is in.
[[nodiscard]] std::size_t line_of(std::string_view text, std::size_t position);

}  // namespace vaspace::house
