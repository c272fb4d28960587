#include "profile.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <map>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "profile_json.hpp"

namespace vasim {
namespace {

namespace fs = std::filesystem;

// Where profiles are looked for: VASIM_VULKAN_PROFILES, then the folder beside the driver's own file.
std::vector<std::string> folders() {
  std::vector<std::string> all;
  if (const char* const chosen = std::getenv("VASIM_VULKAN_PROFILES")) all.emplace_back(chosen);
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&profile_names), &info) == 0 || info.dli_fname == nullptr)
    throw std::runtime_error("the driver does not know its own folder");
  all.push_back((fs::path(info.dli_fname).parent_path() / "vasim_vulkan_profiles").string());
  return all;
}

void require(bool holds, const Profile& profile, const char* what) {
  if (!holds) throw std::runtime_error("profile " + profile.name + ": " + what);
}

bool is_power_of_two(VkDeviceSize value) {
  return value != 0 && (value & (value - 1)) == 0;
}

void check(const Profile& profile) {
  const VkPhysicalDeviceLimits& limits = profile.properties.limits;
  const VkPhysicalDeviceMemoryProperties& memory = profile.memory;
  require(memory.memoryHeapCount > 0 && memory.memoryTypeCount > 0, profile, "no heap or no memory type");
  VkMemoryPropertyFlags all = 0;
  for (std::uint32_t type = 0; type < memory.memoryTypeCount; ++type) {
    require(memory.memoryTypes[type].heapIndex < memory.memoryHeapCount, profile,
            "a memory type's heap does not exist");
    all |= memory.memoryTypes[type].propertyFlags;
  }
  constexpr VkMemoryPropertyFlags kCoherent =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  require((all & kCoherent) == kCoherent, profile, "Vulkan requires a host-visible and coherent type");
  require(is_power_of_two(limits.bufferImageGranularity) && is_power_of_two(limits.nonCoherentAtomSize) &&
              is_power_of_two(profile.sparse_block),
          profile, "a granularity, atom or sparse block is no power of two");
  require(profile.sparse_block % limits.bufferImageGranularity == 0, profile,
          "V3: the sparse block is no multiple of bufferImageGranularity");
  require(profile.max_allocation_size > 0, profile, "max_allocation_size is missing");
  require(!profile.families.empty(), profile, "no queue family");
  for (const VkDeviceSize alignment :
       {profile.buffer_alignment, profile.texel_buffer_alignment, profile.uniform_buffer_alignment,
        profile.linear_image_alignment, profile.linear_row_alignment, profile.optimal_image_alignment,
        profile.optimal_row_alignment, profile.host_pointer_alignment})
    require(is_power_of_two(alignment), profile, "an alignment is no power of two");
}

// Parsing is most of what an instance costs, and programs make many: what was read stays, until a file that
// it came from has changed.
class KnownProfiles {
 public:
  Profile get(const std::string& path) {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> key = folders();  // where its bases are looked for
    key.push_back(path);
    const auto known = known_.find(key);
    if (known != known_.end() && known->second.stamps == stamps_of(known->second.files))
      return known->second.profile;
    Known fresh;
    fresh.profile = parse_profile(path, folders(), fresh.files);
    check(fresh.profile);
    fresh.stamps = stamps_of(fresh.files);
    return (known_[std::move(key)] = std::move(fresh)).profile;
  }

 private:
  using Stamps = std::vector<std::pair<fs::file_time_type, std::uintmax_t>>;
  struct Known {
    Profile profile;
    std::vector<std::string> files;
    Stamps stamps;  // when they were written, and how long they are
  };

  static Stamps stamps_of(const std::vector<std::string>& files) {
    Stamps stamps;
    std::error_code gone;
    for (const std::string& file : files)
      stamps.emplace_back(fs::last_write_time(file, gone), fs::file_size(file, gone));
    return stamps;
  }

  std::mutex mutex_;
  std::map<std::vector<std::string>, Known> known_;
};

}  // namespace

bool Profile::has(const char* extension) const {
  return std::any_of(extensions.begin(), extensions.end(), [extension](const VkExtensionProperties& one) {
    return std::strcmp(one.extensionName, extension) == 0;
  });
}

Profile read_profile(const std::string& name_or_path) {
  const bool is_path = name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".json");
  const std::string path = is_path ? name_or_path : find_profile(name_or_path, folders());
  static KnownProfiles known;
  return known.get(path);
}

std::string find_profile(const std::string& name, const std::vector<std::string>& in) {
  for (const std::string& folder : in) {
    const fs::path path = fs::path(folder) / (name + ".json");
    if (fs::exists(path)) return path.string();
  }
  throw std::runtime_error("no profile \"" + name + "\" in " + in.back());
}

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folders().front()))
    // One that begins with an underscore is only there for others to build on.
    if (entry.path().extension() == ".json" && entry.path().filename().string().front() != '_')
      names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace vasim
