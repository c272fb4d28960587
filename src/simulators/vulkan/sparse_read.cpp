// Sparse binds as a program gives them: V6, V7, V9, V15, V19, V21, V22.
#include <algorithm>

#include "device.hpp"
#include "sparse_bind.hpp"

namespace vasim {
namespace {

using Number = unsigned long long;

// Whether the memory may lie behind the resource, and has the bytes.
bool check_memory(const Resource& resource, const Memory& memory, VkDeviceSize offset, VkDeviceSize size) {
  const auto broken = [&](const char* rule, const std::string& reason) {
    report(rule, resource.describe(), reason + ", in " + memory.describe());
  };
  const bool is_protected = (memory.info.properties & VK_MEMORY_PROPERTY_PROTECTED_BIT) != 0;
  if (is_protected != resource.protected_memory) {
    broken("V15", "protected and unprotected do not match");
  } else if ((resource.requirements.memoryTypeBits & (1U << memory.info.type)) == 0) {
    broken("V6", text("memory type %u is not in memoryTypeBits 0x%x", memory.info.type,
                      resource.requirements.memoryTypeBits));
  }
  if (resource.device_address && !memory.info.device_address)
    broken("V9", "SHADER_DEVICE_ADDRESS in memory without DEVICE_ADDRESS");
  if (offset <= memory.info.size && size <= memory.info.size - offset) return true;
  broken("V7", text("%llu bytes at %llu go beyond the memory's %llu", Number{size}, Number{offset},
                    Number{memory.info.size}));
  return false;
}

// An opaque bind of an image with residency is for a mip tail.
bool is_in_tail(const Image& image, Bytes bytes) {
  const ImageLayout& layout = image.layout;
  const std::uint32_t tails = layout.single_tail ? 1 : image.info.arrayLayers;
  for (std::uint32_t layer = 0; layer < tails; ++layer) {
    const VkDeviceSize begin = layout.tail_offset + layer * layout.tail_stride;
    if (bytes.begin >= begin && bytes.end <= begin + layout.tail_size) return true;
  }
  return false;
}

bool aligned(std::int32_t offset, std::uint32_t block) {
  return offset >= 0 && static_cast<std::uint32_t>(offset) % block == 0;
}

bool reaches(std::int32_t offset, std::uint32_t extent, std::uint32_t block, std::uint32_t edge) {
  const std::uint32_t end = static_cast<std::uint32_t>(offset) + extent;
  return extent != 0 && end <= edge && (extent % block == 0 || end == edge);
}

std::uint32_t level_extent(std::uint32_t extent, std::uint32_t level) {
  return std::max(1U, extent >> level);
}

bool check_tiles(const Image& image, const VkSparseImageMemoryBind& bind) {
  const VkExtent3D block = image.layout.tile_texels;
  const VkImageSubresource& where = bind.subresource;
  if (!image.residency) {
    report("V21", image.describe(), "tiles are bound of an image without SPARSE_RESIDENCY");
    return false;
  }
  if (where.mipLevel >= image.info.mipLevels || where.arrayLayer >= image.info.arrayLayers) {
    report("V21", image.describe(), "tiles of a level or layer that it has not");
    return false;
  }
  if (where.mipLevel >= image.layout.tail_first) {
    report("V22", image.describe(),
           text("level %u lies in the mip tail, which is bound opaquely", where.mipLevel));
    return false;
  }
  const VkExtent3D& whole = image.info.extent;
  const std::uint32_t width = level_extent(whole.width, where.mipLevel);
  const std::uint32_t height = level_extent(whole.height, where.mipLevel);
  const std::uint32_t depth = level_extent(whole.depth, where.mipLevel);
  if (aligned(bind.offset.x, block.width) && aligned(bind.offset.y, block.height) &&
      aligned(bind.offset.z, block.depth) && reaches(bind.offset.x, bind.extent.width, block.width, width) &&
      reaches(bind.offset.y, bind.extent.height, block.height, height) &&
      reaches(bind.offset.z, bind.extent.depth, block.depth, depth))
    return true;
  report("V21", image.describe(),
         text("offset %d, %d, %d or extent %u, %u, %u in level %u does not meet blocks of %u, %u, %u",
              bind.offset.x, bind.offset.y, bind.offset.z, bind.extent.width, bind.extent.height,
              bind.extent.depth, where.mipLevel, block.width, block.height, block.depth));
  return false;
}

// A box of tiles, counted in tiles.
struct Tiles {
  std::uint32_t x, y, z, wide, high, deep;

  [[nodiscard]] VkDeviceSize count() const { return VkDeviceSize{wide} * high * deep; }
};

Tiles tiles_of(const ImageLayout& layout, const VkSparseImageMemoryBind& bind) {
  const VkExtent3D block = layout.tile_texels;
  const auto first = [](std::int32_t texel, std::uint32_t by) {
    return static_cast<std::uint32_t>(texel) / by;
  };
  const auto count = [](std::uint32_t extent, std::uint32_t by) { return (extent + by - 1) / by; };
  return {first(bind.offset.x, block.width),       first(bind.offset.y, block.height),
          first(bind.offset.z, block.depth),       count(bind.extent.width, block.width),
          count(bind.extent.height, block.height), count(bind.extent.depth, block.depth)};
}

bool check_tile_memory(const Image& image, const Memory& memory, VkDeviceSize offset, VkDeviceSize tiles) {
  const VkDeviceSize block = image.layout.tile_bytes;
  if (!check_memory(image, memory, offset, tiles * block)) return false;
  if (offset % block == 0) return true;
  report("V21", image.describe(),
         text("memory offset %llu is no multiple of the block's %llu bytes", Number{offset}, Number{block}));
  return false;
}

}  // namespace

void read_bind(Device& device, const std::shared_ptr<Resource>& resource, const VkSparseMemoryBind& bind,
               std::vector<SparseBind>& out) {
  const VkDeviceSize alignment = resource->requirements.alignment, whole = resource->requirements.size;
  if (!resource->sparse)
    return report("V19", resource->describe(), "is bound as sparse and was not created so");
  if (bind.resourceOffset % alignment != 0 || bind.memoryOffset % alignment != 0 ||
      bind.size % alignment != 0 || bind.size == 0)
    return report(
        "V19", resource->describe(),
        text("offset %llu, size %llu or memory offset %llu is no multiple of %llu",
             Number{bind.resourceOffset}, Number{bind.size}, Number{bind.memoryOffset}, Number{alignment}));
  if (bind.resourceOffset >= whole || bind.size > whole - bind.resourceOffset)
    return report("V19", resource->describe(),
                  text("%llu bytes at %llu leave its %llu", Number{bind.size}, Number{bind.resourceOffset},
                       Number{whole}));
  SparseBind one{
      resource, {bind.resourceOffset, bind.resourceOffset + bind.size}, nullptr, bind.memoryOffset};
  if (resource->type == VK_OBJECT_TYPE_IMAGE && resource->residency &&
      !is_in_tail(static_cast<const Image&>(*resource), one.bytes))
    return report("V22", resource->describe(),
                  "an opaque bind outside of the mip tail of an image with residency");
  if (bind.memory != VK_NULL_HANDLE) {
    one.memory = device.objects.find<Memory>(bind.memory);
    if (one.memory == nullptr || !check_memory(*resource, *one.memory, bind.memoryOffset, bind.size)) return;
  }
  out.push_back(std::move(one));
}

void read_tiles(Device& device, const std::shared_ptr<Image>& image, const VkSparseImageMemoryBind& bind,
                std::vector<SparseBind>& out) {
  if (!check_tiles(*image, bind)) return;
  const ImageLayout& layout = image->layout;
  const Tiles tiles = tiles_of(layout, bind);
  std::shared_ptr<Memory> memory;
  if (bind.memory != VK_NULL_HANDLE) {
    memory = device.objects.find<Memory>(bind.memory);
    if (memory == nullptr || !check_tile_memory(*image, *memory, bind.memoryOffset, tiles.count())) return;
  }
  const ImageLayout::Aspect& aspect = layout.aspect(bind.subresource.aspectMask);
  const ImageLayout::Level& level = aspect.levels[bind.subresource.mipLevel];
  const VkDeviceSize base =
      layout.layer_offset(aspect, bind.subresource.mipLevel, bind.subresource.arrayLayer);
  const VkDeviceSize row = tiles.wide * layout.tile_bytes;  // the tiles of a row lie side by side
  VkDeviceSize offset = bind.memoryOffset;
  for (std::uint32_t z = tiles.z; z < tiles.z + tiles.deep; ++z)
    for (std::uint32_t y = tiles.y; y < tiles.y + tiles.high; ++y) {
      const VkDeviceSize index = (VkDeviceSize{z} * level.tiles_y + y) * level.tiles_x + tiles.x;
      const VkDeviceSize begin = base + index * layout.tile_bytes;
      out.push_back({image, {begin, begin + row}, memory, offset});
      offset += row;
    }
}

}  // namespace vasim
