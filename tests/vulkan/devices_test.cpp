// vulkan::Heap on lavapipe and on all devices that the simulated driver plays, under validation: whatever is
// created and bound is created and bound as the device wants it.
#include <cstring>

#include "vulkan/heap_fixture.hpp"

namespace vaspace::test {
namespace {

class EveryDevice : public HeapTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { open({.profile = GetParam()}); }
};

INSTANTIATE_TEST_SUITE_P(Devices, EveryDevice,
                         testing::Values("", "discrete_bar256", "discrete_rebar", "integrated",
                                         "mobile_tiler", "granularity_64k", "no_sparse", "tiny",
                                         "absurd_budget", "count_64"),
                         [](const auto& device) {
                           return *device.param == 0 ? std::string("lavapipe") : std::string(device.param);
                         });

// V1, V2, V4, V5, V6, V7, V8: the driver reports each that is broken.
TEST_P(EveryDevice, V1_V2_V6_V7_V8_BuffersAndImagesComeAndGo) {
  std::vector<vulkan::Buffer> buffers;
  std::vector<vulkan::Image> images;
  for (std::uint32_t round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < 24; ++i) {
      const std::uint64_t size = 1 + (i * 7919 + round * 104729) % 100'000;
      auto buffer = heap->create_buffer(
          {.size = Bytes{size},
           .usage = kTransfer | (i % 2 * std::uint32_t{VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT})});
      ASSERT_TRUE(buffer) << to_string(buffer.error().code);
      EXPECT_EQ(buffer->size(), Bytes{size});
      EXPECT_EQ(buffer->offset(), 0_B);
      buffers.push_back(std::move(*buffer));
      VkImageCreateInfo info = image_info(8 + i * 4);
      if (i % 4 == 3) info.tiling = VK_IMAGE_TILING_LINEAR;
      auto image = heap->create_image({.info = &info});
      ASSERT_TRUE(image) << to_string(image.error().code);
      images.push_back(std::move(*image));
    }
    for (std::size_t i = 0; i < buffers.size(); i += 2) {
      buffers[i].reset();
      images[i].reset();
    }
    std::erase_if(buffers, [](const vulkan::Buffer& buffer) { return !buffer; });
    std::erase_if(images, [](const vulkan::Image& image) { return !image; });
    heap->collect();
    EXPECT_EQ(heap->validate(), nullptr);
  }
  const vulkan::HeapReport report = heap->report();
  EXPECT_EQ(report.buffers, buffers.size());
  EXPECT_EQ(report.images, images.size());
  EXPECT_LE(report.memory.memory_objects, backend->profile().capabilities.max_reservations);
  buffers.clear();
  images.clear();
  heap->trim();
  EXPECT_EQ(heap->report().memory.total.committed, 0_B);
}

// What was written through the host or a copy is there: binds lie where they should (V6, V7, V10 to V13).
TEST_P(EveryDevice, V10_V11_V12_V13_WhatIsUploadedIsThere) {
  const TimelineId id = add_timeline();
  auto ring = vulkan::UploadRing::create(*heap, {.capacity = 256_KiB, .timeline = id}).value();
  std::vector<vulkan::Buffer> targets;
  std::vector<std::vector<std::uint32_t>> contents;
  std::uint64_t frame = 0;
  int staged = 0;
  for (std::uint32_t i = 0; i < 12; ++i) {
    const bool shared = i % 2 == 0;
    vulkan::BufferRequest request{
        .size = Bytes{400 + i * 1000}, .usage = kTransfer, .mapping = Mapping::preferred};
    auto made = shared ? heap->alloc_buffer(request) : heap->create_buffer(request);
    ASSERT_TRUE(made) << to_string(made.error().code);
    std::vector<std::uint32_t> words(made->size().value / 4);
    for (std::size_t w = 0; w < words.size(); ++w)
      words[w] = static_cast<std::uint32_t>(w * 31 + i);
    const auto upload = ring.upload(*made, 0_B, std::as_bytes(std::span(words)));
    ASSERT_TRUE(upload) << to_string(upload.error().code);
    if (!upload->direct) {
      ++staged;
      gpu->submit(
          [&](VkCommandBuffer commands) {
            const VkBufferCopy region{upload->source_offset.value, upload->destination_offset.value,
                                      upload->size.value};
            vkCmdCopyBuffer(commands, upload->source, upload->destination, 1, &region);
          },
          {}, {timeline, ++frame});
      ASSERT_TRUE(ring.close(frame));
      ASSERT_TRUE(ring.wait(frame, kForever));
    }
    targets.push_back(std::move(*made));
    contents.push_back(std::move(words));
  }
  vkQueueWaitIdle(gpu->graphics);  // the layer does not see that a timeline was waited for
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const Bytes end = targets[i].offset() + targets[i].size();
    const std::vector<std::uint32_t> words = gpu->words_of(targets[i].buffer(), end);
    EXPECT_EQ(
        std::memcmp(words.data() + targets[i].offset().value / 4, contents[i].data(), contents[i].size() * 4),
        0)
        << i;
  }
  // Everything is direct where all memory is one, and staged where the host sees none of the device's.
  const std::string profile = GetParam();
  if (profile == "integrated" || profile == "discrete_rebar" || profile.empty()) {
    EXPECT_EQ(staged, 0);
  }
  if (profile == "no_sparse" || profile == "tiny") {
    EXPECT_GT(staged, 0);
  }
}

TEST_P(EveryDevice, SubBuffersAreDisjointAlignedAndOfTheirUsage) {
  constexpr std::uint32_t kUsages[] = {
      VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, VK_BUFFER_USAGE_INDEX_BUFFER_BIT, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
      VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT,
      VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT};
  std::vector<vulkan::Buffer> live;
  for (std::uint32_t i = 0; i < 300; ++i) {
    const std::uint32_t usage = kUsages[i % 5];
    auto made = heap->alloc_buffer(Bytes{1 + i * 577 % 20'000}, usage);
    ASSERT_TRUE(made) << to_string(made.error().code);
    EXPECT_TRUE(made->is_sub_buffer());
    EXPECT_TRUE(is_aligned(made->offset(), vulkan::sub_buffer_alignment(usage, backend->resource_limits())));
    for (const vulkan::Buffer& other : live) {
      if (other.buffer() != made->buffer()) continue;
      EXPECT_TRUE(other.offset() + other.size() <= made->offset() ||
                  made->offset() + made->size() <= other.offset());
    }
    live.push_back(std::move(*made));
    if (i % 3 == 0) live.erase(live.begin() + static_cast<std::ptrdiff_t>(live.size() / 2));
  }
  gpu->run([&](VkCommandBuffer commands) {
    for (const vulkan::Buffer& each : live)
      vkCmdFillBuffer(commands, each.buffer(), align_up(each.offset(), Alignment{4}).value,
                      std::max<std::uint64_t>(4, align_down(each.size(), Alignment{4}).value), 1);
  });
  EXPECT_LE(heap->report().sub_buffer_pools, 4U) << "meshes, indices and storage share one";
  EXPECT_EQ(heap->report().sub_buffers, live.size());
  EXPECT_EQ(heap->validate(), nullptr);
  live.clear();
  heap->trim();
  EXPECT_EQ(heap->report().sub_buffer_committed, 0_B);
}

TEST_P(EveryDevice, V13_MappedSubBuffersShareNoAtom) {
  std::vector<vulkan::Buffer> live;
  for (std::uint32_t i = 0; i < 40; ++i) {
    auto made = heap->alloc_buffer({.size = Bytes{1 + i * 13},
                                    .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                    .intent = Intent::readback,
                                    .mapping = Mapping::required});
    ASSERT_TRUE(made) << to_string(made.error().code);
    ASSERT_NE(made->mapped(), nullptr);
    std::memset(made->mapped(), static_cast<int>(i), made->size().value);
    EXPECT_TRUE(heap->flush(*made));
    live.push_back(std::move(*made));
  }
  for (std::uint32_t i = 0; i < 40; ++i) {
    EXPECT_TRUE(heap->invalidate(live[i]));
    EXPECT_EQ(live[i].mapped()[live[i].size().value - 1], static_cast<std::byte>(i));
  }
}

TEST_P(EveryDevice, FrameMemoryStartsOverWhenTheDeviceIsPastIt) {
  const TimelineId id = add_timeline();
  auto frames = vulkan::FrameMemory::create(
                    *heap, {.capacity = 16_KiB,
                            .frames = 2,
                            .timeline = id,
                            .usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT})
                    .value();
  EXPECT_EQ(code(frames.allocate(16_B)), ErrorCode::wrong_state);
  VkDeviceSize first = 0;
  for (std::uint64_t frame = 1; frame <= 6; ++frame) {
    ASSERT_TRUE(frames.begin(frame, kForever));
    const auto a = frames.allocate(100_B);
    const auto b = frames.allocate(100_B);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(a->buffer, b->buffer);
    EXPECT_TRUE(is_aligned(b->offset, backend->resource_limits().uniform));
    std::memset(a->mapped, 1, 100);
    std::memset(b->mapped, 2, 100);
    ASSERT_TRUE(frames.flush());
    if (frame % 2 == 1) {
      if (first == 0) first = a->offset.value + 1;
      EXPECT_EQ(a->offset.value + 1, first) << "every second frame lies where the first one did";
    }
    gpu->submit([](VkCommandBuffer) {}, {}, {timeline, frame});
  }
  EXPECT_EQ(code(frames.begin(1, 0)), ErrorCode::wrong_state);
  EXPECT_EQ(code(frames.allocate(17_KiB)), ErrorCode::too_large);
  vkQueueWaitIdle(gpu->graphics);
}

TEST_P(EveryDevice, V9_DeviceAddresses) {
  const vulkan::BufferRequest request{
      .size = 4_KiB, .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
  // Older blocks without the flag must not be used for it.
  auto plain = heap->create_buffer({.size = 4_KiB, .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT}).value();
  const auto buffer = heap->create_buffer(request);
  const auto range = heap->alloc_buffer(request);
  if (!gpu->features.buffer_device_address) {
    EXPECT_EQ(code(buffer), ErrorCode::not_supported);
    EXPECT_EQ(last_feature, "bufferDeviceAddress");
    return;
  }
  ASSERT_TRUE(buffer && range);
  EXPECT_NE(buffer->device_address(), 0U);
  EXPECT_NE(range->device_address(), 0U);
  EXPECT_EQ(plain.device_address(), 0U);
}

}  // namespace
}  // namespace vaspace::test
