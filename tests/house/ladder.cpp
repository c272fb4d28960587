#include "house/ladder.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <regex>

#include "house/source.hpp"

namespace vaspace::house {
namespace {

// The rungs, lowest first: each may include itself and those before it.
constexpr std::array<std::string_view, 7> kRungs{"base", "range", "device", "va", "arena", "heap", "trace"};

// Where a file stands: its layer, and for backends, frontends and simulators whose API is theirs.
struct Place {
  std::string layer;
  std::string api;

  [[nodiscard]] std::string name() const { return api.empty() ? layer : layer + "/" + api; }
};

std::optional<std::size_t> rung_of(std::string_view layer) {
  const auto found = std::find(kRungs.begin(), kRungs.end(), layer);
  if (found == kRungs.end()) return std::nullopt;
  return static_cast<std::size_t>(found - kRungs.begin());
}

// "range/x.hpp" -> range; "backends/vulkan/x.cpp", "backends/vulkan.hpp" -> backends of vulkan; "vaspace.hpp"
// -> the umbrella; "vaspace.h" -> capi.
Place place_below(const std::string& path) {
  static const std::regex of_api("(backends|frontends|simulators)/([a-z0-9]+).*");
  std::smatch match;
  if (std::regex_match(path, match, of_api)) return {match[1], match[2]};
  if (path == "vaspace.hpp") return {"umbrella", ""};
  if (path == "vaspace.h") return {"capi", ""};
  return {path.substr(0, path.find('/')), ""};
}

std::optional<Place> place_of(std::string_view path) {
  for (const std::string_view root : {"include/vaspace/", "src/"})
    if (path.starts_with(root)) return place_below(std::string(path.substr(root.size())));
  if (path.starts_with("samples/")) return Place{"samples", ""};
  return std::nullopt;
}

bool on_top(const Place& place) {
  return place.layer == "capi" || place.layer == "tools" || place.layer == "samples" ||
         place.layer == "umbrella";
}

bool may_see(const Place& from, const Place& to) {
  if (from.layer == "simulators" || to.layer == "simulators") return false;
  if (on_top(from)) return !on_top(to) || to.layer == "capi" || to.layer == "umbrella";
  if (from.layer == to.layer && from.api == to.api) return true;
  const auto rung = rung_of(to.layer);
  if (from.layer == "backends") return to.layer == "base" || to.layer == "device";
  if (from.layer == "frontends") {
    return (to.layer == "backends" && to.api == from.api) || (rung && *rung <= *rung_of("heap"));
  }
  const auto own = rung_of(from.layer);
  return own && rung && *rung <= *own;
}

// Whose API a header belongs to, or nobody's.
std::string api_of(const std::string& header) {
  if (header == "vk_mem_alloc.h") return "";  // a peer that the benchmark measures, where a user has it
  static const std::regex vulkan("(vulkan/.*|volk.*\\.h|vk_.*\\.h)");
  static const std::regex cuda("(cuda.*\\.h|cuda/.*|nvml\\.h|nvrtc\\.h)");
  if (std::regex_match(header, vulkan)) return "vulkan";
  return std::regex_match(header, cuda) ? "cuda" : "";
}

// What is wrong with one include, or nothing.
std::string fault(const Place& from, const std::string& header) {
  constexpr std::string_view kOurs = "vaspace/";
  if (header.starts_with(kOurs)) {
    const Place to = place_below(header.substr(kOurs.size()));
    return may_see(from, to) ? "" : from.name() + " must not include " + header;
  }
  if (header.find("../") != std::string::npos) return "an include that leaves its folder: " + header;
  const std::string api = api_of(header);
  if (api.empty() || from.api == api || from.layer == "samples") return "";
  return from.name() + " must not include " + header + ": only backends, frontends and simulators of " + api +
         " do";
}

}  // namespace

std::vector<std::string> check_includes(std::string_view path, std::string_view text) {
  std::vector<std::string> wrong;
  const std::optional<Place> from = place_of(path);
  if (!from) return {std::string(path) + ": belongs to no layer"};
  static const std::regex include("#[ \t]*include[ \t]*[<\"]([^>\"]+)[>\"]");
  // Quotes are blanked in the code, but where it has a directive the text has one.
  const std::string code = split_comments(text).code;
  const std::string whole(text);
  for (auto it = std::sregex_iterator(whole.begin(), whole.end(), include); it != std::sregex_iterator();
       ++it) {
    const auto at = static_cast<std::size_t>(it->position());
    if (code[at] != '#') continue;
    const std::string what = fault(*from, (*it)[1]);
    if (!what.empty()) {
      wrong.push_back(std::string(path) + ":" + std::to_string(line_of(text, at)) + ": " + what);
    }
  }
  return wrong;
}

}  // namespace vaspace::house
