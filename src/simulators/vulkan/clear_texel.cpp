// A colour as the bytes of one texel.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "format.hpp"

namespace vasim {
namespace {

enum class Channel { Unorm, Snorm, Uint, Sint, Float, Srgb };

struct Packing {
  int first, last;  // formats
  unsigned channels, bytes;
  bool swapped;  // blue first
};

constexpr Packing kPackings[] = {
    {VK_FORMAT_R8_UNORM, VK_FORMAT_R8_SRGB, 1, 1, false},
    {VK_FORMAT_R8G8_UNORM, VK_FORMAT_R8G8_SRGB, 2, 1, false},
    {VK_FORMAT_R8G8B8_UNORM, VK_FORMAT_R8G8B8_SRGB, 3, 1, false},
    {VK_FORMAT_B8G8R8_UNORM, VK_FORMAT_B8G8R8_SRGB, 3, 1, true},
    {VK_FORMAT_R8G8B8A8_UNORM, VK_FORMAT_R8G8B8A8_SRGB, 4, 1, false},
    {VK_FORMAT_B8G8R8A8_UNORM, VK_FORMAT_B8G8R8A8_SRGB, 4, 1, true},
    {VK_FORMAT_A8B8G8R8_UNORM_PACK32, VK_FORMAT_A8B8G8R8_SRGB_PACK32, 4, 1, false},
    {VK_FORMAT_R16_UNORM, VK_FORMAT_R16_SFLOAT, 1, 2, false},
    {VK_FORMAT_R16G16_UNORM, VK_FORMAT_R16G16_SFLOAT, 2, 2, false},
    {VK_FORMAT_R16G16B16_UNORM, VK_FORMAT_R16G16B16_SFLOAT, 3, 2, false},
    {VK_FORMAT_R16G16B16A16_UNORM, VK_FORMAT_R16G16B16A16_SFLOAT, 4, 2, false},
    {VK_FORMAT_R32_UINT, VK_FORMAT_R32_SFLOAT, 1, 4, false},
    {VK_FORMAT_R32G32_UINT, VK_FORMAT_R32G32_SFLOAT, 2, 4, false},
    {VK_FORMAT_R32G32B32_UINT, VK_FORMAT_R32G32B32_SFLOAT, 3, 4, false},
    {VK_FORMAT_R32G32B32A32_UINT, VK_FORMAT_R32G32B32A32_SFLOAT, 4, 4, false}};

// Within a packing Vulkan's order is unorm, snorm, uscaled, sscaled, uint, sint, then srgb or sfloat; 32-bit
// channels begin at uint.
Channel channel_of(const Packing& packing, int format) {
  const int place = format - packing.first + (packing.bytes == 4 ? 4 : 0);
  switch (place) {
    case 0:
      return Channel::Unorm;
    case 1:
      return Channel::Snorm;
    case 2:
    case 4:
      return Channel::Uint;
    case 3:
    case 5:
      return Channel::Sint;
    default:
      return packing.bytes == 1 ? Channel::Srgb : Channel::Float;
  }
}

float to_srgb(float linear) {
  return linear <= 0.0031308F ? 12.92F * linear : 1.055F * std::pow(linear, 1 / 2.4F) - 0.055F;
}

// Nearest half float; what is too small becomes 0, what is too large infinite.
std::uint16_t to_half(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  const std::int32_t exponent = static_cast<std::int32_t>((bits >> 23U) & 0xffU) - 112;
  if (exponent <= 0) return static_cast<std::uint16_t>(sign);
  if (exponent >= 31) return static_cast<std::uint16_t>(sign | 0x7c00U);
  const std::uint32_t rounded =
      (static_cast<std::uint32_t>(exponent) << 10U) + (((bits & 0x7fffffU) + 0x1000U) >> 13U);
  return static_cast<std::uint16_t>(sign | rounded);
}

std::uint32_t encode(Channel channel, unsigned bytes, const VkClearColorValue& colour, unsigned i) {
  const float most = static_cast<float>((std::uint64_t{1} << (8 * bytes)) - 1);
  const float value = colour.float32[i];
  switch (channel) {
    case Channel::Uint:
      return colour.uint32[i];
    case Channel::Sint:
      return static_cast<std::uint32_t>(colour.int32[i]);
    case Channel::Unorm:
      return static_cast<std::uint32_t>(std::lround(std::clamp(value, 0.0F, 1.0F) * most));
    case Channel::Snorm:
      return static_cast<std::uint32_t>(std::lround(std::clamp(value, -1.0F, 1.0F) * std::floor(most / 2)));
    case Channel::Srgb: {
      const float clamped = std::clamp(value, 0.0F, 1.0F);
      return static_cast<std::uint32_t>(std::lround((i == 3 ? clamped : to_srgb(clamped)) * most));
    }
    case Channel::Float:
      break;
  }
  return bytes == 2 ? to_half(value) : colour.uint32[i];
}

}  // namespace

bool write_clear_texel(VkFormat format, const VkClearColorValue& colour, unsigned char* out) {
  for (const Packing& packing : kPackings) {
    if (format < packing.first || format > packing.last) continue;
    const Channel channel = channel_of(packing, format);
    for (unsigned i = 0; i < packing.channels; ++i) {
      const unsigned source = packing.swapped && i < 3 ? 2 - i : i;
      const std::uint32_t bits = encode(channel, packing.bytes, colour, source);
      std::memcpy(out + static_cast<std::size_t>(i) * packing.bytes, &bits, packing.bytes);
    }
    return true;
  }
  return false;
}

}  // namespace vasim
