// What the transfer commands do, byte by byte, and what they check when they are recorded (D6).
#pragma once

#include <algorithm>

#include "buffer.hpp"
#include "command_buffer.hpp"
#include "image.hpp"

namespace vasim {

// A box of texel blocks in one level and layer of an image.
struct Box {
  const ImageLayout::Aspect* aspect = nullptr;
  std::uint32_t level = 0, layer = 0;
  std::uint32_t x = 0, y = 0, z = 0, width = 0, height = 0, depth = 0;  // blocks
};

// The box of a region of a copy, in blocks; D6 and false where it leaves the image.
bool read_box(const Image& image, VkImageAspectFlags aspect, std::uint32_t level, std::uint32_t layer,
              const VkOffset3D& offset, const VkExtent3D& extent, Box& out);

// The command reads or writes the box.
void touch_box(Execution& execution, Image& image, const Box& box, Use use);

// Rows of a box: whatever lies side by side in the image. `row` is called with the place in the box (blocks),
// the bytes' offset in the image and how many blocks there are.
template <class Row>
void for_rows(const Image& image, const Box& box, Row&& row) {
  for (std::uint32_t z = 0; z < box.depth; ++z)
    for (std::uint32_t y = 0; y < box.height; ++y)
      for (std::uint32_t x = 0; x < box.width;) {
        std::uint32_t run = 0;
        const VkDeviceSize at =
            image.layout.offset_of(*box.aspect, box.level, box.layer, box.x + x, box.y + y, box.z + z, run);
        run = std::min(run, box.width - x);
        row(x, y, z, at, run);
        x += run;
      }
}

// D6 where the resource was created without the usage.
void need_usage(const Resource& resource, bool has, const char* usage);

}  // namespace vasim
