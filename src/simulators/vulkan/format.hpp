// The formats of this driver: bytes, blocks, and what their images may be used for.
#pragma once

#include <cstdint>
#include <vulkan/vulkan_core.h>

namespace vasim {

enum class Kind : std::uint8_t { Float, Integer, Depth, Stencil, DepthStencil, Compressed };

struct Format {
  Kind kind = Kind::Float;
  std::uint32_t bytes = 0;          // of a texel block; of depth where there is depth
  std::uint32_t stencil_bytes = 0;  // beside depth
  std::uint32_t block_width = 1, block_height = 1;

  [[nodiscard]] VkImageAspectFlags aspects() const;
  // Bytes of a block of one aspect.
  [[nodiscard]] std::uint32_t bytes_of(VkImageAspectFlags aspect) const;
};

// Fills `out` and returns true where the format is known.
bool find_format(VkFormat format, Format& out);

// Whether the channels of a packed colour are cleared from integers, and how: one texel of `format` from a
// clear value, `bytes` long. False where this driver cannot write that format.
bool write_clear_texel(VkFormat format, const VkClearColorValue& colour, unsigned char* out);

}  // namespace vasim
