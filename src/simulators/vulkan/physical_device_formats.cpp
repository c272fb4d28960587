// What images of a format can be, on a physical device.
#include <algorithm>

#include "calls.hpp"
#include "chain.hpp"
#include "image_layout.hpp"
#include "instance.hpp"

namespace vasim {
namespace {

constexpr VkFormatFeatureFlags kTransfer =
    VK_FORMAT_FEATURE_TRANSFER_SRC_BIT | VK_FORMAT_FEATURE_TRANSFER_DST_BIT;

bool is_supported(const Profile& profile, VkFormat format, Format& out) {
  if (!find_format(format, out)) return false;
  const bool bc = format >= VK_FORMAT_BC1_RGB_UNORM_BLOCK && format <= VK_FORMAT_BC7_SRGB_BLOCK;
  const bool etc2 = format >= VK_FORMAT_ETC2_R8G8B8_UNORM_BLOCK && format <= VK_FORMAT_EAC_R11G11_SNORM_BLOCK;
  if (bc) return profile.features.textureCompressionBC == VK_TRUE;
  if (etc2) return profile.features.textureCompressionETC2 == VK_TRUE;
  return true;
}

bool is_power_of_two(std::uint32_t value) {
  return (value & (value - 1)) == 0;
}

VkFormatFeatureFlags optimal_features(const Format& format) {
  VkFormatFeatureFlags features = kTransfer | VK_FORMAT_FEATURE_SAMPLED_IMAGE_BIT;
  switch (format.kind) {
    case Kind::Depth:
    case Kind::Stencil:
    case Kind::DepthStencil:
      return features | VK_FORMAT_FEATURE_DEPTH_STENCIL_ATTACHMENT_BIT;
    case Kind::Compressed:
      return features | VK_FORMAT_FEATURE_SAMPLED_IMAGE_FILTER_LINEAR_BIT;
    case Kind::Float:
      features |= VK_FORMAT_FEATURE_SAMPLED_IMAGE_FILTER_LINEAR_BIT;
      if (is_power_of_two(format.bytes)) features |= VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BLEND_BIT;
      break;
    case Kind::Integer:
      break;
  }
  if (is_power_of_two(format.bytes))
    features |= VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT | VK_FORMAT_FEATURE_STORAGE_IMAGE_BIT;
  return features;
}

VkFormatProperties features_of(const Profile& profile, VkFormat name) {
  VkFormatProperties out{};
  Format format;
  if (!is_supported(profile, name, format)) return out;
  out.optimalTilingFeatures = optimal_features(format);
  const bool colour = format.kind == Kind::Float || format.kind == Kind::Integer;
  if (!colour) return out;
  out.linearTilingFeatures = kTransfer | VK_FORMAT_FEATURE_SAMPLED_IMAGE_BIT;
  out.bufferFeatures = VK_FORMAT_FEATURE_VERTEX_BUFFER_BIT;
  if (is_power_of_two(format.bytes))
    out.bufferFeatures |=
        VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT | VK_FORMAT_FEATURE_STORAGE_TEXEL_BUFFER_BIT;
  return out;
}

struct Question {
  VkFormat format;
  VkImageType type;
  VkImageTiling tiling;
  VkImageUsageFlags usage;
  VkImageCreateFlags flags;
};

bool usage_is_supported(VkImageUsageFlags usage, VkFormatFeatureFlags features) {
  const std::pair<VkImageUsageFlags, VkFormatFeatureFlags> needs[] = {
      {VK_IMAGE_USAGE_TRANSFER_SRC_BIT, VK_FORMAT_FEATURE_TRANSFER_SRC_BIT},
      {VK_IMAGE_USAGE_TRANSFER_DST_BIT, VK_FORMAT_FEATURE_TRANSFER_DST_BIT},
      {VK_IMAGE_USAGE_SAMPLED_BIT, VK_FORMAT_FEATURE_SAMPLED_IMAGE_BIT},
      {VK_IMAGE_USAGE_STORAGE_BIT, VK_FORMAT_FEATURE_STORAGE_IMAGE_BIT},
      {VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT, VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT},
      {VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT, VK_FORMAT_FEATURE_DEPTH_STENCIL_ATTACHMENT_BIT},
      {VK_IMAGE_USAGE_INPUT_ATTACHMENT_BIT,
       VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT | VK_FORMAT_FEATURE_DEPTH_STENCIL_ATTACHMENT_BIT}};
  for (const auto& [bit, feature] : needs)
    if ((usage & bit) != 0 && (features & feature) == 0) return false;
  return true;
}

bool sparse_is_supported(const Profile& profile, const Question& asked, const Format& format) {
  const VkPhysicalDeviceFeatures& features = profile.features;
  if ((asked.flags & VK_IMAGE_CREATE_SPARSE_BINDING_BIT) != 0 && !features.sparseBinding) return false;
  if ((asked.flags & VK_IMAGE_CREATE_SPARSE_ALIASED_BIT) != 0 && !features.sparseResidencyAliased)
    return false;
  if ((asked.flags & VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT) == 0) return true;
  const bool dimension =
      asked.type == VK_IMAGE_TYPE_3D ? features.sparseResidencyImage3D : features.sparseResidencyImage2D;
  return dimension && asked.tiling == VK_IMAGE_TILING_OPTIMAL &&
         sparse_block_shape(format, asked.type, VK_SAMPLE_COUNT_1_BIT).width != 0;
}

VkExtent3D extent_of(const VkPhysicalDeviceLimits& limits, const Question& asked) {
  if (asked.type == VK_IMAGE_TYPE_1D) return {limits.maxImageDimension1D, 1, 1};
  if (asked.type == VK_IMAGE_TYPE_3D)
    return {limits.maxImageDimension3D, limits.maxImageDimension3D, limits.maxImageDimension3D};
  const bool cube = (asked.flags & VK_IMAGE_CREATE_CUBE_COMPATIBLE_BIT) != 0;
  const std::uint32_t side = cube ? limits.maxImageDimensionCube : limits.maxImageDimension2D;
  return {side, side, 1};
}

std::uint32_t levels_of(const VkExtent3D& extent) {
  std::uint32_t levels = 1;
  for (std::uint32_t side = std::max({extent.width, extent.height, extent.depth}); side > 1; side /= 2)
    ++levels;
  return levels;
}

VkSampleCountFlags samples_of(const Question& asked) {
  constexpr VkImageUsageFlags kAttachment =
      VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT;
  constexpr VkImageCreateFlags kNever =
      VK_IMAGE_CREATE_CUBE_COMPATIBLE_BIT | VK_IMAGE_CREATE_SPARSE_BINDING_BIT;
  const bool several = asked.type == VK_IMAGE_TYPE_2D && asked.tiling == VK_IMAGE_TILING_OPTIMAL &&
                       (asked.flags & kNever) == 0 && (asked.usage & kAttachment) != 0 &&
                       (asked.usage & VK_IMAGE_USAGE_STORAGE_BIT) == 0;
  return several ? VK_SAMPLE_COUNT_1_BIT | VK_SAMPLE_COUNT_4_BIT : VK_SAMPLE_COUNT_1_BIT;
}

VkResult answer(const Profile& profile, const Question& asked, VkImageFormatProperties& out) {
  out = {};
  Format format;
  if (!is_supported(profile, asked.format, format)) return VK_ERROR_FORMAT_NOT_SUPPORTED;
  const bool linear = asked.tiling == VK_IMAGE_TILING_LINEAR;
  if (!linear && asked.tiling != VK_IMAGE_TILING_OPTIMAL) return VK_ERROR_FORMAT_NOT_SUPPORTED;
  const VkFormatProperties features = features_of(profile, asked.format);
  const bool can = usage_is_supported(
      asked.usage, linear ? features.linearTilingFeatures : features.optimalTilingFeatures);
  const bool flat_only =
      format.kind == Kind::Compressed || (format.aspects() & VK_IMAGE_ASPECT_COLOR_BIT) == 0;
  if (!can || (flat_only && asked.type != VK_IMAGE_TYPE_2D) || (linear && asked.type == VK_IMAGE_TYPE_3D) ||
      !sparse_is_supported(profile, asked, format))
    return VK_ERROR_FORMAT_NOT_SUPPORTED;
  if ((asked.flags & VK_IMAGE_CREATE_PROTECTED_BIT) != 0 && !profile.protected_memory)
    return VK_ERROR_FORMAT_NOT_SUPPORTED;
  const VkPhysicalDeviceLimits& limits = profile.properties.limits;
  out.maxExtent = extent_of(limits, asked);
  out.maxMipLevels = linear ? 1 : levels_of(out.maxExtent);
  out.maxArrayLayers = linear || asked.type == VK_IMAGE_TYPE_3D ? 1 : limits.maxImageArrayLayers;
  out.sampleCounts = samples_of(asked);
  out.maxResourceSize = std::max<VkDeviceSize>(VkDeviceSize{1} << 31U, profile.max_allocation_size);
  return VK_SUCCESS;
}

VkSparseImageFormatProperties sparse_of(const Profile& profile, const Format& format, VkImageType type) {
  VkSparseImageFormatProperties out{};
  out.aspectMask = format.aspects();
  out.imageGranularity = sparse_block_shape(format, type, VK_SAMPLE_COUNT_1_BIT);
  if (profile.single_miptail) out.flags |= VK_SPARSE_IMAGE_FORMAT_SINGLE_MIPTAIL_BIT;
  if (profile.properties.sparseProperties.residencyAlignedMipSize == VK_TRUE)
    out.flags |= VK_SPARSE_IMAGE_FORMAT_ALIGNED_MIP_SIZE_BIT;
  return out;
}

std::vector<VkSparseImageFormatProperties> all_sparse(const Profile& profile, VkFormat name, VkImageType type,
                                                      VkSampleCountFlagBits samples, VkImageUsageFlags usage,
                                                      VkImageTiling tiling) {
  const Question asked{name, type, tiling, usage,
                       VK_IMAGE_CREATE_SPARSE_BINDING_BIT | VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT};
  VkImageFormatProperties ignored;
  if (samples != VK_SAMPLE_COUNT_1_BIT || answer(profile, asked, ignored) != VK_SUCCESS) return {};
  Format format;
  find_format(name, format);
  return {sparse_of(profile, format, type)};
}

}  // namespace

namespace api {

void GetPhysicalDeviceFormatProperties(VkPhysicalDevice device, VkFormat format, VkFormatProperties* out) {
  *out = features_of(from(device).profile, format);
}

void GetPhysicalDeviceFormatProperties2(VkPhysicalDevice device, VkFormat format, VkFormatProperties2* out) {
  out->formatProperties = features_of(from(device).profile, format);
}

VkResult GetPhysicalDeviceImageFormatProperties(VkPhysicalDevice device, VkFormat format, VkImageType type,
                                                VkImageTiling tiling, VkImageUsageFlags usage,
                                                VkImageCreateFlags flags, VkImageFormatProperties* out) {
  return answer(from(device).profile, {format, type, tiling, usage, flags}, *out);
}

VkResult GetPhysicalDeviceImageFormatProperties2(VkPhysicalDevice device,
                                                 const VkPhysicalDeviceImageFormatInfo2* info,
                                                 VkImageFormatProperties2* out) {
  const Profile& profile = from(device).profile;
  const VkResult result = answer(profile, {info->format, info->type, info->tiling, info->usage, info->flags},
                                 out->imageFormatProperties);
  const auto* const external = find_in_chain<VkPhysicalDeviceExternalImageFormatInfo>(
      info->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO);
  if (result != VK_SUCCESS || external == nullptr || external->handleType == 0) return result;
  const VkExternalMemoryProperties properties = external_memory(profile, external->handleType);
  if (properties.externalMemoryFeatures == 0) return VK_ERROR_FORMAT_NOT_SUPPORTED;
  auto* const given = find_in_chain<VkExternalImageFormatProperties>(
      out->pNext, VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES);
  if (given != nullptr) given->externalMemoryProperties = properties;
  return VK_SUCCESS;
}

void GetPhysicalDeviceSparseImageFormatProperties(VkPhysicalDevice device, VkFormat format, VkImageType type,
                                                  VkSampleCountFlagBits samples, VkImageUsageFlags usage,
                                                  VkImageTiling tiling, std::uint32_t* count,
                                                  VkSparseImageFormatProperties* out) {
  give(all_sparse(from(device).profile, format, type, samples, usage, tiling), count, out);
}

void GetPhysicalDeviceSparseImageFormatProperties2(VkPhysicalDevice device,
                                                   const VkPhysicalDeviceSparseImageFormatInfo2* info,
                                                   std::uint32_t* count,
                                                   VkSparseImageFormatProperties2* out) {
  const auto all =
      all_sparse(from(device).profile, info->format, info->type, info->samples, info->usage, info->tiling);
  const auto size = static_cast<std::uint32_t>(all.size());
  if (out == nullptr || *count > size) *count = size;
  if (out == nullptr) return;
  for (std::uint32_t i = 0; i < *count; ++i)
    out[i].properties = all[i];
}

}  // namespace api
}  // namespace vasim
