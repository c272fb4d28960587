#include "info.hpp"

#include <fmt/format.h>
#include <memory>

#include "backend_choice.hpp"
#include "bytes_text.hpp"
#include "failed.hpp"
#include "json_file.hpp"
#ifdef VASPACE_TOOLS_VULKAN
#include "vulkan_info.hpp"
#endif

namespace vaspace::tools {

namespace {

using Json = nlohmann::ordered_json;

// The size that a backend which is only looked at plays; cpu and address have no size of their own.
constexpr Bytes kPlayedSize = 4_GiB;

// null where nothing limits it.
Json limit_json(std::uint64_t limit) {
  return limit == kUnlimited ? Json(nullptr) : Json(limit);
}

Json heaps_json(const OpenBackend& open) {
  const DeviceProfile& profile = open.profile();
  Json heaps = Json::array();
  for (std::uint32_t i = 0; i < profile.heap_count; ++i) {
    const Budget budget = open.backend->budget(i).value_or(Budget{});
    heaps.push_back({{"size_bytes", profile.heaps[i].size.value},
                     {"device_local", profile.heaps[i].device_local},
                     {"budget_bytes", budget.budget.value},
                     {"usage_bytes", budget.usage.value}});
  }
  return heaps;
}

Json types_json(const DeviceProfile& profile) {
  Json types = Json::array();
  for (std::uint32_t i = 0; i < profile.memory_type_count; ++i) {
    const MemoryType& type = profile.memory_types[i];
    types.push_back({{"heap", type.heap},
                     {"device_local", type.device_local},
                     {"host_visible", type.host_visible},
                     {"host_coherent", type.host_coherent},
                     {"host_cached", type.host_cached},
                     {"lazily_allocated", type.lazily_allocated},
                     {"protected", type.protected_memory}});
  }
  return types;
}

Json capabilities_json(const OpenBackend& open) {
  const Capabilities& can = open.profile().capabilities;
  return {{"bind", can.bind},
          {"reserve_commits", can.reserve_commits},
          {"partial_unbind", can.partial_unbind},
          {"physical_offset", can.physical_offset},
          {"aliasing", can.aliasing},
          {"completes_later", can.completes_later},
          {"host_addressable", can.host_addressable},
          {"map", can.map},
          {"copy", can.copy},
          {"set_access", can.set_access},
          {"external_memory", can.external_memory || open.can_export},
          {"dedicated", can.dedicated},
          {"device_address", can.device_address},
          {"measures_physical", can.measures_physical},
          {"max_mappings", limit_json(can.max_mappings)},
          {"max_reservations", limit_json(can.max_reservations)},
          {"max_reservation_bytes", limit_json(can.max_reservation_size.value)}};
}

Json device_json(const OpenBackend& open) {
  const DeviceProfile& profile = open.profile();
  Json pages = Json::array();
  for (const Bytes page : profile.pages())
    pages.push_back(page.value);
  return {{"name", open.device_name()},
          {"heaps", heaps_json(open)},
          {"memory_types", types_json(profile)},
          {"page_bytes", pages},
          {"reservation_granularity_bytes", profile.reservation_granularity.value},
          {"capabilities", capabilities_json(open)}};
}

// One that cannot be opened is told in its place: those behind it are there all the same.
Json device_json(std::string_view backend, const std::string& device) {
  try {
    Json json = device_json(open_backend(backend, device, kPlayedSize));
#ifdef VASPACE_TOOLS_VULKAN
    if (backend == "vulkan") json["vulkan"] = vulkan_facts(device);
#endif
    return json;
  } catch (const Failed& failed) {
    return {{"name", device}, {"refused", failed.what()}};
  }
}

Json info_json() {
  Json backends = Json::array();
  for (const std::string_view name : kBackendNames) {
    Json devices = Json::array();
    for (const std::string& device : is_built_in(name) ? device_names(name) : std::vector<std::string>{})
      devices.push_back(device_json(name, device));
    backends.push_back({{"name", name}, {"built", is_built_in(name)}, {"devices", devices}});
  }
  return {{"schema", "vaspace.info/1"}, {"version", VASPACE_VERSION}, {"backends", backends}};
}

std::string flags_text(const Json& object) {
  std::string text;
  for (const auto& [key, value] : object.items()) {
    if (value.is_boolean() && value.get<bool>()) text += (text.empty() ? "" : ", ") + key;
  }
  return text.empty() ? "none" : text;
}

std::string bytes_of(const Json& number) {
  return bytes_text(Bytes{number.get<std::uint64_t>()});
}

// Of a Vulkan device: what it was opened with, and what lies behind sparse buffers there.
std::string vulkan_text(const Json& facts) {
  std::string text = fmt::format("    enabled: {}\n", flags_text(facts["features"]));
  text += fmt::format("    granularity {}, atom {}{}\n", bytes_of(facts["buffer_image_granularity_bytes"]),
                      bytes_of(facts["non_coherent_atom_bytes"]),
                      facts["export_needs_dedicated"].get<bool>() ? ", exports are dedicated" : "");
  const Json& sparse = facts["sparse"];
  if (sparse.is_null()) return text + "    sparse: none\n";
  if (sparse.contains("refused"))
    return text + fmt::format("    sparse: {}\n", sparse["refused"].get<std::string>());
  text += "    sparse: pages";
  for (const Json& page : sparse["page_bytes"])
    text += " " + bytes_of(page);
  return text + fmt::format(", address space {}{}\n", bytes_of(sparse["address_space_bytes"]),
                            sparse["null_binds"].get<bool>() ? ", null binds" : "");
}

std::string device_text(const Json& device) {
  std::string text = fmt::format("  device \"{}\"\n", device["name"].get<std::string>());
  if (device.contains("refused")) return text + fmt::format("    {}\n", device["refused"].get<std::string>());
  for (std::size_t i = 0; i < device["heaps"].size(); ++i) {
    const Json& heap = device["heaps"][i];
    text += fmt::format("    heap {}: {}, {}; budget {}, used {}\n", i, bytes_of(heap["size_bytes"]),
                        flags_text(heap), bytes_of(heap["budget_bytes"]), bytes_of(heap["usage_bytes"]));
  }
  for (std::size_t i = 0; i < device["memory_types"].size(); ++i) {
    const Json& type = device["memory_types"][i];
    text +=
        fmt::format("    memory type {}: heap {}, {}\n", i, type["heap"].get<unsigned>(), flags_text(type));
  }
  text += "    pages:";
  for (const Json& page : device["page_bytes"])
    text += " " + bytes_of(page);
  const Json& can = device["capabilities"];
  text += fmt::format("\n    capabilities: {}\n", flags_text(can));
  for (const char* limit : {"max_mappings", "max_reservations", "max_reservation_bytes"}) {
    if (!can[limit].is_null()) text += fmt::format("    {}: {}\n", limit, can[limit].get<std::uint64_t>());
  }
  if (device.contains("vulkan")) text += vulkan_text(device["vulkan"]);
  return text;
}

std::string info_text(const Json& info) {
  std::string text = fmt::format("vaspace {}\n", info["version"].get<std::string>());
  for (const Json& backend : info["backends"]) {
    const bool built = backend["built"].get<bool>();
    text += fmt::format("{}{}\n", backend["name"].get<std::string>(), built ? "" : ": not built in");
    for (const Json& device : backend["devices"])
      text += device_text(device);
  }
  return text;
}

int info(const std::string& json_path) {
  const Json info = info_json();
  fmt::print("{}", info_text(info));
  if (!json_path.empty()) write_json(json_path, info);
  return 0;
}

}  // namespace

void add_info(CLI::App& app, Command& chosen) {
  auto json_path = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("info", "Backends, devices, memory types, capabilities found here");
  command->add_option("--json", *json_path, "Write the same to this file");
  command->callback([json_path, &chosen] { chosen = [json_path] { return info(*json_path); }; });
}

}  // namespace vaspace::tools
