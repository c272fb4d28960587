// Alignment of what is handed out of larger buffers, and atoms of memory that is not coherent.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <unistd.h>

#include "vulkan/heap_fixture.hpp"

namespace vaspace::test {
namespace {

// ---- what each usage wants of an offset

TEST(SubBufferAlignment, IsTheLargestOfWhatItsUsagesWant) {
  constexpr vulkan::ResourceLimits kLimits{.uniform = Alignment{64},
                                           .storage = Alignment{128},
                                           .texel = Alignment{512},
                                           .scratch = Alignment{1024},
                                           .copy = Alignment{2048}};
  const auto of = [&](std::uint32_t usage) { return vulkan::sub_buffer_alignment(usage, kLimits).value; };
  EXPECT_EQ(of(VK_BUFFER_USAGE_INDEX_BUFFER_BIT), 4U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT), 4U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_CONDITIONAL_RENDERING_BIT_EXT), 4U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_VERTEX_BUFFER_BIT), 16U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_INDEX_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT), 16U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_ACCELERATION_STRUCTURE_BUILD_INPUT_READ_ONLY_BIT_KHR), 16U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT), 64U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_SHADER_BINDING_TABLE_BIT_KHR), 64U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_ACCELERATION_STRUCTURE_STORAGE_BIT_KHR), 256U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT), 512U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT), 512U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_STORAGE_BUFFER_BIT), 1024U) << "scratch memory is storage";
  EXPECT_EQ(of(kTransfer), 2048U) << "for copies alone";
  EXPECT_EQ(of(kTransfer | VK_BUFFER_USAGE_VERTEX_BUFFER_BIT), 16U) << "copied once, read often";
  EXPECT_EQ(of(VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT), 64U);
  EXPECT_EQ(of(1U << 30U), 256U) << "a usage of the future";
}

TEST(SubBufferAlignment, IsEnoughForTexelsAndShadersWhereTheDeviceWantsNothing) {
  const auto of = [](std::uint32_t usage) { return vulkan::sub_buffer_alignment(usage, {}).value; };
  EXPECT_EQ(of(VK_BUFFER_USAGE_TRANSFER_SRC_BIT), 32U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT), 16U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_STORAGE_BUFFER_BIT), 16U);
  EXPECT_EQ(of(VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT), 16U);
}

TEST_F(HeapTest, AddressesOfSubBuffersAreAlignedAsTheirOffsetsAre) {
  constexpr std::uint32_t kUsage =
      VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
  for (const bool in_sparse : {false, true}) {
    sparse = in_sparse;
    open({.profile = "discrete_bar256"});
    for (std::uint32_t i = 0; i < 40; ++i) {
      const auto made =
          heap->alloc_buffer({.size = Bytes{1 + i * 977}, .usage = kUsage, .alignment = Alignment{256}})
              .value();
      EXPECT_TRUE(is_aligned(made.offset(), Alignment{256}));
      EXPECT_EQ(made.device_address() % 256, 0U);
    }
  }
}

// ---- atoms

// A device whose coherent memory is too little for anything, so that staging lies in memory that is not.
class Atoms : public HeapTest {
 protected:
  static constexpr Alignment kAtom{256};

  void SetUp() override {
    std::ofstream(profile()) << R"({
      "base": "tiny", "source": "Chosen: of its coherent memory there is nearly none.",
      "memory": {
        "heaps": [{"size": "48 MiB", "flags": ["device_local"]}, {"size": "64 KiB", "flags": []},
                  {"size": "16 MiB", "flags": []}],
        "types": [{"heap": 0, "flags": ["device_local"]}, {"heap": 1, "flags": ["host_visible", "host_coherent"]},
                  {"heap": 2, "flags": ["host_visible", "host_cached"]}]},
      "limits": {"nonCoherentAtomSize": 256, "minUniformBufferOffsetAlignment": 16}})";
    open({.profile = profile()});
    if (gpu != nullptr) id = add_timeline();
  }
  void TearDown() override {
    HeapTest::TearDown();
    std::remove(profile().c_str());
  }
  [[nodiscard]] static std::string profile() {
    return testing::TempDir() + "vaspace_no_coherent_memory_" + std::to_string(::getpid()) + ".json";
  }

  // Notes the atoms of a piece, which nobody may have had.
  void expect_atoms_of_its_own(const vulkan::Piece& piece) {
    EXPECT_TRUE(is_aligned(piece.offset, kAtom));
    for (Bytes at = piece.offset; at < piece.offset + piece.size; at += Bytes{kAtom.value})
      EXPECT_TRUE(atoms.insert({(std::uint64_t)piece.buffer, at.value / kAtom.value}).second) << at.value;
  }

  TimelineId id{};
  std::set<std::pair<std::uint64_t, std::uint64_t>> atoms;
};

TEST_F(Atoms, V12_V13_PiecesOfARingShareNone) {
  auto ring = vulkan::UploadRing::create(*heap, {.capacity = 256_KiB, .timeline = id}).value();
  for (std::uint32_t i = 0; i < 20; ++i) {
    const std::vector<std::byte> bytes(1 + i * 37, static_cast<std::byte>(i));
    const auto piece = ring.write(bytes);
    ASSERT_TRUE(piece);
    EXPECT_EQ(piece->size, Bytes{bytes.size()});
    expect_atoms_of_its_own(*piece);
  }
}

TEST_F(Atoms, V12_V13_PiecesAndFramesShareNone) {
  auto frames =
      vulkan::FrameMemory::create(
          *heap,
          {.capacity = 1000_B, .frames = 3, .timeline = id, .usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT})
          .value();
  for (std::uint64_t frame = 1; frame <= 3; ++frame) {
    ASSERT_TRUE(frames.begin(frame, 0));
    for (int i = 0; i < 3; ++i) {
      const auto piece = frames.allocate(20_B);
      ASSERT_TRUE(piece);
      EXPECT_EQ(piece->buffer, frames.buffer());
      expect_atoms_of_its_own(*piece);
      std::memset(piece->mapped, 1, 20);
    }
    EXPECT_TRUE(frames.flush());
  }
}

TEST_F(Atoms, V12_V13_MappedSubBuffersShareNone) {
  std::vector<vulkan::Buffer> live;
  for (std::uint32_t i = 0; i < 20; ++i) {
    live.push_back(heap->alloc_buffer({.size = Bytes{1 + i * 37},
                                       .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                                       .intent = Intent::upload,
                                       .mapping = Mapping::required})
                       .value());
    const vulkan::Buffer& made = live.back();
    expect_atoms_of_its_own({.buffer = made.buffer(), .offset = made.offset(), .size = made.size()});
    std::memset(made.mapped(), 1, made.size().value);
    EXPECT_TRUE(heap->flush(made));
  }
}

// ---- rings and frames

TEST_F(HeapTest, ARingIsFullUntilItsOldestCloseHasPassed) {
  open({.profile = "discrete_bar256"});
  const TimelineId id = add_timeline();
  auto ring = vulkan::UploadRing::create(*heap, {.capacity = 64_KiB, .timeline = id}).value();
  EXPECT_EQ(code(ring.allocate(16_B, Alignment{3})), ErrorCode::invalid_alignment);
  ASSERT_TRUE(ring.allocate(48_KiB));
  ASSERT_TRUE(ring.close(1));
  EXPECT_EQ(code(ring.allocate(32_KiB)), ErrorCode::out_of_space);
  ASSERT_TRUE(ring.collect());
  EXPECT_EQ(code(ring.allocate(32_KiB)), ErrorCode::out_of_space) << "the device is not past it";
  EXPECT_EQ(code(ring.wait(1, 0)), ErrorCode::timed_out);
  gpu->signal(timeline, 1);
  ASSERT_TRUE(ring.wait(1, kForever));
  EXPECT_TRUE(ring.allocate(32_KiB));
  EXPECT_EQ(code(ring.close(0)), ErrorCode::wrong_state);
}

TEST_F(HeapTest, AFrameWaitsForItsOwnLastTurnOnly) {
  open({.profile = "discrete_bar256"});
  const TimelineId id = add_timeline();
  auto frames =
      vulkan::FrameMemory::create(
          *heap,
          {.capacity = 1_KiB, .frames = 2, .timeline = id, .usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT})
          .value();
  EXPECT_EQ(code(frames.flush()), ErrorCode::wrong_state);
  ASSERT_TRUE(frames.begin(1, 0));
  ASSERT_TRUE(frames.begin(2, 0)) << "two are in flight";
  EXPECT_EQ(code(frames.begin(3, 0)), ErrorCode::timed_out);
  gpu->signal(timeline, 1);
  ASSERT_TRUE(frames.begin(3, 0)) << "frame 2 is still under way";
  EXPECT_TRUE(frames.flush()) << "nothing was written";
}

TEST_F(HeapTest, UploadsOutsideOfABufferAreRefused) {
  open({.profile = "no_sparse"});
  const TimelineId id = add_timeline();
  auto ring = vulkan::UploadRing::create(*heap, {.capacity = 64_KiB, .timeline = id}).value();
  const auto buffer = heap->alloc_buffer(1_KiB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT).value();
  const std::vector<std::byte> bytes(512);
  EXPECT_EQ(code(ring.upload(buffer, 513_B, bytes)), ErrorCode::invalid_argument);
  EXPECT_EQ(code(ring.upload(buffer, 0_B, {})), ErrorCode::invalid_argument);
  const auto upload = ring.upload(buffer, 512_B, bytes);
  ASSERT_TRUE(upload);
  EXPECT_FALSE(upload->direct);
  EXPECT_EQ(upload->destination_offset, buffer.offset() + 512_B);
  EXPECT_EQ(upload->size, 512_B);
}

// ---- what a ring is too small for, and images

// Through a staging buffer of its own, which is there until the device is past the close.
TEST_F(HeapTest, UploadsLargerThanTheRing) {
  open({.profile = "no_sparse"});
  const TimelineId id = add_timeline();
  auto ring = vulkan::UploadRing::create(*heap, {.capacity = 64_KiB, .timeline = id}).value();
  auto buffer = heap->create_buffer({.size = 1_MiB, .usage = kTransfer}).value();
  std::vector<std::uint32_t> words((1_MiB).value / 4);
  for (std::size_t i = 0; i < words.size(); ++i)
    words[i] = static_cast<std::uint32_t>(i * 7 + 1);
  const auto upload = ring.upload(buffer, 0_B, std::as_bytes(std::span(words)));
  ASSERT_TRUE(upload) << to_string(upload.error().code);
  ASSERT_FALSE(upload->direct);
  EXPECT_EQ(upload->size, 1_MiB);
  EXPECT_EQ(heap->report().buffers, 3U) << "the ring's, the buffer, and staging of its own";
  EXPECT_EQ(ring.report().used, 0_B);
  gpu->submit(
      [&](VkCommandBuffer commands) {
        const VkBufferCopy region{upload->source_offset.value, upload->destination_offset.value,
                                  upload->size.value};
        vkCmdCopyBuffer(commands, upload->source, upload->destination, 1, &region);
      },
      {}, {timeline, 1});
  ASSERT_TRUE(ring.close(1));
  EXPECT_EQ(heap->report().retired, 1U);
  ASSERT_TRUE(ring.wait(1, kForever));
  heap->collect();
  EXPECT_EQ(heap->report().buffers, 2U);
  vkQueueWaitIdle(gpu->graphics);
  EXPECT_EQ(gpu->words_of(buffer.buffer(), 1_MiB), words);
  // What nobody closed goes with the ring.
  ASSERT_TRUE(ring.upload(buffer, 0_B, std::as_bytes(std::span(words))));
  ASSERT_TRUE(ring.upload(buffer, 0_B, std::as_bytes(std::span(words))));
}

TEST_F(Atoms, V12_V13_ImagesAreStagedAtTheirTexels) {
  auto ring = vulkan::UploadRing::create(*heap, {.capacity = 64_KiB, .timeline = id}).value();
  const VkImageCreateInfo info = image_info(16);
  const auto image = heap->create_image({.info = &info}).value();
  std::vector<std::byte> bytes(777, std::byte{42});
  for (int round = 0; round < 3; ++round) {
    for (const std::uint64_t texel : {1U, 2U, 3U, 4U, 6U, 8U, 12U, 16U, 24U, 32U, 60U}) {
      const auto upload = ring.upload(image, bytes, Bytes{texel});
      ASSERT_TRUE(upload) << texel << to_string(upload.error().code);
      EXPECT_EQ(upload->source_offset.value % texel, 0U) << texel;
      EXPECT_EQ(upload->source_offset.value % 4, 0U) << texel;
      EXPECT_TRUE(is_aligned(upload->source_offset, kAtom));
      EXPECT_EQ(upload->destination, image.image());
      EXPECT_EQ(upload->size, 777_B);
      expect_atoms_of_its_own({.buffer = upload->source, .offset = upload->source_offset, .size = 777_B});
    }
    bytes.push_back(std::byte{1});
    bytes.resize(777);
  }
  const std::vector<std::byte> large((65_KiB).value);
  const auto alone = ring.upload(image, large, 12_B);
  ASSERT_TRUE(alone);
  EXPECT_EQ(alone->source_offset, 0_B);
  EXPECT_EQ(code(ring.upload(image, {}, 4_B)), ErrorCode::invalid_argument);
  EXPECT_EQ(code(ring.upload(image, bytes, 0_B)), ErrorCode::invalid_argument);
  EXPECT_EQ(code(ring.upload(vulkan::Image{}, bytes, 4_B)), ErrorCode::invalid_argument);
}

// Twelve bytes a texel, under the layer, which looks at the offset.
TEST_F(HeapTest, AnImageOfTexelsThatAreNoPowerOfTwo) {
  open({.profile = "no_sparse"});
  const TimelineId id = add_timeline();
  auto ring = vulkan::UploadRing::create(*heap, {.capacity = 64_KiB, .timeline = id}).value();
  VkImageCreateInfo info = image_info(8);
  info.format = VK_FORMAT_R32G32B32_SFLOAT;
  const auto image = heap->create_image({.info = &info}).value();
  auto seen = heap->create_buffer({.size = 8_KiB, .usage = kTransfer}).value();
  std::vector<std::uint32_t> words(8 * 8 * 3);
  for (std::size_t i = 0; i < words.size(); ++i)
    words[i] = static_cast<std::uint32_t>(i + 17);
  ASSERT_TRUE(ring.write(std::as_bytes(std::span(words).first(1)))) << "what comes next begins anywhere";
  const auto upload = ring.upload(image, std::as_bytes(std::span(words)), 12_B).value();
  gpu->run([&](VkCommandBuffer commands) {
    const VkImageSubresourceRange all{VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
    VkImageMemoryBarrier into{};
    into.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER;
    into.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    into.newLayout = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
    into.srcQueueFamilyIndex = into.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    into.image = upload.destination;
    into.subresourceRange = all;
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0,
                         nullptr, 0, nullptr, 1, &into);
    VkBufferImageCopy region{};
    region.bufferOffset = upload.source_offset.value;
    region.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
    region.imageExtent = {8, 8, 1};
    vkCmdCopyBufferToImage(commands, upload.source, upload.destination, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                           1, &region);
    VkImageMemoryBarrier out = into;
    out.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    out.dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT;
    out.oldLayout = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
    out.newLayout = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0,
                         nullptr, 0, nullptr, 1, &out);
    region.bufferOffset = 0;
    vkCmdCopyImageToBuffer(commands, upload.destination, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, seen.buffer(),
                           1, &region);
  });
  EXPECT_EQ(gpu->words_of(seen.buffer(), Bytes{words.size() * 4}), words);
}

}  // namespace
}  // namespace vaspace::test
