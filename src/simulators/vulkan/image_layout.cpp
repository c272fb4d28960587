#include "image_layout.hpp"

#include <algorithm>

namespace vasim {
namespace {

VkDeviceSize round_up(VkDeviceSize value, VkDeviceSize alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

std::uint32_t divided(std::uint32_t value, std::uint32_t by) {
  return (value + by - 1) / by;
}

std::uint32_t halved(std::uint32_t value, std::uint32_t times) {
  return std::max(1U, value >> times);
}

constexpr VkDeviceSize kSparseImageBlock = 65536;

}  // namespace

VkExtent3D sparse_block_shape(const Format& format, VkImageType type, VkSampleCountFlagBits samples) {
  if (samples != VK_SAMPLE_COUNT_1_BIT || format.stencil_bytes != 0) return {0, 0, 0};
  VkExtent3D shape{0, 0, 0};
  // The standard shapes: 64 KiB each.
  const bool flat = type == VK_IMAGE_TYPE_2D;
  if (!flat && type != VK_IMAGE_TYPE_3D) return shape;
  switch (format.bytes) {
    case 1:
      shape = flat ? VkExtent3D{256, 256, 1} : VkExtent3D{64, 32, 32};
      break;
    case 2:
      shape = flat ? VkExtent3D{256, 128, 1} : VkExtent3D{32, 32, 32};
      break;
    case 4:
      shape = flat ? VkExtent3D{128, 128, 1} : VkExtent3D{32, 32, 16};
      break;
    case 8:
      shape = flat ? VkExtent3D{128, 64, 1} : VkExtent3D{32, 16, 16};
      break;
    case 16:
      shape = flat ? VkExtent3D{64, 64, 1} : VkExtent3D{16, 16, 16};
      break;
    default:
      return shape;
  }
  shape.width *= format.block_width;
  shape.height *= format.block_height;
  return shape;
}

ImageLayout::ImageLayout(const Profile& profile, const VkImageCreateInfo& info) {
  find_format(info.format, format);
  const bool linear = info.tiling == VK_IMAGE_TILING_LINEAR;
  const bool sparse = (info.flags & VK_IMAGE_CREATE_SPARSE_BINDING_BIT) != 0;
  tiled = (info.flags & VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT) != 0;
  alignment = linear ? profile.linear_image_alignment : profile.optimal_image_alignment;
  if (sparse) alignment = std::max(alignment, profile.sparse_block);
  single_tail = tiled && profile.single_miptail;
  tail_first = info.mipLevels;
  if (tiled) choose_tiles(profile, info);
  row_alignment_ = linear ? profile.linear_row_alignment : profile.optimal_row_alignment;
  for (const VkImageAspectFlags bit :
       {VK_IMAGE_ASPECT_COLOR_BIT, VK_IMAGE_ASPECT_DEPTH_BIT, VK_IMAGE_ASPECT_STENCIL_BIT})
    if ((format.aspects() & bit) != 0) add_aspect(bit, info);
  size = round_up(std::max<VkDeviceSize>(size, 1), alignment);
}

// The tail begins at the first level that no whole block fits into, or, with aligned mip sizes, that blocks
// do not divide (V22).
void ImageLayout::choose_tiles(const Profile& profile, const VkImageCreateInfo& info) {
  tile_texels = sparse_block_shape(format, info.imageType, info.samples);
  tile = {tile_texels.width / format.block_width, tile_texels.height / format.block_height,
          tile_texels.depth};
  tile_bytes = kSparseImageBlock;
  const bool whole_only = profile.properties.sparseProperties.residencyAlignedMipSize == VK_TRUE;
  const auto fits = [&](std::uint32_t extent, std::uint32_t block) {
    return whole_only ? extent % block == 0 : extent >= block;
  };
  tail_first = 0;
  while (tail_first < info.mipLevels && fits(halved(info.extent.width, tail_first), tile_texels.width) &&
         fits(halved(info.extent.height, tail_first), tile_texels.height) &&
         fits(halved(info.extent.depth, tail_first), tile_texels.depth))
    ++tail_first;
}

void ImageLayout::add_aspect(VkImageAspectFlags bit, const VkImageCreateInfo& info) {
  Aspect one;
  one.bit = bit;
  one.offset = round_up(size, alignment);
  one.texel_bytes = format.bytes_of(bit) * static_cast<std::uint32_t>(info.samples);
  VkDeviceSize tiles = 0, plain = 0;  // bytes of a layer so far
  for (std::uint32_t i = 0; i < info.mipLevels; ++i) {
    Level level;
    level.width = divided(halved(info.extent.width, i), format.block_width);
    level.height = divided(halved(info.extent.height, i), format.block_height);
    level.depth = halved(info.extent.depth, i);
    level.in_tail = tiled && i >= tail_first;
    if (tiled && !level.in_tail) {
      place_tiles(one, level, tiles);
    } else {
      place_rows(one, level, plain);
    }
    one.levels.push_back(level);
  }
  one.layer_size = tiled ? tiles : round_up(plain, alignment);
  if (tiled) add_tail(one, plain, info.arrayLayers);
  size = one.offset + one.layer_size * info.arrayLayers + (single_tail ? tail_size : 0);
  aspects.push_back(std::move(one));
}

void ImageLayout::place_tiles(const Aspect& one, Level& level, VkDeviceSize& end) const {
  level.tiles_x = divided(level.width, tile.width);
  level.tiles_y = divided(level.height, tile.height);
  level.tiles_z = divided(level.depth, tile.depth);
  level.row_pitch = VkDeviceSize{tile.width} * one.texel_bytes;
  level.size = VkDeviceSize{level.tiles_x} * level.tiles_y * level.tiles_z * tile_bytes;
  level.offset = end;
  end += level.size;
}

void ImageLayout::place_rows(const Aspect& one, Level& level, VkDeviceSize& end) const {
  level.row_pitch = round_up(VkDeviceSize{level.width} * one.texel_bytes, row_alignment_);
  level.depth_pitch = level.row_pitch * level.height;
  level.size = level.depth_pitch * level.depth;
  level.offset = round_up(end, tiled ? row_alignment_ : alignment);
  end = level.offset + level.size;
}

// The small levels of a layer behind its tiles, or those of all layers behind the last.
void ImageLayout::add_tail(Aspect& one, VkDeviceSize bytes, std::uint32_t layers) {
  tail_size = round_up(bytes, tile_bytes);
  tail_offset = single_tail ? one.layer_size * layers : one.layer_size;
  if (single_tail) {
    tail_stride = round_up(bytes, row_alignment_);
    tail_size = round_up(tail_stride * layers, tile_bytes);
  } else {
    one.layer_size += tail_size;
    tail_stride = one.layer_size;
  }
}

const ImageLayout::Aspect& ImageLayout::aspect(VkImageAspectFlags bit) const {
  for (const Aspect& one : aspects)
    if ((one.bit & bit) != 0) return one;
  return aspects.front();
}

VkDeviceSize ImageLayout::layer_offset(const Aspect& one, std::uint32_t level, std::uint32_t layer) const {
  const Level& at = one.levels[level];
  if (!at.in_tail) return one.offset + one.layer_size * layer + at.offset;
  return one.offset + tail_offset + tail_stride * layer + at.offset;
}

VkDeviceSize ImageLayout::offset_of(const Aspect& one, std::uint32_t level, std::uint32_t layer,
                                    std::uint32_t x, std::uint32_t y, std::uint32_t z,
                                    std::uint32_t& run) const {
  const Level& at = one.levels[level];
  const VkDeviceSize base = layer_offset(one, level, layer);
  if (!tiled || at.in_tail) {
    run = at.width - x;
    return base + z * at.depth_pitch + y * at.row_pitch + VkDeviceSize{x} * one.texel_bytes;
  }
  const std::uint32_t tx = x / tile.width, ty = y / tile.height, tz = z / tile.depth;
  const std::uint32_t ix = x % tile.width, iy = y % tile.height, iz = z % tile.depth;
  const VkDeviceSize index = (VkDeviceSize{tz} * at.tiles_y + ty) * at.tiles_x + tx;
  const VkDeviceSize inside = (VkDeviceSize{iz} * tile.height + iy) * tile.width + ix;
  run = std::min(tile.width - ix, at.width - x);
  return base + index * tile_bytes + inside * one.texel_bytes;
}

}  // namespace vasim
