#include "profile.hpp"

#include <cuda.h>
#include <dlfcn.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <unistd.h>

#include "text.hpp"

namespace vasim::cuda {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxDevices = 32;  // access is kept as a bit per device

std::uint64_t host_page() {
  return static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::string folder_of_profiles() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&folder_of_profiles), &info) == 0 || info.dli_fname == nullptr)
    return "";
  const std::string library = info.dli_fname;
  const std::size_t slash = library.rfind('/');
  return (slash == std::string::npos ? std::string(".") : library.substr(0, slash)) + "/profiles/";
}

std::uint64_t bytes_at(const Json& object, const char* key) {
  const Json& value = object.at(key);
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  const auto bytes = parse_bytes(value.get<std::string>());
  if (!bytes) throw std::runtime_error(std::string(key) + ": not a number of bytes");
  return *bytes;
}

std::uint64_t bytes_or(const Json& object, const char* key, std::uint64_t otherwise) {
  return object.contains(key) ? bytes_at(object, key) : otherwise;
}

unsigned handle_types_at(const Json& object, const char* key) {
  unsigned types = 0;
  for (const Json& type : object.value(key, Json::array())) {
    if (type == "posix_fd")
      types |= CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    else if (type == "fabric")
      types |= CU_MEM_HANDLE_TYPE_FABRIC;
    else
      throw std::runtime_error(std::string(key) + ": \"posix_fd\" and \"fabric\" are known");
  }
  return types;
}

Granularity granularity_from(const Json& object) {
  const Granularity result{bytes_at(object, "minimum"), bytes_at(object, "recommended")};
  if (result.minimum == 0 || result.minimum % host_page() != 0 || result.recommended == 0 ||
      result.recommended % result.minimum != 0)
    throw std::runtime_error("granularity: the minimum is pages, the recommended a multiple of it");
  return result;
}

DeviceProfile device_from(const Json& object, std::size_t devices) {
  DeviceProfile device;
  device.name = object.at("name").get<std::string>();
  device.memory = bytes_at(object, "memory");
  if (device.memory == 0 || device.memory % host_page() != 0)
    throw std::runtime_error("memory: not in pages");
  device.capability_major = object.at("compute_capability").at(0).get<int>();
  device.capability_minor = object.at("compute_capability").at(1).get<int>();
  device.multiprocessors = object.at("multiprocessors").get<int>();
  device.granularity = granularity_from(object.at("granularity"));
  device.exportable_granularity = object.contains("exportable_granularity")
                                      ? granularity_from(object.at("exportable_granularity"))
                                      : device.granularity;
  device.handle_types = handle_types_at(object, "handle_types");
  device.exportable = handle_types_at(object, "exportable");
  if ((device.exportable & CU_MEM_HANDLE_TYPE_FABRIC) != 0)
    throw std::runtime_error("exportable: fabric handles need hardware that is not played");
  device.unified = object.value("unified", false);
  for (const Json& peer : object.value("peers", Json::array())) {
    device.peers.push_back(peer.get<int>());
    if (device.peers.back() < 0 || static_cast<std::size_t>(device.peers.back()) >= devices)
      throw std::runtime_error("peers: no such device");
  }
  return device;
}

Profile profile_from(const Json& object) {
  Profile profile;
  profile.driver_version = object.at("driver_version").get<int>();
  const Json reservation = object.value("reservation", Json::object());
  profile.reservation_limit = bytes_or(reservation, "limit", UINT64_MAX);
  profile.reservation_largest = bytes_or(reservation, "largest", UINT64_MAX);
  profile.hint_honoured = reservation.value("hint_honoured", true);
  const Json& devices = object.at("devices");
  if (devices.size() > kMaxDevices) throw std::runtime_error("devices: more than 32");
  for (const Json& device : devices)
    profile.devices.push_back(device_from(device, devices.size()));
  return profile;
}

}  // namespace

Profile read_profile(const std::string& name, std::string& error) {
  const std::string path = name.ends_with(".json") ? name : folder_of_profiles() + name + ".json";
  try {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot be read");
    Profile profile = profile_from(Json::parse(file));
    profile.name = name;
    return profile;
  } catch (const std::exception& fault) {
    error = "profile " + path + ": " + fault.what();
    return {};
  }
}

}  // namespace vasim::cuda
