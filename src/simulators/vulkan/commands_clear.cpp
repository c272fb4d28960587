// Clears of whole subresources.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "calls.hpp"
#include "device.hpp"
#include "report.hpp"
#include "touch.hpp"
#include "transfer.hpp"

namespace vasim {
namespace {

std::uint32_t count_of(std::uint32_t asked, std::uint32_t base, std::uint32_t all) {
  return asked == VK_REMAINING_MIP_LEVELS ? all - base : asked;
}

// Every level and layer of the ranges, as boxes.
std::vector<Box> read_ranges(const Image& image, VkImageAspectFlags aspect, std::uint32_t count,
                             const VkImageSubresourceRange* ranges) {
  std::vector<Box> all;
  for (std::uint32_t i = 0; i < count; ++i) {
    const VkImageSubresourceRange& range = ranges[i];
    if ((range.aspectMask & aspect) == 0) continue;
    for (std::uint32_t m = 0; m < count_of(range.levelCount, range.baseMipLevel, image.info.mipLevels); ++m)
      for (std::uint32_t l = 0; l < count_of(range.layerCount, range.baseArrayLayer, image.info.arrayLayers);
           ++l) {
        const std::uint32_t level = range.baseMipLevel + m;
        const VkExtent3D& whole = image.info.extent;
        const VkExtent3D extent{std::max(1U, whole.width >> level), std::max(1U, whole.height >> level),
                                std::max(1U, whole.depth >> level)};
        Box box;
        if (!read_box(image, aspect, level, range.baseArrayLayer + l, {0, 0, 0}, extent, box)) return all;
        all.push_back(box);
      }
  }
  return all;
}

using Texel = std::vector<unsigned char>;

// All samples of a texel get the same bytes.
Texel repeated(const unsigned char* bytes, std::size_t size, const Box& box) {
  Texel texel;
  while (texel.size() < box.aspect->texel_bytes)
    texel.insert(texel.end(), bytes, bytes + size);
  return texel;
}

void record_clear(CommandBuffer& commands, const std::shared_ptr<Image>& image, std::vector<Box> boxes,
                  Texel texel) {
  commands.record({image}, [image, boxes = std::move(boxes), texel = std::move(texel)](Execution& execution) {
    for (const Box& box : boxes) {
      touch_box(execution, *image, box, Use::Write);
      for_rows(*image, box,
               [&](std::uint32_t, std::uint32_t, std::uint32_t, VkDeviceSize at, std::uint32_t run) {
                 image->fill(at, texel.data(), texel.size(), run * texel.size());
               });
    }
  });
}

// Depth as the format keeps it.
void write_depth(VkFormat format, float depth, unsigned char* out) {
  if (format == VK_FORMAT_D32_SFLOAT || format == VK_FORMAT_D32_SFLOAT_S8_UINT) {
    std::memcpy(out, &depth, sizeof(depth));
    return;
  }
  const bool small = format == VK_FORMAT_D16_UNORM;
  const auto bits = static_cast<std::uint32_t>(std::lround(depth * (small ? 65535.0F : 16777215.0F)));
  std::memcpy(out, &bits, small ? 2 : 4);
}

}  // namespace

namespace api {

void CmdClearColorImage(VkCommandBuffer handle, VkImage image_handle, VkImageLayout,
                        const VkClearColorValue* colour, std::uint32_t count,
                        const VkImageSubresourceRange* ranges) {
  CommandBuffer& commands = from(handle);
  const auto image = commands.device.objects.find<Image>(image_handle);
  if (image == nullptr) return;
  need_usage(*image, (image->info.usage & VK_IMAGE_USAGE_TRANSFER_DST_BIT) != 0, "TRANSFER_DST");
  unsigned char bytes[16] = {};
  if (!write_clear_texel(image->info.format, *colour, bytes))
    return report("D9", image->describe(),
                  text("this driver does not clear images of format %d", image->info.format));
  std::vector<Box> boxes = read_ranges(*image, VK_IMAGE_ASPECT_COLOR_BIT, count, ranges);
  if (boxes.empty()) return;
  Texel texel = repeated(bytes, image->layout.format.bytes, boxes.front());
  record_clear(commands, image, std::move(boxes), std::move(texel));
}

void CmdClearDepthStencilImage(VkCommandBuffer handle, VkImage image_handle, VkImageLayout,
                               const VkClearDepthStencilValue* value, std::uint32_t count,
                               const VkImageSubresourceRange* ranges) {
  CommandBuffer& commands = from(handle);
  const auto image = commands.device.objects.find<Image>(image_handle);
  if (image == nullptr) return;
  need_usage(*image, (image->info.usage & VK_IMAGE_USAGE_TRANSFER_DST_BIT) != 0, "TRANSFER_DST");
  for (const VkImageAspectFlagBits aspect : {VK_IMAGE_ASPECT_DEPTH_BIT, VK_IMAGE_ASPECT_STENCIL_BIT}) {
    if ((image->layout.format.aspects() & aspect) == 0) continue;
    std::vector<Box> boxes = read_ranges(*image, aspect, count, ranges);
    if (boxes.empty()) continue;
    unsigned char bytes[4] = {};
    if (aspect == VK_IMAGE_ASPECT_DEPTH_BIT) {
      write_depth(image->info.format, value->depth, bytes);
    } else {
      bytes[0] = static_cast<unsigned char>(value->stencil);
    }
    Texel texel = repeated(bytes, image->layout.format.bytes_of(aspect), boxes.front());
    record_clear(commands, image, std::move(boxes), std::move(texel));
  }
}

}  // namespace api
}  // namespace vasim
