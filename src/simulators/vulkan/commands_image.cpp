// Commands on images: copies from, to and between them.

#include <algorithm>

#include "calls.hpp"
#include "device.hpp"
#include "report.hpp"
#include "touch.hpp"
#include "transfer.hpp"

namespace vasim {
namespace {

using Number = unsigned long long;

bool can_read(const Image& image) {
  return (image.info.usage & VK_IMAGE_USAGE_TRANSFER_SRC_BIT) != 0;
}
bool can_write(const Image& image) {
  return (image.info.usage & VK_IMAGE_USAGE_TRANSFER_DST_BIT) != 0;
}
std::uint32_t layers_of(const Image& image, const VkImageSubresourceLayers& where) {
  return where.layerCount == VK_REMAINING_ARRAY_LAYERS ? image.info.arrayLayers - where.baseArrayLayer
                                                       : where.layerCount;
}

// A box of an image and where its blocks lie in a buffer.
struct Placed {
  Box box;
  VkDeviceSize offset = 0, row_pitch = 0, slice_pitch = 0;

  [[nodiscard]] VkDeviceSize at(std::uint32_t x, std::uint32_t y, std::uint32_t z) const {
    return offset + z * slice_pitch + y * row_pitch + VkDeviceSize{x} * box.aspect->texel_bytes;
  }
  [[nodiscard]] Bytes bytes() const { return {offset, at(box.width, box.height - 1, box.depth - 1)}; }
};

bool check_placed(const Buffer& buffer, const Placed& placed) {
  const bool empty = placed.box.width == 0 || placed.box.height == 0 || placed.box.depth == 0;
  if (!empty && placed.bytes().end <= buffer.size) return true;
  report("D6", buffer.describe(),
         text("a copy of an image's region at %llu leaves its %llu bytes", Number{placed.offset},
              Number{buffer.size}));
  return false;
}

std::vector<Placed> read_regions(const Buffer& buffer, const Image& image, std::uint32_t count,
                                 const VkBufferImageCopy* regions) {
  std::vector<Placed> all;
  const Format& format = image.layout.format;
  for (std::uint32_t i = 0; i < count; ++i) {
    const VkBufferImageCopy& region = regions[i];
    const VkImageSubresourceLayers& where = region.imageSubresource;
    for (std::uint32_t layer = 0; layer < layers_of(image, where); ++layer) {
      Placed placed;
      if (!read_box(image, where.aspectMask, where.mipLevel, where.baseArrayLayer + layer, region.imageOffset,
                    region.imageExtent, placed.box))
        break;
      const std::uint32_t row =
          region.bufferRowLength != 0 ? region.bufferRowLength / format.block_width : placed.box.width;
      const std::uint32_t rows =
          region.bufferImageHeight != 0 ? region.bufferImageHeight / format.block_height : placed.box.height;
      placed.row_pitch = VkDeviceSize{row} * placed.box.aspect->texel_bytes;
      placed.slice_pitch = placed.row_pitch * rows;
      placed.offset = region.bufferOffset + layer * placed.slice_pitch * placed.box.depth;
      if (!check_placed(buffer, placed)) break;
      all.push_back(placed);
    }
  }
  return all;
}

struct Pair {
  Box source, target;
};

// One slice of a region: a layer, or a depth of a volume. A copy may go from one to the other.
bool read_slice(const Image& image, const VkImageSubresourceLayers& where, VkOffset3D offset,
                VkExtent3D extent, std::uint32_t slice, Box& out) {
  const bool volume = image.info.imageType == VK_IMAGE_TYPE_3D;
  extent.depth = 1;
  if (volume) offset.z += static_cast<std::int32_t>(slice);
  return read_box(image, where.aspectMask, where.mipLevel, where.baseArrayLayer + (volume ? 0 : slice),
                  offset, extent, out);
}

// The extent is in the source's texels: its blocks are what the target gets.
VkExtent3D target_extent(const Format& source, const Format& target, VkExtent3D extent) {
  extent.width = (extent.width + source.block_width - 1) / source.block_width * target.block_width;
  extent.height = (extent.height + source.block_height - 1) / source.block_height * target.block_height;
  return extent;
}

std::vector<Pair> read_pairs(const Image& source, const Image& target, std::uint32_t count,
                             const VkImageCopy* regions) {
  std::vector<Pair> all;
  for (std::uint32_t i = 0; i < count; ++i) {
    const VkImageCopy& region = regions[i];
    const VkExtent3D extent = target_extent(source.layout.format, target.layout.format, region.extent);
    const std::uint32_t slices = std::max({region.extent.depth, layers_of(source, region.srcSubresource),
                                           layers_of(target, region.dstSubresource)});
    for (std::uint32_t slice = 0; slice < slices; ++slice) {
      Pair pair;
      if (!read_slice(source, region.srcSubresource, region.srcOffset, region.extent, slice, pair.source) ||
          !read_slice(target, region.dstSubresource, region.dstOffset, extent, slice, pair.target))
        break;
      if (pair.source.aspect->texel_bytes != pair.target.aspect->texel_bytes) {
        report("D6", target.describe(), "is copied to from a format of another size");
        break;
      }
      all.push_back(pair);
    }
  }
  return all;
}

// Through bytes of its own: the two may be cut into rows differently.
void copy_box(const Image& source, Image& target, const Pair& pair) {
  const VkDeviceSize bytes = pair.source.aspect->texel_bytes;
  const VkDeviceSize row = pair.source.width * bytes;
  std::vector<std::byte> all(row * pair.source.height * pair.source.depth);
  const auto place = [&](std::uint32_t x, std::uint32_t y, std::uint32_t z) {
    return all.data() + (VkDeviceSize{z} * pair.source.height + y) * row + x * bytes;
  };
  for_rows(source, pair.source,
           [&](std::uint32_t x, std::uint32_t y, std::uint32_t z, VkDeviceSize at, std::uint32_t run) {
             source.read(at, place(x, y, z), run * bytes);
           });
  for_rows(target, pair.target,
           [&](std::uint32_t x, std::uint32_t y, std::uint32_t z, VkDeviceSize at, std::uint32_t run) {
             target.write(at, place(x, y, z), run * bytes);
           });
}

}  // namespace

namespace api {

void CmdCopyBufferToImage(VkCommandBuffer handle, VkBuffer buffer_handle, VkImage image_handle, VkImageLayout,
                          std::uint32_t count, const VkBufferImageCopy* regions) {
  CommandBuffer& commands = from(handle);
  const auto buffer = commands.device.objects.find<Buffer>(buffer_handle);
  const auto image = commands.device.objects.find<Image>(image_handle);
  if (buffer == nullptr || image == nullptr) return;
  need_usage(*buffer, (buffer->usage & VK_BUFFER_USAGE_TRANSFER_SRC_BIT) != 0, "TRANSFER_SRC");
  need_usage(*image, can_write(*image), "TRANSFER_DST");
  commands.record({buffer, image}, [=, all = read_regions(*buffer, *image, count, regions)](
                                       Execution& execution) {
    for (const Placed& placed : all) {
      const VkDeviceSize bytes = placed.box.aspect->texel_bytes;
      touch(execution, *buffer, placed.bytes(), Use::Read);
      touch_box(execution, *image, placed.box, Use::Write);
      std::vector<std::byte> row(placed.box.width * bytes);
      for_rows(*image, placed.box,
               [&](std::uint32_t x, std::uint32_t y, std::uint32_t z, VkDeviceSize at, std::uint32_t run) {
                 buffer->read(placed.at(x, y, z), row.data(), run * bytes);
                 image->write(at, row.data(), run * bytes);
               });
    }
  });
}

void CmdCopyImageToBuffer(VkCommandBuffer handle, VkImage image_handle, VkImageLayout, VkBuffer buffer_handle,
                          std::uint32_t count, const VkBufferImageCopy* regions) {
  CommandBuffer& commands = from(handle);
  const auto buffer = commands.device.objects.find<Buffer>(buffer_handle);
  const auto image = commands.device.objects.find<Image>(image_handle);
  if (buffer == nullptr || image == nullptr) return;
  need_usage(*image, can_read(*image), "TRANSFER_SRC");
  need_usage(*buffer, (buffer->usage & VK_BUFFER_USAGE_TRANSFER_DST_BIT) != 0, "TRANSFER_DST");
  commands.record({buffer, image}, [=, all = read_regions(*buffer, *image, count, regions)](
                                       Execution& execution) {
    for (const Placed& placed : all) {
      const VkDeviceSize bytes = placed.box.aspect->texel_bytes;
      touch_box(execution, *image, placed.box, Use::Read);
      touch(execution, *buffer, placed.bytes(), Use::Write);
      std::vector<std::byte> row(placed.box.width * bytes);
      for_rows(*image, placed.box,
               [&](std::uint32_t x, std::uint32_t y, std::uint32_t z, VkDeviceSize at, std::uint32_t run) {
                 image->read(at, row.data(), run * bytes);
                 buffer->write(placed.at(x, y, z), row.data(), run * bytes);
               });
    }
  });
}

void CmdCopyImage(VkCommandBuffer handle, VkImage source_handle, VkImageLayout, VkImage target_handle,
                  VkImageLayout, std::uint32_t count, const VkImageCopy* regions) {
  CommandBuffer& commands = from(handle);
  const auto source = commands.device.objects.find<Image>(source_handle);
  const auto target = commands.device.objects.find<Image>(target_handle);
  if (source == nullptr || target == nullptr) return;
  need_usage(*source, can_read(*source), "TRANSFER_SRC");
  need_usage(*target, can_write(*target), "TRANSFER_DST");
  commands.record({source, target},
                  [=, all = read_pairs(*source, *target, count, regions)](Execution& execution) {
                    for (const Pair& pair : all) {
                      touch_box(execution, *source, pair.source, Use::Read);
                      touch_box(execution, *target, pair.target, Use::Write);
                      copy_box(*source, *target, pair);
                    }
                  });
}

}  // namespace api
}  // namespace vasim
