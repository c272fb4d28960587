// Where the texels of an image lie among its bytes.
//
//   plain:      | level 0 | level 1 | … |  per layer, per aspect
//   residency:  | tiles of level 0 | tiles of level 1 | … | mip tail |  per layer; a tile is a sparse block
//   single tail: the tails of all layers lie side by side behind the tiles of the last one
#pragma once

#include <vector>
#include <vulkan/vulkan_core.h>

#include "format.hpp"
#include "profile.hpp"

namespace vasim {

// The shape of a sparse block in texels, or {0, 0, 0} where the format has none.
VkExtent3D sparse_block_shape(const Format& format, VkImageType type, VkSampleCountFlagBits samples);

struct ImageLayout {
  // One mip level of one layer of one aspect, in texel blocks.
  struct Level {
    VkDeviceSize offset = 0;  // from the layer's begin; in the tail: from the tail's begin
    VkDeviceSize row_pitch = 0, depth_pitch = 0, size = 0;
    std::uint32_t width = 0, height = 0, depth = 0;  // blocks
    std::uint32_t tiles_x = 0, tiles_y = 0, tiles_z = 0;
    bool in_tail = false;
  };
  struct Aspect {
    VkImageAspectFlags bit = 0;
    VkDeviceSize offset = 0;
    VkDeviceSize layer_size = 0;
    std::uint32_t texel_bytes = 0;  // of a block, all samples
    std::vector<Level> levels;
  };

  ImageLayout() = default;
  ImageLayout(const Profile& profile, const VkImageCreateInfo& info);

  [[nodiscard]] const Aspect& aspect(VkImageAspectFlags bit) const;
  // Where a block of texels lies; `run` blocks to its right follow it without a gap.
  [[nodiscard]] VkDeviceSize offset_of(const Aspect& aspect, std::uint32_t level, std::uint32_t layer,
                                       std::uint32_t x, std::uint32_t y, std::uint32_t z,
                                       std::uint32_t& run) const;
  [[nodiscard]] VkDeviceSize layer_offset(const Aspect& aspect, std::uint32_t level,
                                          std::uint32_t layer) const;

  bool tiled = false;
  Format format;
  std::vector<Aspect> aspects;
  VkDeviceSize size = 0;
  VkDeviceSize alignment = 1;
  VkExtent3D tile{1, 1, 1};         // in blocks
  VkExtent3D tile_texels{1, 1, 1};  // in texels
  VkDeviceSize tile_bytes = 0;
  std::uint32_t tail_first = 0;  // the level at which the mip tail begins; the number of levels: none
  VkDeviceSize tail_offset = 0, tail_size = 0, tail_stride = 0;
  bool single_tail = false;

 private:
  void choose_tiles(const Profile& profile, const VkImageCreateInfo& info);
  void add_aspect(VkImageAspectFlags bit, const VkImageCreateInfo& info);
  void place_tiles(const Aspect& one, Level& level, VkDeviceSize& end) const;
  void place_rows(const Aspect& one, Level& level, VkDeviceSize& end) const;
  void add_tail(Aspect& one, VkDeviceSize bytes, std::uint32_t layers);

  VkDeviceSize row_alignment_ = 1;
};

}  // namespace vasim
