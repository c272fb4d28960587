#include "device_files.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace vaspace::test {
namespace {

using DeviceJson = nlohmann::json;

// "base" names a file of the folder that this one changes: a JSON merge patch, RFC 7386.
DeviceJson read_device_json(const std::string& folder, const std::string& name) {
  std::ifstream file(folder + "/" + name + ".json");
  if (!file) throw std::runtime_error("no device " + name + " in " + folder);
  DeviceJson changes = DeviceJson::parse(file);
  if (changes.count("base") == 0) return changes;
  DeviceJson whole = read_device_json(folder, changes.at("base").get<std::string>());
  whole.merge_patch(changes);
  return whole;
}

// A number, or one with a unit: 65536, "64 KiB".
std::uint64_t bytes_in(const DeviceJson& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  const auto text = value.get<std::string>();
  std::size_t end = 0;
  const std::uint64_t number = std::stoull(text, &end);
  const std::string unit = text.substr(std::min(text.size(), end));
  if (unit == " KiB") return number << 10U;
  if (unit == " MiB") return number << 20U;
  if (unit == " GiB") return number << 30U;
  throw std::runtime_error("an unknown unit: " + text);
}

constexpr const char* kMemoryTypeFlags[] = {"device_local",        "host_visible",       "host_coherent",
                                            "host_cached",         "lazily_allocated",   "protected",
                                            "device_coherent_amd", "device_uncached_amd"};

// As Vulkan numbers them: the names are in that order.
std::uint32_t native_flags_in(const DeviceJson& names) {
  std::uint32_t bits = 0;
  for (const DeviceJson& name : names) {
    const auto* const known =
        std::find(std::begin(kMemoryTypeFlags), std::end(kMemoryTypeFlags), name.get<std::string>());
    if (known == std::end(kMemoryTypeFlags)) throw std::runtime_error("an unknown flag: " + name.dump());
    bits |= 1U << static_cast<std::uint32_t>(known - std::begin(kMemoryTypeFlags));
  }
  return bits;
}

MemoryType memory_type_in(const DeviceJson& json) {
  const std::uint32_t flags = native_flags_in(json.at("flags"));
  return {.heap = json.at("heap").get<std::uint32_t>(),
          .device_local = (flags & 1U) != 0,
          .host_visible = (flags & 2U) != 0,
          .host_coherent = (flags & 4U) != 0,
          .host_cached = (flags & 8U) != 0,
          .lazily_allocated = (flags & 16U) != 0,
          .protected_memory = (flags & 32U) != 0,
          .native_flags = flags};
}

DeviceFile device_in(const std::string& folder, const std::string& name) {
  const DeviceJson json = read_device_json(folder, name);
  DeviceFile device;
  device.name = name;
  device.source = json.at("source").get<std::string>();
  device.driver = json.at("device").value("driver", "");
  DeviceProfile& profile = device.profile;
  std::snprintf(profile.name.data(), profile.name.size(), "%s",
                json.at("device").at("name").get<std::string>().c_str());
  for (const DeviceJson& heap : json.at("memory").at("heaps"))
    profile.heaps.at(profile.heap_count++) = {Bytes{bytes_in(heap.at("size"))},
                                              native_flags_in(heap.at("flags")) == 1U};
  for (const DeviceJson& type : json.at("memory").at("types"))
    profile.memory_types.at(profile.memory_type_count++) = memory_type_in(type);
  const DeviceJson limits = json.value("limits", DeviceJson::object());
  const auto limit = [&](const char* key) { return limits.count(key) == 0 ? 0 : bytes_in(limits.at(key)); };
  device.most_allocations = limit("maxMemoryAllocationCount");
  device.buffer_image_granularity = limit("bufferImageGranularity");
  device.non_coherent_atom = limit("nonCoherentAtomSize");
  return device;
}

std::vector<DeviceFile> devices_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() == ".json" && name.front() != '_') names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  std::vector<DeviceFile> devices;
  for (const std::string& name : names)
    devices.push_back(device_in(folder, name));
  return devices;
}

}  // namespace

std::vector<DeviceFile> simulated_devices() {
  return devices_in(VASPACE_SIMULATED_DEVICES);
}

std::vector<DeviceFile> reported_devices() {
  return devices_in(VASPACE_REPORTED_DEVICES);
}

}  // namespace vaspace::test
