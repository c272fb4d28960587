// Sparse textures over a vulkan::Heap on a device of these tests. At the end nothing may be left.
#pragma once

#include "vaspace/frontends/vulkan/sparse_texture.hpp"

#include "vulkan/heap_fixture.hpp"

namespace vaspace::test {

using vulkan::SparseTexture;
using vulkan::SparseTextures;
using vulkan::TileBox;
using vulkan::TileChange;

struct TextureShape {
  VkExtent3D extent{1024, 1024, 1};
  std::uint32_t levels = 1, layers = 1;
  VkFormat format = VK_FORMAT_R8G8B8A8_UNORM;
};

inline VkImageCreateInfo texture_info(const TextureShape& shape) {
  VkImageCreateInfo info = image_info(shape.extent.width);
  if (shape.extent.depth > 1) info.imageType = VK_IMAGE_TYPE_3D;
  info.format = shape.format;
  info.extent = shape.extent;
  info.mipLevels = shape.levels;
  info.arrayLayers = shape.layers;
  return info;
}

class SparseTextureTest : public HeapTest {
 protected:
  void open_textures(const DeviceWish& wish, std::span<const vulkan::NamedFunction> named = {}) {
    textures.reset();
    open(wish);
    ASSERT_NE(gpu, nullptr);
    ASSERT_TRUE(make_textures(named));
  }
  [[nodiscard]] bool make_textures(std::span<const vulkan::NamedFunction> named = {}) {
    auto made = SparseTextures::create(*heap, {.sparse = queue(), .functions = named});
    if (!made) return false;
    textures.emplace(std::move(*made));
    return true;
  }
  [[nodiscard]] vulkan::Queue queue() const { return {.queue = gpu->sparse, .family = gpu->sparse_family}; }
  void TearDown() override {
    textures.reset();
    HeapTest::TearDown();
  }

  [[nodiscard]] Result<SparseTexture> try_texture(const TextureShape& shape) {
    const VkImageCreateInfo info = texture_info(shape);
    return textures->create_texture({.info = &info, .name = "terrain"});
  }
  [[nodiscard]] SparseTexture texture(const TextureShape& shape) {
    auto made = try_texture(shape);
    EXPECT_TRUE(made) << to_string(made.error().code);
    return made ? std::move(*made) : SparseTexture{};
  }
  static TileBox whole_level(const SparseTexture& of, std::uint32_t level, std::uint32_t layer = 0) {
    const auto tiles = of.tiles(level);
    return {.level = level, .layer = layer, .width = tiles[0], .height = tiles[1], .depth = tiles[2]};
  }
  // Done by the device when it returns.
  void change(const SparseTexture& of, const TileBox& box, bool resident = true) {
    const TileChange one{&of, box, resident};
    const auto point = textures->update({&one, 1});
    ASSERT_TRUE(point) << to_string(point.error().code);
    ASSERT_TRUE(textures->wait(*point, kForever));
  }
  [[nodiscard]] Bytes live() { return heap->report().memory.total.live; }
  static std::uint64_t calls(const char* function) { return TestDevice::control().call_count(function); }

  // ---- what the device sees

  void to_general(const SparseTexture& of, const TextureShape& shape) {
    gpu->run([&](VkCommandBuffer commands) {
      VkImageMemoryBarrier barrier{};
      barrier.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER;
      barrier.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT;
      barrier.newLayout = VK_IMAGE_LAYOUT_GENERAL;
      barrier.srcQueueFamilyIndex = barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
      barrier.image = of.image();
      barrier.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, shape.levels, 0, shape.layers};
      vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0,
                           nullptr, 0, nullptr, 1, &barrier);
    });
  }
  static VkBufferImageCopy region(const TileBox& at, std::int32_t x, std::int32_t y, VkExtent3D extent) {
    VkBufferImageCopy copy{};
    copy.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, at.level, at.layer, 1};
    copy.imageOffset = {x, y, 0};
    copy.imageExtent = extent;
    return copy;
  }
  static void barrier(VkCommandBuffer commands) {
    VkMemoryBarrier barrier{};
    barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1,
                         &barrier, 0, nullptr, 0, nullptr);
  }
  // Fills texels of a level with a word, after `before`.
  void paint(const SparseTexture& of, const TileBox& at, std::int32_t x, std::int32_t y, VkExtent3D extent,
             std::uint32_t word, SubmitPoint before = {}, SubmitPoint after = {}) {
    const Bytes size{std::uint64_t{extent.width} * extent.height * extent.depth * 4};
    const auto source = heap->create_buffer({.size = size, .usage = kTransfer}).value();
    gpu->submit(
        [&](VkCommandBuffer commands) {
          vkCmdFillBuffer(commands, source.buffer(), 0, VK_WHOLE_SIZE, word);
          barrier(commands);
          const VkBufferImageCopy copy = region(at, x, y, extent);
          vkCmdCopyBufferToImage(commands, source.buffer(), of.image(), VK_IMAGE_LAYOUT_GENERAL, 1, &copy);
        },
        before, after);
    ASSERT_EQ(vkQueueWaitIdle(gpu->graphics), VK_SUCCESS);
  }
  std::uint32_t texel(const SparseTexture& of, const TileBox& at, std::int32_t x, std::int32_t y) {
    const auto seen = heap->create_buffer({.size = 4_B, .usage = kTransfer}).value();
    gpu->run([&](VkCommandBuffer commands) {
      const VkBufferImageCopy copy = region(at, x, y, {1, 1, 1});
      vkCmdCopyImageToBuffer(commands, of.image(), VK_IMAGE_LAYOUT_GENERAL, seen.buffer(), 1, &copy);
      barrier(commands);
    });
    return gpu->words_of(seen.buffer(), 4_B)[0];
  }

  std::optional<SparseTextures> textures;
};

}  // namespace vaspace::test
