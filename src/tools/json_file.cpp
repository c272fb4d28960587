#include "json_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <memory>

#include "failed.hpp"

namespace vaspace::tools {

void write_json(const std::string& path, const nlohmann::ordered_json& json) {
  const std::string text = json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  const auto refuse = [&path] {
    throw Failed(fmt::format("{}: cannot write it: {}", path, std::strerror(errno)));
  };
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) refuse();
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const int error_number = errno;
  const bool closed = std::fclose(file) == 0;
  if (!written) errno = error_number;
  if (!written || !closed) refuse();
}

}  // namespace vaspace::tools
