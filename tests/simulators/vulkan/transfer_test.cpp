// Transfers do what a model of them on the host does: on the simulated driver and on any other.
#include <algorithm>
#include <array>
#include <cstring>
#include <random>

#include "rules.hpp"

namespace vasim::test {
namespace {

using Random = std::mt19937;

std::uint32_t below(Random& random, std::uint32_t end) {
  return static_cast<std::uint32_t>(random() % end);
}

class Transfer : public Rules, public testing::WithParamInterface<const char*> {};

// Fills, updates and copies of several buffers, in random ranges.
TEST_P(Transfer, BuffersAreAsInTheModel_Kept) {
  Program& p = kept(GetParam(), "delay_us=0..100");
  constexpr std::uint32_t kBytes = 4096, kBuffers = 3;
  Random random(1);
  std::array<VkBuffer, kBuffers> buffers{};
  std::array<std::vector<unsigned char>, kBuffers> model;
  for (std::uint32_t i = 0; i < kBuffers; ++i) {
    buffers[i] = p.buffer(kBytes);
    p.back(buffers[i], i == 0 ? kHost : 0);
    model[i].assign(kBytes, 0);
    p.fill(buffers[i], 0, kBytes, 0);
  }
  for (int round = 0; round < 10; ++round)
    p.run([&](VkCommandBuffer commands) {
      for (int step = 0; step < 20; ++step) {
        const std::uint32_t a = below(random, kBuffers), b = (a + 1 + below(random, kBuffers - 1)) % kBuffers;
        const std::uint32_t size = 4 * (1 + below(random, 64)), from = 4 * below(random, (kBytes - size) / 4),
                            to = 4 * below(random, (kBytes - size) / 4);
        const std::uint32_t word = below(random, 256) * 0x01010101U;
        barrier(commands);
        if (step % 3 == 0) {
          vkCmdFillBuffer(commands, buffers[a], to, size, word);
          std::memset(model[a].data() + to, static_cast<int>(word & 0xffU), size);
        } else if (step % 3 == 1) {
          std::vector<unsigned char> bytes(size);
          for (auto& byte : bytes)
            byte = static_cast<unsigned char>(below(random, 256));
          vkCmdUpdateBuffer(commands, buffers[a], to, size, bytes.data());
          std::copy(bytes.begin(), bytes.end(), model[a].begin() + to);
        } else {
          const VkBufferCopy copy{from, to, size};
          vkCmdCopyBuffer(commands, buffers[a], buffers[b], 1, &copy);
          std::copy_n(model[a].begin() + from, size, model[b].begin() + to);
        }
      }
    });
  for (std::uint32_t i = 0; i < kBuffers; ++i)
    EXPECT_EQ(p.contents(buffers[i], kBytes), model[i]) << i;
}

// An image on the host: texels of four bytes.
struct Model {
  std::uint32_t width, height;
  std::vector<std::uint32_t> texels = std::vector<std::uint32_t>(std::size_t{width} * height);

  std::uint32_t& at(std::uint32_t x, std::uint32_t y) { return texels[std::size_t{y} * width + x]; }
};

struct Rectangle {
  std::uint32_t x, y, width, height;
};

Rectangle rectangle_in(Random& random, const Model& image) {
  const std::uint32_t width = 1 + below(random, image.width), height = 1 + below(random, image.height);
  return {below(random, image.width - width + 1), below(random, image.height - height + 1), width, height};
}

VkOffset3D offset_of(const Rectangle& r) {
  return {static_cast<std::int32_t>(r.x), static_cast<std::int32_t>(r.y), 0};
}

constexpr VkImageSubresourceLayers kLayer{VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};

// Copies of random rectangles from a buffer, between two images and back, rows longer than the rectangle.
TEST_P(Transfer, ImagesAreAsInTheModel_Kept) {
  Program& p = kept(GetParam(), "delay_us=0..100");
  Random random(2);
  constexpr std::uint32_t kRow = 160, kRows = 120;
  const VkDeviceSize size = VkDeviceSize{4} * kRow * kRows;
  const VkBuffer source = p.buffer(size), target = p.buffer(size);
  const VkDeviceMemory source_memory = p.back(source), target_memory = p.back(target);
  auto* const words = reinterpret_cast<std::uint32_t*>(p.map(source_memory));
  for (VkDeviceSize i = 0; i < size / 4; ++i)
    words[i] = static_cast<std::uint32_t>(random());
  Model models[] = {{150, 90}, {130, 110}};
  VkImage images[2] = {};
  for (int i = 0; i < 2; ++i) {
    ImageSpec spec;
    spec.extent = {models[i].width, models[i].height, 1};
    if (i == 1) spec.tiling = VK_IMAGE_TILING_LINEAR;
    images[i] = p.image(spec);
    p.back(images[i]);
    p.run([&](VkCommandBuffer commands) {
      to_general(commands, images[i]);
      const VkClearColorValue black{{0, 0, 0, 0}};
      const VkImageSubresourceRange all{VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
      vkCmdClearColorImage(commands, images[i], VK_IMAGE_LAYOUT_GENERAL, &black, 1, &all);
      barrier(commands);
    });
  }
  for (int round = 0; round < 30; ++round)
    p.run([&](VkCommandBuffer commands) {
      const int a = round % 2;
      const Rectangle r = rectangle_in(random, models[a]);
      const VkBufferImageCopy upload{0, kRow, kRows, kLayer, offset_of(r), {r.width, r.height, 1}};
      vkCmdCopyBufferToImage(commands, source, images[a], VK_IMAGE_LAYOUT_GENERAL, 1, &upload);
      for (std::uint32_t y = 0; y < r.height; ++y)
        for (std::uint32_t x = 0; x < r.width; ++x)
          models[a].at(r.x + x, r.y + y) = words[y * kRow + x];
      barrier(commands);
      const Rectangle from = rectangle_in(random, {100, 80});
      const Rectangle to{below(random, 130 - from.width + 1), below(random, 90 - from.height + 1), from.width,
                         from.height};
      const VkImageCopy copy{kLayer, offset_of(from), kLayer, offset_of(to), {from.width, from.height, 1}};
      vkCmdCopyImage(commands, images[a], VK_IMAGE_LAYOUT_GENERAL, images[1 - a], VK_IMAGE_LAYOUT_GENERAL, 1,
                     &copy);
      for (std::uint32_t y = 0; y < from.height; ++y)
        for (std::uint32_t x = 0; x < from.width; ++x)
          models[1 - a].at(to.x + x, to.y + y) = models[a].at(from.x + x, from.y + y);
      barrier(commands);
    });
  for (int i = 0; i < 2; ++i) {
    p.run([&](VkCommandBuffer commands) {
      const VkBufferImageCopy whole{0, 0, 0, kLayer, {0, 0, 0}, {models[i].width, models[i].height, 1}};
      vkCmdCopyImageToBuffer(commands, images[i], VK_IMAGE_LAYOUT_GENERAL, target, 1, &whole);
      barrier(commands);
    });
    EXPECT_EQ(std::memcmp(p.map(target_memory), models[i].texels.data(), models[i].texels.size() * 4), 0)
        << i;
    vkUnmapMemory(p.device, target_memory);
  }
}

// Levels and layers lie apart, and a clear is of the value that the format makes of it.
TEST_P(Transfer, LevelsAndLayersAreApart_Kept) {
  Program& p = kept(GetParam());
  ImageSpec spec;
  spec.extent = {16, 8, 1};
  spec.levels = 3;
  spec.layers = 2;
  spec.format = VK_FORMAT_B8G8R8A8_UNORM;
  const VkImage image = p.image(spec);
  p.back(image);
  const VkBuffer read = p.buffer(24);
  const VkDeviceMemory memory = p.back(read);
  p.run([&](VkCommandBuffer commands) {
    to_general(commands, image, 3, 2);
    std::uint32_t i = 0;
    for (std::uint32_t level = 0; level < 3; ++level)
      for (std::uint32_t layer = 0; layer < 2; ++layer, ++i) {
        const VkClearColorValue colour{{static_cast<float>(i) / 255, 1, 0, static_cast<float>(10 * i) / 255}};
        const VkImageSubresourceRange one{VK_IMAGE_ASPECT_COLOR_BIT, level, 1, layer, 1};
        vkCmdClearColorImage(commands, image, VK_IMAGE_LAYOUT_GENERAL, &colour, 1, &one);
      }
    barrier(commands);
    for (std::uint32_t level = 0; level < 3; ++level) {
      const VkBufferImageCopy texel{level * 8, 0,        0, {VK_IMAGE_ASPECT_COLOR_BIT, level, 0, 2},
                                    {3, 1, 0}, {1, 1, 1}};
      vkCmdCopyImageToBuffer(commands, image, VK_IMAGE_LAYOUT_GENERAL, read, 1, &texel);
    }
    barrier(commands);
  });
  const unsigned char* const bytes = p.map(memory);
  for (int i = 0; i < 6; ++i) {
    const unsigned char expected[] = {0, 255, static_cast<unsigned char>(i),
                                      static_cast<unsigned char>(10 * i)};
    EXPECT_EQ(std::memcmp(bytes + 4 * i, expected, 4), 0) << i;
  }
}

// A volume's slices become an array's layers.
TEST_P(Transfer, SlicesBecomeLayers_Kept) {
  Program& p = kept(GetParam());
  ImageSpec volume, array;
  volume.extent = {8, 8, 4};
  array.extent = {8, 8, 1};
  array.layers = 4;
  const VkImage from = p.image(volume), to = p.image(array);
  p.back(from);
  p.back(to);
  const VkBuffer source = p.buffer(1024), target = p.buffer(1024);
  const VkDeviceMemory source_memory = p.back(source), target_memory = p.back(target);
  unsigned char* const bytes = p.map(source_memory);
  for (int i = 0; i < 1024; ++i)
    bytes[i] = static_cast<unsigned char>(i * 7 + i / 256);
  p.run([&](VkCommandBuffer commands) {
    to_general(commands, from);
    to_general(commands, to, 1, 4);
    const VkBufferImageCopy in{0, 0, 0, kLayer, {0, 0, 0}, {8, 8, 4}};
    vkCmdCopyBufferToImage(commands, source, from, VK_IMAGE_LAYOUT_GENERAL, 1, &in);
    barrier(commands);
    const VkImageSubresourceLayers layers{VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 4};
    const VkImageCopy copy{kLayer, {0, 0, 0}, layers, {0, 0, 0}, {8, 8, 4}};
    vkCmdCopyImage(commands, from, VK_IMAGE_LAYOUT_GENERAL, to, VK_IMAGE_LAYOUT_GENERAL, 1, &copy);
    barrier(commands);
    const VkBufferImageCopy out{0, 0, 0, layers, {0, 0, 0}, {8, 8, 1}};
    vkCmdCopyImageToBuffer(commands, to, VK_IMAGE_LAYOUT_GENERAL, target, 1, &out);
    barrier(commands);
  });
  EXPECT_EQ(std::memcmp(p.map(target_memory), bytes, 1024), 0);
}

struct Clear {
  VkFormat format;
  VkClearColorValue colour;
  std::vector<unsigned char> bytes;
};

VkClearColorValue floats(float r, float g, float b, float a) {
  return {{r, g, b, a}};
}
VkClearColorValue integers(std::int32_t r, std::int32_t g) {
  VkClearColorValue value{};
  value.int32[0] = r;
  value.int32[1] = g;
  return value;
}

TEST_P(Transfer, ClearsAreWhatTheFormatMakesOfThem_Kept) {
  Program& p = kept(GetParam());
  const Clear clears[] = {
      {VK_FORMAT_R8_UNORM, floats(1, 0, 0, 0), {255}},
      {VK_FORMAT_R8G8_SNORM, floats(-1, 1, 0, 0), {0x81, 0x7f}},
      {VK_FORMAT_R8G8B8A8_SRGB, floats(0.5F, 0, 1, 0.5F), {188, 0, 255, 128}},
      {VK_FORMAT_R16G16_SINT, integers(-2, 300), {0xfe, 0xff, 0x2c, 0x01}},
      {VK_FORMAT_R16G16_SFLOAT, floats(1.5F, -2, 0, 0), {0x00, 0x3e, 0x00, 0xc0}},
      {VK_FORMAT_R32_SFLOAT, floats(1, 0, 0, 0), {0, 0, 0x80, 0x3f}},
      {VK_FORMAT_R16_UNORM, floats(0.5F, 0, 0, 0), {0x00, 0x80}},
  };
  for (const Clear& clear : clears) {
    ImageSpec spec;
    spec.format = clear.format;
    spec.extent = {4, 4, 1};
    const VkImage image = p.image(spec);
    p.back(image);
    const VkBuffer read = p.buffer(16 * clear.bytes.size());
    const VkDeviceMemory memory = p.back(read);
    p.run([&](VkCommandBuffer commands) {
      to_general(commands, image);
      const VkImageSubresourceRange all{VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
      vkCmdClearColorImage(commands, image, VK_IMAGE_LAYOUT_GENERAL, &clear.colour, 1, &all);
      barrier(commands);
      const VkBufferImageCopy whole{0, 0, 0, kLayer, {0, 0, 0}, {4, 4, 1}};
      vkCmdCopyImageToBuffer(commands, image, VK_IMAGE_LAYOUT_GENERAL, read, 1, &whole);
      barrier(commands);
    });
    const unsigned char* const bytes = p.map(memory);
    const std::vector<unsigned char> last(bytes + 15 * clear.bytes.size(), bytes + 16 * clear.bytes.size());
    EXPECT_EQ(last, clear.bytes) << "format " << clear.format;
  }
}

// What the host writes into a linear image is where its layout says.
TEST_P(Transfer, LinearImagesAreWhereTheirLayoutSays_Kept) {
  Program& p = kept(GetParam());
  ImageSpec spec;
  spec.extent = {33, 7, 1};
  spec.tiling = VK_IMAGE_TILING_LINEAR;
  const VkImage image = p.image(spec);
  unsigned char* const bytes = p.map(p.back(image, kHost));
  const VkBuffer read = p.buffer(4);
  const VkDeviceMemory memory = p.back(read);
  p.run([&](VkCommandBuffer commands) { to_general(commands, image); });
  const VkImageSubresource first{VK_IMAGE_ASPECT_COLOR_BIT, 0, 0};
  VkSubresourceLayout layout{};
  vkGetImageSubresourceLayout(p.device, image, &first, &layout);
  const std::uint32_t texel = 0x12345678;
  std::memcpy(bytes + layout.offset + 5 * layout.rowPitch + std::size_t{4} * 31, &texel, 4);
  p.run([&](VkCommandBuffer commands) {
    const VkBufferImageCopy one{0, 0, 0, kLayer, {31, 5, 0}, {1, 1, 1}};
    vkCmdCopyImageToBuffer(commands, image, VK_IMAGE_LAYOUT_GENERAL, read, 1, &one);
    barrier(commands);
  });
  EXPECT_EQ(std::memcmp(p.map(memory), &texel, 4), 0);
}

INSTANTIATE_TEST_SUITE_P(Profiles, Transfer,
                         testing::Values("discrete_bar256", "integrated", "mobile_tiler"));

}  // namespace
}  // namespace vasim::test
