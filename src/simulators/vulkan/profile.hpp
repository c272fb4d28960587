// A device as data: what a profile's JSON file says, in Vulkan's own structures.
//
// A profile that could not exist (a heap index beyond the heaps, a sparse block that is no multiple of the
// granularity, V3) is refused when it is read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>
#include <vulkan/vulkan_core.h>

namespace vasim {

// What may live in a memory type.
enum Content : std::uint32_t {
  kBuffers = 1,
  kLinearImages = 2,
  kOptimalImages = 4,
};

struct Profile {
  std::string name;    // "discrete_bar256"
  std::string source;  // where its figures come from

  VkPhysicalDeviceProperties properties{};
  std::string driver_info;
  VkPhysicalDeviceFeatures features{};
  VkPhysicalDeviceMemoryProperties memory{};
  std::uint32_t contents[VK_MAX_MEMORY_TYPES] = {};  // Content bits by memory type
  std::vector<VkQueueFamilyProperties> families;
  std::vector<VkExtensionProperties> extensions;
  bool protected_memory = false;
  bool single_miptail = false;  // V22

  VkDeviceSize max_allocation_size = 0;
  VkDeviceSize max_buffer_size = 0;
  VkDeviceSize host_pointer_alignment = 4096;

  // Sizes and alignments of resources.
  VkDeviceSize buffer_alignment = 16;
  VkDeviceSize texel_buffer_alignment = 16;
  VkDeviceSize uniform_buffer_alignment = 64;
  VkDeviceSize linear_image_alignment = 64;
  VkDeviceSize linear_row_alignment = 64;
  VkDeviceSize optimal_image_alignment = 4096;
  VkDeviceSize optimal_row_alignment = 64;
  VkDeviceSize sparse_block = 65536;
  VkDeviceSize prefers_dedicated_from = 0;   // images of at least this size; 0: none
  VkDeviceSize requires_dedicated_from = 0;  // the same, and no other memory is accepted

  // What budget a heap reports: a share of it, or the same absurd figure for every heap.
  double budget_share = 0.9;
  VkDeviceSize budget_absolute = 0;

  bool fd_exportable = true;
  bool fd_dedicated_only = false;  // V18

  [[nodiscard]] bool has(const char* extension) const;
};

// Reads a profile by name (from the folder of profiles) or by path. Throws std::runtime_error with what is
// wrong.
Profile read_profile(const std::string& name_or_path);

// What memory of that handle type can do on the device.
VkExternalMemoryProperties external_memory(const Profile& profile, VkExternalMemoryHandleTypeFlagBits type);

// The file of a profile in the first of these folders that has it. Throws where none has.
std::string find_profile(const std::string& name, const std::vector<std::string>& folders);

// The names of all profiles in the first folder, sorted.
std::vector<std::string> profile_names();

}  // namespace vasim
