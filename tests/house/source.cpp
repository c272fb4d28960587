#include "house/source.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace vaspace::house {
namespace {

// Behind what begins at `at`: a comment, a quoted text, a raw string, or one character.
struct Piece {
  std::size_t end;
  bool comment = false;
  bool quoted = false;
};

std::size_t end_of(std::string_view text, std::string_view closing, std::size_t from) {
  const std::size_t found = text.find(closing, from);
  return found == std::string_view::npos ? text.size() : found + closing.size();
}

std::size_t end_of_quote(std::string_view text, std::size_t at) {
  std::size_t i = at + 1;
  while (i < text.size() && text[i] != text[at] && text[i] != '\n')
    i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

Piece piece_at(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at);
  if (rest.starts_with("//")) return {std::min(text.find('\n', at), text.size()), true};
  if (rest.starts_with("/*")) return {end_of(text, "*/", at + 2), true};
  if (rest.starts_with("R\"") && (at == 0 || !is_word(text[at - 1]))) {
    const std::size_t open = std::min(text.find('(', at), text.size() - 1);
    std::string closing(")");
    closing.append(text.substr(at + 2, open - at - 2)).append("\"");
    return {end_of(text, closing, open), false, true};
  }
  const bool separator = rest[0] == '\'' && at != 0 && is_word(text[at - 1]);  // 1'000
  if ((rest[0] == '"' || rest[0] == '\'') && !separator) return {end_of_quote(text, at), false, true};
  return {at + 1};
}

}  // namespace

std::vector<SourceFile> read_sources(const std::vector<std::string>& folders,
                                     const std::set<std::string>& extensions) {
  namespace fs = std::filesystem;
  const fs::path root = VASPACE_SOURCE_DIR;
  std::vector<SourceFile> files;
  for (const std::string& folder : folders) {
    if (!fs::is_directory(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (!entry.is_regular_file() || !extensions.contains(entry.path().extension().string())) continue;
      std::ostringstream text;
      text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      files.push_back({fs::relative(entry.path(), root).generic_string(), text.str()});
    }
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

Split split_comments(std::string_view text) {
  Split split{std::string(text), std::string(text)};
  const auto blank = [&](std::string& in, std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i)
      if (in[i] != '\n') in[i] = ' ';
  };
  for (std::size_t at = 0; at < text.size();) {
    const Piece piece = piece_at(text, at);
    if (piece.comment) {
      blank(split.code, at, piece.end);
    } else {
      if (piece.quoted) blank(split.code, at + 1, std::max(piece.end - 1, at + 1));
      blank(split.comments, at, piece.end);
    }
    at = piece.end;
  }
  return split;
}

std::size_t line_of(std::string_view text, std::size_t position) {
  return static_cast<std::size_t>(
             std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), '\n')) +
         1;
}

}  // namespace vaspace::house
