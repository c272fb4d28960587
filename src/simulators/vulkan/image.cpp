#include "image.hpp"

#include "calls.hpp"
#include "chain.hpp"
#include "device.hpp"
#include "requirements.hpp"

namespace vasim {
namespace {

void check_features(const Device& device, const VkImageCreateInfo& info) {
  const VkPhysicalDeviceFeatures& on = device.features;
  const bool volume = info.imageType == VK_IMAGE_TYPE_3D;
  const struct {
    VkImageCreateFlags flag;
    VkBool32 enabled;
    const char* name;
  } needs[] = {{VK_IMAGE_CREATE_SPARSE_BINDING_BIT, on.sparseBinding, "sparseBinding"},
               {VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT,
                volume ? on.sparseResidencyImage3D : on.sparseResidencyImage2D, "sparseResidencyImage"},
               {VK_IMAGE_CREATE_SPARSE_ALIASED_BIT, on.sparseResidencyAliased, "sparseResidencyAliased"}};
  for (const auto& need : needs)
    if ((info.flags & need.flag) != 0 && !need.enabled)
      report("D8", "vkCreateImage", text("the feature %s is not enabled", need.name));
}

bool dedicated_from(VkDeviceSize size, VkDeviceSize limit) {
  return limit != 0 && size >= limit;
}

// An image that the device cannot have. Its format and extent are for the validation layer to explain.
bool is_impossible(const Device& device, const VkImageCreateInfo& info) {
  VkImageFormatProperties can{};
  const VkResult result = api::GetPhysicalDeviceImageFormatProperties(
      reinterpret_cast<VkPhysicalDevice>(&device.physical), info.format, info.imageType, info.tiling,
      info.usage, info.flags, &can);
  return result != VK_SUCCESS || info.extent.width > can.maxExtent.width ||
         info.extent.height > can.maxExtent.height || info.extent.depth > can.maxExtent.depth ||
         info.mipLevels > can.maxMipLevels || info.arrayLayers > can.maxArrayLayers ||
         (info.samples & can.sampleCounts) == 0;
}

VkSparseImageMemoryRequirements sparse_requirements(const Image& image, const Profile& profile) {
  VkSparseImageMemoryRequirements out{};
  out.formatProperties.aspectMask = image.layout.format.aspects();
  out.formatProperties.imageGranularity = image.layout.tile_texels;
  if (profile.single_miptail) out.formatProperties.flags |= VK_SPARSE_IMAGE_FORMAT_SINGLE_MIPTAIL_BIT;
  if (profile.properties.sparseProperties.residencyAlignedMipSize == VK_TRUE)
    out.formatProperties.flags |= VK_SPARSE_IMAGE_FORMAT_ALIGNED_MIP_SIZE_BIT;
  out.imageMipTailFirstLod = image.layout.tail_first;
  out.imageMipTailSize = image.layout.tail_size;
  out.imageMipTailOffset = image.layout.tail_offset;
  out.imageMipTailStride = image.layout.tail_stride;
  return out;
}

std::vector<VkSparseImageMemoryRequirements> all_sparse_requirements(const Image& image,
                                                                     const Profile& profile) {
  if (!image.residency) return {};
  return {sparse_requirements(image, profile)};
}

void give2(const std::vector<VkSparseImageMemoryRequirements>& all, std::uint32_t* count,
           VkSparseImageMemoryRequirements2* out) {
  const auto size = static_cast<std::uint32_t>(all.size());
  if (out == nullptr || *count > size) *count = size;
  if (out == nullptr) return;
  for (std::uint32_t i = 0; i < *count; ++i)
    out[i].memoryRequirements = all[i];
}

}  // namespace

Image::Image(const Device& device, const VkImageCreateInfo& its_info)
    : Resource(kType, its_info.tiling == VK_IMAGE_TILING_LINEAR),
      info(its_info),
      layout(device.profile, its_info) {
  const Profile& profile = device.profile;
  sparse = (info.flags & VK_IMAGE_CREATE_SPARSE_BINDING_BIT) != 0;
  residency = (info.flags & VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT) != 0;
  aliased = (info.flags & VK_IMAGE_CREATE_SPARSE_ALIASED_BIT) != 0;
  may_overlap = (info.flags & VK_IMAGE_CREATE_ALIAS_BIT) != 0;
  protected_memory = (info.flags & VK_IMAGE_CREATE_PROTECTED_BIT) != 0;
  transient = (info.usage & VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT) != 0;
  strict_holes = profile.properties.sparseProperties.residencyNonResidentStrict == VK_TRUE;
  const auto* const shared = find_in_chain<VkExternalMemoryImageCreateInfo>(
      info.pNext, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO);
  if (shared != nullptr) external = shared->handleTypes;
  requirements.size = layout.size;
  requirements.alignment = layout.alignment;
  requirements.memoryTypeBits = memory_type_bits(profile, linear ? kLinearImages : kOptimalImages, *this);
  if (sparse) return;
  needs_dedicated = dedicated_from(layout.size, profile.requires_dedicated_from) ||
                    (external == VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT && profile.fd_dedicated_only);
  prefers_dedicated = dedicated_from(layout.size, profile.prefers_dedicated_from);
}

namespace api {

VkResult CreateImage(VkDevice handle, const VkImageCreateInfo* info, const VkAllocationCallbacks*,
                     VkImage* out) {
  Device& device = from(handle);
  check_features(device, *info);
  if (is_impossible(device, *info)) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  auto image = std::make_shared<Image>(device, *info);
  if (!take_sparse_address_space(device, *image)) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  *out = device.objects.add<VkImage>(std::move(image));
  return VK_SUCCESS;
}

void DestroyImage(VkDevice handle, VkImage image, const VkAllocationCallbacks*) {
  Device& device = from(handle);
  const auto object = device.objects.remove(image, Image::kType);
  if (object != nullptr) release_resource(device, static_cast<Resource&>(*object));
}

void GetImageMemoryRequirements(VkDevice handle, VkImage image, VkMemoryRequirements* out) {
  const auto object = from(handle).objects.find<Image>(image);
  if (object != nullptr) *out = object->requirements;
}

void GetImageMemoryRequirements2(VkDevice handle, const VkImageMemoryRequirementsInfo2* info,
                                 VkMemoryRequirements2* out) {
  const auto object = from(handle).objects.find<Image>(info->image);
  if (object == nullptr) return;
  out->memoryRequirements = object->requirements;
  fill_dedicated(*object, out->pNext);
}

void GetDeviceImageMemoryRequirementsKHR(VkDevice handle, const VkDeviceImageMemoryRequirements* info,
                                         VkMemoryRequirements2* out) {
  const Image image(from(handle), *info->pCreateInfo);
  out->memoryRequirements = image.requirements;
  fill_dedicated(image, out->pNext);
}

void GetImageSparseMemoryRequirements(VkDevice handle, VkImage image, std::uint32_t* count,
                                      VkSparseImageMemoryRequirements* out) {
  Device& device = from(handle);
  const auto object = device.objects.find<Image>(image);
  if (object != nullptr) give(all_sparse_requirements(*object, device.profile), count, out);
}

void GetImageSparseMemoryRequirements2(VkDevice handle, const VkImageSparseMemoryRequirementsInfo2* info,
                                       std::uint32_t* count, VkSparseImageMemoryRequirements2* out) {
  Device& device = from(handle);
  const auto object = device.objects.find<Image>(info->image);
  if (object != nullptr) give2(all_sparse_requirements(*object, device.profile), count, out);
}

void GetDeviceImageSparseMemoryRequirementsKHR(VkDevice handle, const VkDeviceImageMemoryRequirements* info,
                                               std::uint32_t* count, VkSparseImageMemoryRequirements2* out) {
  Device& device = from(handle);
  const Image image(device, *info->pCreateInfo);
  give2(all_sparse_requirements(image, device.profile), count, out);
}

void GetImageSubresourceLayout(VkDevice handle, VkImage image, const VkImageSubresource* which,
                               VkSubresourceLayout* out) {
  const auto object = from(handle).objects.find<Image>(image);
  if (object == nullptr) return;
  const ImageLayout::Aspect& aspect = object->layout.aspect(which->aspectMask);
  const ImageLayout::Level& level = aspect.levels[which->mipLevel];
  out->offset = object->layout.layer_offset(aspect, which->mipLevel, which->arrayLayer);
  out->size = level.size;
  out->rowPitch = level.row_pitch;
  out->depthPitch = level.depth_pitch;
  out->arrayPitch = aspect.layer_size;
}

}  // namespace api
}  // namespace vasim
