#include "profile_json.hpp"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace vasim {
namespace {

using Json = nlohmann::json;

struct Flag {
  const char* name;
  std::uint32_t bit;
};
constexpr Flag kMemoryFlags[] = {{"device_local", VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT},
                                 {"host_visible", VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT},
                                 {"host_coherent", VK_MEMORY_PROPERTY_HOST_COHERENT_BIT},
                                 {"host_cached", VK_MEMORY_PROPERTY_HOST_CACHED_BIT},
                                 {"lazily_allocated", VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT},
                                 {"protected", VK_MEMORY_PROPERTY_PROTECTED_BIT}};
constexpr Flag kHeapFlags[] = {{"device_local", VK_MEMORY_HEAP_DEVICE_LOCAL_BIT}};
constexpr Flag kContents[] = {
    {"buffer", kBuffers}, {"image_linear", kLinearImages}, {"image_optimal", kOptimalImages}};
constexpr Flag kQueueFlags[] = {{"graphics", VK_QUEUE_GRAPHICS_BIT},
                                {"compute", VK_QUEUE_COMPUTE_BIT},
                                {"transfer", VK_QUEUE_TRANSFER_BIT},
                                {"sparse", VK_QUEUE_SPARSE_BINDING_BIT},
                                {"protected", VK_QUEUE_PROTECTED_BIT}};
constexpr Flag kDeviceTypes[] = {{"discrete", VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU},
                                 {"integrated", VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU},
                                 {"virtual", VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU},
                                 {"cpu", VK_PHYSICAL_DEVICE_TYPE_CPU}};

template <std::size_t N>
std::uint32_t flag(const Flag (&known)[N], const std::string& name) {
  for (const Flag& one : known)
    if (name == one.name) return one.bit;
  throw std::runtime_error("an unknown flag: " + name);
}

template <std::size_t N>
std::uint32_t flags(const Flag (&known)[N], const Json& names) {
  std::uint32_t bits = 0;
  for (const Json& name : names)
    bits |= flag(known, name.get<std::string>());
  return bits;
}

// Numbers, or strings with a unit: 65536, "64 KiB".
std::uint64_t bytes(const Json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  const auto written = value.get<std::string>();
  std::size_t end = 0;
  const std::uint64_t number = std::stoull(written, &end);
  const std::string unit = written.substr(std::min(written.size(), end + 1));
  if (unit == "KiB") return number << 10U;
  if (unit == "MiB") return number << 20U;
  if (unit == "GiB") return number << 30U;
  if (unit == "TiB") return number << 40U;
  throw std::runtime_error("an unknown unit: " + written);
}

template <class Number>
void assign(Number& member, const Json& value) {
  if constexpr (std::is_same_v<Number, VkDeviceSize>) {
    member = bytes(value);
  } else if constexpr (std::is_array_v<Number>) {
    for (std::size_t i = 0; i < std::extent_v<Number>; ++i)
      assign(member[i], value.at(i));
  } else {
    member = value.get<Number>();
  }
}

void read_limits(const Json& json, VkPhysicalDeviceLimits& limits) {
  for (const auto& [key, value] : json.items()) {
    bool known = false;
#define LIMIT(name)             \
  if (key == #name) {           \
    assign(limits.name, value); \
    known = true;               \
  }
#include "limits.def"
#undef LIMIT
    if (!known) throw std::runtime_error("an unknown limit: " + key);
  }
}

VkPhysicalDeviceFeatures read_features(const Json& names) {
  VkPhysicalDeviceFeatures features{};
  for (const auto& [name, wanted] : names.items()) {
    bool known = false;
#define FEATURE(member)                                        \
  if (name == #member) {                                       \
    features.member = wanted.get<bool>() ? VK_TRUE : VK_FALSE; \
    known = true;                                              \
  }
#include "features.def"
#undef FEATURE
    if (!known) throw std::runtime_error("an unknown feature: " + name);
  }
  return features;
}

void read_device(const Json& json, Profile& out) {
  VkPhysicalDeviceProperties& properties = out.properties;
  properties.apiVersion = VK_MAKE_API_VERSION(0, 1, 1, VK_HEADER_VERSION);
  properties.driverVersion = VK_MAKE_VERSION(0, 1, 0);
  properties.vendorID = json.at("vendor").get<std::uint32_t>();
  properties.deviceID = json.at("id").get<std::uint32_t>();
  properties.deviceType =
      static_cast<VkPhysicalDeviceType>(flag(kDeviceTypes, json.at("type").get<std::string>()));
  const auto name = json.at("name").get<std::string>();
  std::strncpy(properties.deviceName, name.c_str(), sizeof(properties.deviceName) - 1);
  std::memcpy(properties.pipelineCacheUUID, "vasim pipeline  ", VK_UUID_SIZE);
  const Json sparse = json.value("sparse", Json::object());
  properties.sparseProperties.residencyStandard2DBlockShape = sparse.value("standard_2d", false);
  properties.sparseProperties.residencyStandard3DBlockShape = sparse.value("standard_3d", false);
  properties.sparseProperties.residencyAlignedMipSize = sparse.value("aligned_mip_size", false);
  properties.sparseProperties.residencyNonResidentStrict = sparse.value("non_resident_strict", false);
  out.single_miptail = sparse.value("single_miptail", false);
  out.protected_memory = json.value("protected_memory", false);
}

void read_memory(const Json& json, Profile& out) {
  for (const Json& heap : json.at("heaps")) {
    if (out.memory.memoryHeapCount == VK_MAX_MEMORY_HEAPS) throw std::runtime_error("too many heaps");
    out.memory.memoryHeaps[out.memory.memoryHeapCount++] = {bytes(heap.at("size")),
                                                            flags(kHeapFlags, heap.at("flags"))};
  }
  for (const Json& type : json.at("types")) {
    const std::uint32_t index = out.memory.memoryTypeCount;
    if (index == VK_MAX_MEMORY_TYPES) throw std::runtime_error("too many memory types");
    out.memory.memoryTypes[index] = {flags(kMemoryFlags, type.at("flags")), type.at("heap")};
    out.contents[index] =
        type.contains("only") ? flags(kContents, type.at("only")) : kBuffers | kLinearImages | kOptimalImages;
    ++out.memory.memoryTypeCount;
  }
}

void read_queues(const Json& json, Profile& out) {
  for (const Json& family : json) {
    VkQueueFamilyProperties properties{};
    properties.queueFlags = flags(kQueueFlags, family.at("flags"));
    properties.queueCount = family.at("count");
    properties.timestampValidBits = family.value("timestamp_bits", 0U);
    properties.minImageTransferGranularity = {1, 1, 1};
    out.families.push_back(properties);
  }
}

// The base lists them as {"name": version}; a profile drops one by null.
void read_extensions(const Json& json, Profile& out) {
  for (const auto& [name, version] : json.items()) {
    VkExtensionProperties properties{};
    std::strncpy(properties.extensionName, name.c_str(), sizeof(properties.extensionName) - 1);
    properties.specVersion = version.get<std::uint32_t>();
    out.extensions.push_back(properties);
  }
}

void read_resources(const Json& json, Profile& out) {
  const std::pair<const char*, VkDeviceSize*> members[] = {
      {"max_allocation_size", &out.max_allocation_size},
      {"max_buffer_size", &out.max_buffer_size},
      {"host_pointer_alignment", &out.host_pointer_alignment},
      {"buffer_alignment", &out.buffer_alignment},
      {"texel_buffer_alignment", &out.texel_buffer_alignment},
      {"uniform_buffer_alignment", &out.uniform_buffer_alignment},
      {"linear_image_alignment", &out.linear_image_alignment},
      {"linear_row_alignment", &out.linear_row_alignment},
      {"optimal_image_alignment", &out.optimal_image_alignment},
      {"optimal_row_alignment", &out.optimal_row_alignment},
      {"sparse_block", &out.sparse_block},
      {"prefers_dedicated_from", &out.prefers_dedicated_from},
      {"requires_dedicated_from", &out.requires_dedicated_from}};
  for (const auto& [key, value] : json.items()) {
    const auto* const member = std::find_if(std::begin(members), std::end(members),
                                            [&key = key](const auto& one) { return key == one.first; });
    if (member == std::end(members)) throw std::runtime_error("an unknown resource figure: " + key);
    *member->second = bytes(value);
  }
}

void read_rest(const Json& json, Profile& out) {
  const Json budget = json.value("budget", Json::object());
  out.budget_share = budget.value("share", out.budget_share);
  if (budget.contains("absolute")) out.budget_absolute = bytes(budget.at("absolute"));
  const Json fd = json.value("external_fd", Json::object());
  out.fd_exportable = fd.value("exportable", true);
  out.fd_dedicated_only = fd.value("dedicated_only", false);
}

Json load(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot be opened");
  return Json::parse(file);
}

Json load_with_base(const std::string& path, const std::vector<std::string>& folders, int depth,
                    std::vector<std::string>& files) {
  files.push_back(path);
  Json json = load(path);
  if (!json.contains("base")) return json;
  if (depth == 8) throw std::runtime_error("bases go in a circle");
  const std::string below = find_profile(json.at("base").get<std::string>(), folders);
  Json base = load_with_base(below, folders, depth + 1, files);
  json.erase("base");
  base.merge_patch(json);
  return base;
}

}  // namespace

Profile parse_profile(const std::string& path, const std::vector<std::string>& folders,
                      std::vector<std::string>& files) {
  Profile out;
  out.name = std::filesystem::path(path).stem().string();
  try {
    const Json json = load_with_base(path, folders, 0, files);
    out.source = json.at("source").get<std::string>();
    out.driver_info = out.name;
    read_device(json.at("device"), out);
    read_limits(json.at("limits"), out.properties.limits);
    out.features = read_features(json.at("features"));
    read_memory(json.at("memory"), out);
    read_queues(json.at("queues"), out);
    read_extensions(json.at("extensions"), out);
    read_resources(json.at("resources"), out);
    read_rest(json, out);
  } catch (const std::exception& error) {
    throw std::runtime_error("profile " + path + ": " + error.what());
  }
  return out;
}

}  // namespace vasim
