#include "format.hpp"

#include <iterator>

namespace vasim {
namespace {

// A run of formats that differ in their numeric type only. Vulkan numbers them so that runs are contiguous.
struct Run {
  int first, last;
  Format format;
};

constexpr Format color(std::uint32_t bytes) {
  return {Kind::Float, bytes, 0, 1, 1};
}
constexpr Format block(std::uint32_t bytes) {
  return {Kind::Compressed, bytes, 0, 4, 4};
}

constexpr Run kRuns[] = {
    {VK_FORMAT_R4G4_UNORM_PACK8, VK_FORMAT_R4G4_UNORM_PACK8, color(1)},
    {VK_FORMAT_R4G4B4A4_UNORM_PACK16, VK_FORMAT_A1R5G5B5_UNORM_PACK16, color(2)},
    {VK_FORMAT_R8_UNORM, VK_FORMAT_R8_SRGB, color(1)},
    {VK_FORMAT_R8G8_UNORM, VK_FORMAT_R8G8_SRGB, color(2)},
    {VK_FORMAT_R8G8B8_UNORM, VK_FORMAT_B8G8R8_SRGB, color(3)},
    {VK_FORMAT_R8G8B8A8_UNORM, VK_FORMAT_A2B10G10R10_SINT_PACK32, color(4)},
    {VK_FORMAT_R16_UNORM, VK_FORMAT_R16_SFLOAT, color(2)},
    {VK_FORMAT_R16G16_UNORM, VK_FORMAT_R16G16_SFLOAT, color(4)},
    {VK_FORMAT_R16G16B16_UNORM, VK_FORMAT_R16G16B16_SFLOAT, color(6)},
    {VK_FORMAT_R16G16B16A16_UNORM, VK_FORMAT_R16G16B16A16_SFLOAT, color(8)},
    {VK_FORMAT_R32_UINT, VK_FORMAT_R32_SFLOAT, color(4)},
    {VK_FORMAT_R32G32_UINT, VK_FORMAT_R32G32_SFLOAT, color(8)},
    {VK_FORMAT_R32G32B32_UINT, VK_FORMAT_R32G32B32_SFLOAT, color(12)},
    {VK_FORMAT_R32G32B32A32_UINT, VK_FORMAT_R32G32B32A32_SFLOAT, color(16)},
    {VK_FORMAT_B10G11R11_UFLOAT_PACK32, VK_FORMAT_E5B9G9R9_UFLOAT_PACK32, color(4)},
    {VK_FORMAT_D16_UNORM, VK_FORMAT_D16_UNORM, {Kind::Depth, 2, 0, 1, 1}},
    {VK_FORMAT_X8_D24_UNORM_PACK32, VK_FORMAT_D32_SFLOAT, {Kind::Depth, 4, 0, 1, 1}},
    {VK_FORMAT_S8_UINT, VK_FORMAT_S8_UINT, {Kind::Stencil, 1, 0, 1, 1}},
    {VK_FORMAT_D24_UNORM_S8_UINT, VK_FORMAT_D32_SFLOAT_S8_UINT, {Kind::DepthStencil, 4, 1, 1, 1}},
    {VK_FORMAT_BC1_RGB_UNORM_BLOCK, VK_FORMAT_BC1_RGBA_SRGB_BLOCK, block(8)},
    {VK_FORMAT_BC2_UNORM_BLOCK, VK_FORMAT_BC3_SRGB_BLOCK, block(16)},
    {VK_FORMAT_BC4_UNORM_BLOCK, VK_FORMAT_BC4_SNORM_BLOCK, block(8)},
    {VK_FORMAT_BC5_UNORM_BLOCK, VK_FORMAT_BC7_SRGB_BLOCK, block(16)},
    {VK_FORMAT_ETC2_R8G8B8_UNORM_BLOCK, VK_FORMAT_ETC2_R8G8B8A1_SRGB_BLOCK, block(8)},
    {VK_FORMAT_ETC2_R8G8B8A8_UNORM_BLOCK, VK_FORMAT_ETC2_R8G8B8A8_SRGB_BLOCK, block(16)},
    {VK_FORMAT_EAC_R11_UNORM_BLOCK, VK_FORMAT_EAC_R11_SNORM_BLOCK, block(8)},
    {VK_FORMAT_EAC_R11G11_UNORM_BLOCK, VK_FORMAT_EAC_R11G11_SNORM_BLOCK, block(16)},
};

constexpr VkFormat kIntegers[] = {VK_FORMAT_R8_UINT,
                                  VK_FORMAT_R8_SINT,
                                  VK_FORMAT_R8G8_UINT,
                                  VK_FORMAT_R8G8_SINT,
                                  VK_FORMAT_R8G8B8_UINT,
                                  VK_FORMAT_R8G8B8_SINT,
                                  VK_FORMAT_B8G8R8_UINT,
                                  VK_FORMAT_B8G8R8_SINT,
                                  VK_FORMAT_R8G8B8A8_UINT,
                                  VK_FORMAT_R8G8B8A8_SINT,
                                  VK_FORMAT_B8G8R8A8_UINT,
                                  VK_FORMAT_B8G8R8A8_SINT,
                                  VK_FORMAT_A8B8G8R8_UINT_PACK32,
                                  VK_FORMAT_A8B8G8R8_SINT_PACK32,
                                  VK_FORMAT_A2R10G10B10_UINT_PACK32,
                                  VK_FORMAT_A2R10G10B10_SINT_PACK32,
                                  VK_FORMAT_A2B10G10R10_UINT_PACK32,
                                  VK_FORMAT_A2B10G10R10_SINT_PACK32,
                                  VK_FORMAT_R16_UINT,
                                  VK_FORMAT_R16_SINT,
                                  VK_FORMAT_R16G16_UINT,
                                  VK_FORMAT_R16G16_SINT,
                                  VK_FORMAT_R16G16B16_UINT,
                                  VK_FORMAT_R16G16B16_SINT,
                                  VK_FORMAT_R16G16B16A16_UINT,
                                  VK_FORMAT_R16G16B16A16_SINT,
                                  VK_FORMAT_R32_UINT,
                                  VK_FORMAT_R32_SINT,
                                  VK_FORMAT_R32G32_UINT,
                                  VK_FORMAT_R32G32_SINT,
                                  VK_FORMAT_R32G32B32_UINT,
                                  VK_FORMAT_R32G32B32_SINT,
                                  VK_FORMAT_R32G32B32A32_UINT,
                                  VK_FORMAT_R32G32B32A32_SINT};

}  // namespace

VkImageAspectFlags Format::aspects() const {
  switch (kind) {
    case Kind::Depth:
      return VK_IMAGE_ASPECT_DEPTH_BIT;
    case Kind::Stencil:
      return VK_IMAGE_ASPECT_STENCIL_BIT;
    case Kind::DepthStencil:
      return VK_IMAGE_ASPECT_DEPTH_BIT | VK_IMAGE_ASPECT_STENCIL_BIT;
    default:
      return VK_IMAGE_ASPECT_COLOR_BIT;
  }
}

std::uint32_t Format::bytes_of(VkImageAspectFlags aspect) const {
  return kind == Kind::DepthStencil && aspect == VK_IMAGE_ASPECT_STENCIL_BIT ? stencil_bytes : bytes;
}

bool find_format(VkFormat format, Format& out) {
  for (const Run& run : kRuns) {
    if (format < run.first || format > run.last) continue;
    out = run.format;
    for (const VkFormat integer : kIntegers)
      if (integer == format) out.kind = Kind::Integer;
    return true;
  }
  return false;
}

}  // namespace vasim
