#include "transfer.hpp"

#include "report.hpp"
#include "touch.hpp"

namespace vasim {
namespace {

std::uint32_t blocks(std::uint32_t texels, std::uint32_t block) {
  return (texels + block - 1) / block;
}

}  // namespace

bool read_box(const Image& image, VkImageAspectFlags aspect, std::uint32_t level, std::uint32_t layer,
              const VkOffset3D& offset, const VkExtent3D& extent, Box& out) {
  const Format& format = image.layout.format;
  const auto start = [](std::int32_t texel, std::uint32_t block) {
    return static_cast<std::uint32_t>(texel) / block;
  };
  const bool exists =
      level < image.info.mipLevels && layer < image.info.arrayLayers && (format.aspects() & aspect) != 0;
  if (exists && offset.x >= 0 && offset.y >= 0 && offset.z >= 0) {
    out = {&image.layout.aspect(aspect),
           level,
           layer,
           start(offset.x, format.block_width),
           start(offset.y, format.block_height),
           static_cast<std::uint32_t>(offset.z),
           blocks(extent.width, format.block_width),
           blocks(extent.height, format.block_height),
           extent.depth};
    const ImageLayout::Level& whole = out.aspect->levels[level];
    if (out.x + out.width <= whole.width && out.y + out.height <= whole.height &&
        out.z + out.depth <= whole.depth)
      return true;
  }
  report("D6", image.describe(),
         text("a region at %d, %d, %d of %u, %u, %u texels leaves level %u, layer %u or the image's aspects",
              offset.x, offset.y, offset.z, extent.width, extent.height, extent.depth, level, layer));
  return false;
}

void touch_box(Execution& execution, Image& image, const Box& box, Use use) {
  const VkDeviceSize bytes = box.aspect->texel_bytes;
  if (!image.sparse) return touch(execution, image, {0, image.requirements.size}, use);
  // Whole blocks of the binding, so that neighbours in a row are one range.
  const VkDeviceSize block = image.requirements.alignment;
  Bytes last;
  for_rows(image, box, [&](std::uint32_t, std::uint32_t, std::uint32_t, VkDeviceSize at, std::uint32_t run) {
    const Bytes here{at / block * block, (at + run * bytes + block - 1) / block * block};
    if (here.begin >= last.begin && here.end <= last.end) return;
    touch(execution, image, here, use);
    last = here;
  });
}

void need_usage(const Resource& resource, bool has, const char* usage) {
  if (!has) report("D6", resource.describe(), text("was created without %s", usage));
}

}  // namespace vasim
