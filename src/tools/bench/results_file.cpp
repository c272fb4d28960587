#include "bench/results_file.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

#include "failed.hpp"

namespace vaspace::tools::bench {

namespace {

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
  throw Failed(fmt::format("{}: {}", file, what));
}

}  // namespace

nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(path, fmt::format("cannot open it: {}", std::strerror(errno)));
  std::ostringstream bytes;
  bytes << file.rdbuf();
  if (file.bad()) refuse(path, "cannot read it");
  nlohmann::json json = nlohmann::json::parse(bytes.str(), nullptr, false);
  if (json.is_discarded()) refuse(path, "no JSON");
  return json;
}

void check_schema(const std::string& file, const nlohmann::json& results) {
  if (!results.is_object() || !results.contains("schema") || results["schema"] != "vaspace.bench/1")
    refuse(file, "no vaspace.bench/1 results");
}

}  // namespace vaspace::tools::bench
