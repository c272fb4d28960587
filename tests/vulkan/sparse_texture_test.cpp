// Sparse textures on devices that the simulated driver plays. It enforces the rules, and nothing may be
// reported. The validation layer listens where no image is written or read: it finds the layout GENERAL slow.
#include "vulkan/sparse_texture_fixture.hpp"

namespace vaspace::test {
namespace {

TEST_F(SparseTextureTest, TilesComeAndGoAndKeepWhatIsInTheOthers) {
  open_textures({.profile = "discrete_rebar", .validate = false});
  const TextureShape shape{.extent = {512, 384, 1}, .levels = 10, .layers = 2};
  const SparseTexture terrain = texture(shape);
  ASSERT_TRUE(textures->wait(terrain.ready(), kForever));
  EXPECT_EQ(terrain.tile(), (std::array<std::uint32_t, 3>{128, 128, 1}));
  EXPECT_EQ(terrain.tiles(0), (std::array<std::uint32_t, 3>{4, 3, 1}));
  EXPECT_EQ(terrain.tiles(1), (std::array<std::uint32_t, 3>{2, 2, 1}));
  EXPECT_EQ(terrain.tile_bytes(), 64_KiB);
  to_general(terrain, shape);

  const TileBox first{.layer = 1}, second{.layer = 1, .x = 1};
  change(terrain, {.layer = 1, .width = 2});
  EXPECT_TRUE(terrain.resident(first) && terrain.resident(second));
  EXPECT_FALSE(terrain.resident({.layer = 0})) << "another layer";
  EXPECT_FALSE(terrain.resident({.layer = 1, .width = 3})) << "not all of it";
  paint(terrain, first, 0, 0, {128, 128, 1}, 0xa1);
  paint(terrain, second, 128, 0, {128, 128, 1}, 0xb2);
  change(terrain, first, false);
  EXPECT_FALSE(terrain.resident(first));
  EXPECT_TRUE(terrain.resident(second));
  EXPECT_EQ(texel(terrain, second, 200, 100), 0xb2U);
  EXPECT_EQ(texel(terrain, first, 5, 5), 0U) << "V28: this device reads zeros where nothing is";
  change(terrain, first);
  paint(terrain, first, 0, 0, {128, 128, 1}, 0xc3);
  EXPECT_EQ(texel(terrain, first, 127, 127), 0xc3U);
  EXPECT_EQ(texel(terrain, second, 128, 0), 0xb2U);
  EXPECT_EQ(textures->validate(), nullptr);
}

TEST_F(SparseTextureTest, V4_ManyTilesShareAFewMemoryObjectsAndBinds) {
  open_textures({.profile = "discrete_bar256"});
  const SparseTexture terrain = texture({.extent = {4096, 4096, 1}, .levels = 13});
  const std::uint64_t memory = calls("vkAllocateMemory"), binds = calls("vkQueueBindSparse");
  change(terrain, whole_level(terrain, 0));
  EXPECT_EQ(terrain.resident_tiles(), 1024U);
  EXPECT_EQ(textures->report().tile_bytes, 64_MiB);
  EXPECT_LE(calls("vkAllocateMemory") - memory, 16U) << "blocks of the heap, not one for each tile";
  EXPECT_EQ(calls("vkQueueBindSparse") - binds, 1U) << "one batch";
  change(terrain, whole_level(terrain, 0));
  EXPECT_EQ(calls("vkQueueBindSparse") - binds, 1U) << "what is so already is not bound again";
}

// Small and large ones, up to an image that is all tail.
TEST_F(SparseTextureTest, V21_BoxesBeginAtTilesAndEndAtTheEdge) {
  open_textures({.profile = "discrete_bar256", .validate = false});
  for (const VkExtent3D extent : {VkExtent3D{300, 200, 1}, {129, 128, 1}, {128, 1000, 1}, {1, 1, 1}}) {
    const TextureShape shape{.extent = extent, .levels = 1, .layers = 2};
    const SparseTexture edge = texture(shape);
    if (edge.tiled_levels() == 0) {
      EXPECT_EQ(edge.tiles(0)[0], 0U);
      EXPECT_FALSE(edge.resident({}));
      continue;
    }
    change(edge, whole_level(edge, 0, 1));
    change(edge, {.layer = 0, .x = edge.tiles(0)[0] - 1, .y = edge.tiles(0)[1] - 1});
    to_general(edge, shape);
    paint(edge, {.layer = 1}, 0, 0, extent, 0x77);
    EXPECT_EQ(texel(edge, {.layer = 1}, static_cast<std::int32_t>(extent.width) - 1,
                    static_cast<std::int32_t>(extent.height) - 1),
              0x77U);
  }
}

TEST_F(SparseTextureTest, V21_VolumesHaveTilesInDepth) {
  open_textures({.profile = "discrete_bar256", .validate = false});
  const TextureShape shape{.extent = {100, 64, 40}};
  const SparseTexture volume = texture(shape);
  EXPECT_EQ(volume.tile(), (std::array<std::uint32_t, 3>{32, 32, 16}));
  EXPECT_EQ(volume.tiles(0), (std::array<std::uint32_t, 3>{4, 2, 3}));
  change(volume, whole_level(volume, 0));
  EXPECT_EQ(volume.resident_tiles(), 24U);
  to_general(volume, shape);
  paint(volume, {}, 0, 0, shape.extent, 0x55);
  EXPECT_EQ(texel(volume, {}, 99, 63), 0x55U);
  change(volume, {.x = 1, .y = 1, .z = 2, .width = 3}, false);
  EXPECT_EQ(volume.resident_tiles(), 21U);
}

class MipTails : public SparseTextureTest, public testing::WithParamInterface<const char*> {};

// One tail for each layer, one for all (SINGLE_MIPTAIL), and levels that are no multiple of tiles in the tail
// (ALIGNED_MIP_SIZE): every level can be written as soon as the texture is ready.
TEST_P(MipTails, V22_AreResidentFromTheBeginning) {
  open_textures({.profile = GetParam(), .validate = false});
  const TextureShape shape{.extent = {640, 512, 1}, .levels = 10, .layers = 3};
  const SparseTexture terrain = texture(shape);
  EXPECT_GT(terrain.tail_bytes(), 0_B);
  EXPECT_EQ(live(), terrain.tail_bytes());
  EXPECT_EQ(textures->report().tail_bytes, terrain.tail_bytes());
  ASSERT_TRUE(textures->wait(terrain.ready(), kForever));
  to_general(terrain, shape);
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    for (std::uint32_t level = terrain.tiled_levels(); level < shape.levels; ++level) {
      const VkExtent3D extent{std::max(1U, 640U >> level), std::max(1U, 512U >> level), 1};
      paint(terrain, {.level = level, .layer = layer}, 0, 0, extent, layer * 16 + level);
    }
  }
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer)
    for (std::uint32_t level = terrain.tiled_levels(); level < shape.levels; ++level)
      EXPECT_EQ(texel(terrain, {.level = level, .layer = layer}, 0, 0), layer * 16 + level);
  // Tiles beside a tail.
  for (std::uint32_t level = 0; level < terrain.tiled_levels(); ++level)
    change(terrain, whole_level(terrain, level, 2));
  EXPECT_EQ(texel(terrain, {.level = 9, .layer = 2}, 0, 0), 2 * 16 + 9U);
  const TileChange tail{&terrain, {.level = terrain.tiled_levels()}, true};
  EXPECT_EQ(code(textures->update({&tail, 1})), ErrorCode::invalid_argument) << "no tiles there";
}
INSTANTIATE_TEST_SUITE_P(Profiles, MipTails, testing::Values("discrete_bar256", "integrated", "tiny"),
                         [](const auto& profile) { return std::string(profile.param); });

// Blocks are multiples of bufferImageGranularity, so tiles lie side by side, between linear neighbours too.
TEST_F(SparseTextureTest, V3_TilesNeedNoPadding) {
  open_textures({.profile = "granularity_64k"});
  const SparseTexture terrain = texture({.extent = {1024, 1024, 1}});
  std::vector<vulkan::Buffer> linear;
  const Bytes before = heap->report().memory.total.used;
  for (std::uint32_t y = 0; y < 8; ++y) {
    change(terrain, {.y = y, .width = 8});
    linear.push_back(heap->create_buffer({.size = 64_KiB, .usage = kTransfer}).value());
  }
  EXPECT_EQ(heap->report().memory.total.used - before, 64_KiB * (64 + 8));
}

TEST_F(SparseTextureTest, V23_ATileThatIsNamedTwiceIsBoundOnce) {
  open_textures({.profile = "discrete_bar256"});
  const SparseTexture one = texture({}), other = texture({});
  const TileChange changes[] = {
      {&one, {.width = 2, .height = 2}, true}, {&one, {.x = 1, .width = 3}, true}, {&other, {}, true}};
  ASSERT_TRUE(textures->update(changes));
  EXPECT_EQ(one.resident_tiles(), 6U);
  EXPECT_EQ(other.resident_tiles(), 1U);
  const TileChange contrary[] = {{&one, {.x = 1}, false}, {&one, {.x = 5}, true}, {&one, {.x = 1}, true}};
  EXPECT_EQ(code(textures->update(contrary)), ErrorCode::invalid_argument);
  EXPECT_TRUE(one.resident({.x = 1}));
  EXPECT_FALSE(one.resident({.x = 5}));
  EXPECT_EQ(textures->validate(), nullptr);
}

// The queue is held: the unbind has been submitted and not been done. What it took is nobody's.
TEST_F(SparseTextureTest, V27_EvictedMemoryWaitsForItsUnbind) {
  open_textures({.profile = "discrete_bar256", .validate = false});
  const SparseTexture terrain = texture({});
  change(terrain, {.width = 4});
  const Bytes before = live();
  TestDevice::control().hold_queues(1);
  const TileChange away{&terrain, {.width = 4}, false};
  const auto point = textures->update({&away, 1});
  textures->collect();
  EXPECT_EQ(live(), before);
  EXPECT_EQ(textures->report().waiting, 4U);
  EXPECT_EQ(terrain.resident_tiles(), 0U);
  // V24: bound anew while that is pending, to other memory.
  const TileChange back{&terrain, {.width = 1}, true};
  ASSERT_TRUE(textures->update({&back, 1}));
  EXPECT_EQ(live(), before + 64_KiB);
  TestDevice::control().hold_queues(0);
  ASSERT_TRUE(point && textures->wait(*point, kForever));
  textures->collect();
  EXPECT_EQ(textures->report().waiting, 0U);
  EXPECT_EQ(live(), before - 3 * 64_KiB);
  EXPECT_EQ(textures->validate(), nullptr);
}

TEST_F(SparseTextureTest, V27_ATextureGoesWhenItsBindsAreDone) {
  open_textures({.profile = "discrete_bar256", .validate = false});
  SparseTexture terrain = texture({});
  TestDevice::control().hold_queues(1);
  const TileChange one{&terrain, {.width = 2}, true};
  const auto point = textures->update({&one, 1});
  terrain.reset();
  textures->collect();
  EXPECT_EQ(textures->report().retired, 1U) << "the device is just binding it";
  EXPECT_EQ(live(), 2 * 64_KiB);
  TestDevice::control().hold_queues(0);
  ASSERT_TRUE(point && textures->wait(*point, kForever));
  textures->collect();
  EXPECT_EQ(textures->report().retired, 0U);
  EXPECT_EQ(live(), 0_B);
}

// Neighbours get what others have left, in pieces; each is bound where it is.
TEST_F(SparseTextureTest, MemoryThatIsNotSideBySideIsBoundInPieces) {
  open_textures({.profile = "discrete_bar256", .validate = false});
  const TextureShape shape{};
  const SparseTexture others = texture(shape), terrain = texture(shape);
  to_general(others, shape);
  to_general(terrain, shape);
  change(others, {.width = 8});
  for (std::uint32_t x = 0; x < 8; ++x)
    paint(others, {}, static_cast<std::int32_t>(x * 128), 0, {128, 128, 1}, 100 + x);
  for (std::uint32_t x = 0; x < 8; x += 2)
    change(others, {.x = x}, false);
  textures->collect();
  change(terrain, {.width = 4});
  paint(terrain, {}, 0, 0, {512, 128, 1}, 7);
  for (std::uint32_t x = 1; x < 8; x += 2)
    EXPECT_EQ(texel(others, {}, static_cast<std::int32_t>(x * 128 + 64), 64), 100 + x);
  for (std::int32_t x = 0; x < 4; ++x)
    EXPECT_EQ(texel(terrain, {}, x * 128 + 64, 64), 7U);
}

// Queues that are late: each frame uses its tile after the bind, and is waited for by the eviction.
TEST_F(SparseTextureTest, V24_V25_BindsAndUsesWaitForEachOther) {
  open_textures({.profile = "discrete_rebar", .settings = "delay_us=0..200", .validate = false});
  const TextureShape shape{.extent = {1024, 1024, 1}};
  const SparseTexture terrain = texture(shape);
  const VkSemaphore frames = gpu->timeline_semaphore();
  const TimelineId id = textures->add_timeline(frames).value();
  to_general(terrain, shape);
  std::uint64_t frame = 0;
  for (std::uint32_t i = 0; i < 24; ++i) {
    const TileBox now{.x = i % 8, .y = i / 8}, last{.x = (i - 1) % 8, .y = (i - 1) / 8};
    std::vector<TileChange> changes{{&terrain, now, true}};
    if (i != 0) changes.push_back({&terrain, last, false});
    const TimelinePoint used{id, frame};
    const auto point = textures->update(changes, std::span(&used, frame == 0 ? 0 : 1));
    ASSERT_TRUE(point) << to_string(point.error().code);
    ++frame;
    paint(terrain, now, static_cast<std::int32_t>(now.x * 128), static_cast<std::int32_t>(now.y * 128),
          {128, 128, 1}, i, {textures->timeline(), point->value}, {frames, frame});
    textures->collect();
  }
  EXPECT_EQ(terrain.resident_tiles(), 1U);
  EXPECT_TRUE(textures->forget_timeline(id));
  vkDestroySemaphore(gpu->device, frames, nullptr);
}

TEST_F(SparseTextureTest, V28_WhatIsNotResidentIsZeroOrUndefined) {
  open_textures({.profile = "discrete_rebar"});
  EXPECT_TRUE(textures->non_resident_strict());
  open_textures({.profile = "integrated"});
  EXPECT_FALSE(textures->non_resident_strict());
}

// 256 MiB of sparse address space: three textures of 85 MiB, bound or not, and no fourth.
TEST_F(SparseTextureTest, V30_TheSumOfAllTexturesStaysWithinTheDevices) {
  open_textures({.profile = "tiny"});
  const TextureShape shape{.extent = {4096, 4096, 1}, .levels = 13};
  std::vector<SparseTexture> made;
  for (;;) {
    auto next = try_texture(shape);
    if (!next) {
      EXPECT_EQ(next.error().code, ErrorCode::out_of_address_space);
      break;
    }
    made.push_back(std::move(*next));
  }
  EXPECT_GE(made.size(), 2U);
  EXPECT_LE(made.size(), 3U);
  ASSERT_TRUE(textures->wait(made.back().ready(), kForever));
  made.pop_back();
  EXPECT_FALSE(try_texture(shape)) << "it waits for collect()";
  textures->collect();
  EXPECT_TRUE(try_texture(shape));
}

TEST_F(SparseTextureTest, RetiredTexturesGoWhenTheDeviceHasPassed) {
  open_textures({.profile = "discrete_bar256"});
  const VkSemaphore frames = gpu->timeline_semaphore();
  const TimelineId id = textures->add_timeline(frames).value();
  SparseTexture terrain = texture({});
  change(terrain, {.width = 3});
  const std::uint64_t objects = TestDevice::control().live_objects();
  const TimelinePoint used{id, 2};
  ASSERT_TRUE(textures->retire(std::move(terrain), {&used, 1}));
  EXPECT_FALSE(terrain);
  gpu->signal(frames, 1);
  textures->collect();
  EXPECT_EQ(TestDevice::control().live_objects(), objects);
  EXPECT_EQ(textures->report().retired, 1U);
  EXPECT_EQ(textures->report().resident, 3U) << "they hold memory still";
  gpu->signal(frames, 2);
  textures->collect();
  EXPECT_EQ(textures->report().retired, 0U);
  EXPECT_EQ(textures->report().resident, 0U);
  EXPECT_EQ(live(), 0_B);
  EXPECT_EQ(textures->validate(), nullptr);
  EXPECT_TRUE(textures->forget_timeline(id));
  vkDestroySemaphore(gpu->device, frames, nullptr);
}

// Memory is refused in the middle of a batch: none of it has come, nothing of it has gone.
TEST_F(SparseTextureTest, R7_AnUpdateThatFindsNoMemoryHasChangedNothing) {
  open_textures({.profile = "tiny"});
  const SparseTexture terrain = texture({.extent = {8192, 4096, 1}});
  change(terrain, {.width = 32, .height = 8});
  const Bytes before = live();
  const TileChange changes[] = {{&terrain, {.width = 32}, false},
                                {&terrain, {.y = 8, .width = 64, .height = 24}}};
  EXPECT_EQ(code(textures->update(changes)), ErrorCode::out_of_device_memory);
  EXPECT_EQ(live(), before);
  EXPECT_EQ(terrain.resident_tiles(), 256U);
  EXPECT_TRUE(terrain.resident({.width = 32}));
  EXPECT_EQ(textures->validate(), nullptr);
}

TEST_F(SparseTextureTest, BadRequestsAreNamed) {
  open_textures({.profile = "discrete_bar256"});
  const SparseTexture terrain = texture({.extent = {1000, 700, 1}, .levels = 2, .layers = 2});
  const SparseTexture none;
  const auto refused = [&](const SparseTexture* of, const TileBox& box) {
    const TileChange one{of, box, true};
    return code(textures->update({&one, 1}));
  };
  for (const TileBox& box : {TileBox{.level = 2}, TileBox{.layer = 2}, TileBox{.x = 8}, TileBox{.y = 6},
                             TileBox{.z = 1}, TileBox{.x = 7, .width = 2}, TileBox{.width = 0},
                             TileBox{.width = ~0U}, TileBox{.x = 4, .width = ~0U}, TileBox{.plane = 1}})
    EXPECT_EQ(refused(&terrain, box), ErrorCode::invalid_argument);
  EXPECT_EQ(refused(&none, {}), ErrorCode::invalid_argument);
  EXPECT_EQ(refused(nullptr, {}), ErrorCode::invalid_argument);
  const TileChange one{&terrain, {}, true};
  const TimelinePoint never{TimelineId{}, 1'000'000};
  EXPECT_EQ(code(textures->update({&one, 1}, {&never, 1})), ErrorCode::invalid_argument);
  EXPECT_FALSE(terrain.resident({}));

  EXPECT_EQ(code(textures->create_texture({})), ErrorCode::invalid_argument);
  VkImageCreateInfo info = texture_info({});
  info.samples = VK_SAMPLE_COUNT_4_BIT;
  EXPECT_EQ(code(textures->create_texture({.info = &info})), ErrorCode::not_supported);
  info = texture_info({});
  info.tiling = VK_IMAGE_TILING_LINEAR;
  EXPECT_EQ(code(textures->create_texture({.info = &info})), ErrorCode::invalid_argument);
  const std::uint64_t images = calls("vkCreateImage");
  for (const std::uint32_t levels : {12U, 33U, ~0U}) {
    info = texture_info({.extent = {1024, 600, 1}, .levels = levels});
    EXPECT_EQ(code(textures->create_texture({.info = &info})), ErrorCode::invalid_argument) << levels;
  }
  EXPECT_EQ(calls("vkCreateImage"), images) << "it has not been asked";
  EXPECT_TRUE(try_texture({.extent = {1024, 600, 1}, .levels = 11}));
  // Tiles in three directions that are 0 modulo 2^64, and one more than the layers can be multiplied by.
  info = texture_info({});
  info.imageType = VK_IMAGE_TYPE_3D;
  info.extent = {~0U, ~0U, ~0U};
  EXPECT_EQ(code(textures->create_texture({.info = &info})), ErrorCode::out_of_address_space);
  info = texture_info({.extent = {~0U, ~0U, 1}});
  info.arrayLayers = ~0U;
  EXPECT_EQ(code(textures->create_texture({.info = &info})), ErrorCode::out_of_address_space);
  info = texture_info({.format = VK_FORMAT_D32_SFLOAT_S8_UINT});
  info.usage = VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT;
  EXPECT_EQ(code(textures->create_texture({.info = &info})), ErrorCode::not_supported) << "it has no tiles";
  EXPECT_EQ(textures->validate(), nullptr);
}

// This device binds sparse memory on a queue family of its own alone.
TEST_F(SparseTextureTest, V31_TheQueueIsOfAFamilyThatBinds) {
  open_textures({.profile = "discrete_rebar"});
  ASSERT_NE(gpu->sparse_family, gpu->graphics_family);
  change(texture({}), {.width = 8});
  EXPECT_EQ(code(SparseTextures::create(
                *heap, {.sparse = {.queue = gpu->graphics, .family = gpu->graphics_family}})),
            ErrorCode::invalid_configuration);
}

TEST_F(SparseTextureTest, WhatIsNotEnabledIsNotUsed) {
  open_textures({.profile = "discrete_bar256", .without = {"sparseResidencyImage3D"}});
  EXPECT_EQ(code(try_texture({.extent = {64, 64, 64}})), ErrorCode::not_supported);
  textures.reset();
  open({.profile = "discrete_bar256", .without = {"VK_KHR_timeline_semaphore"}});
  EXPECT_EQ(code(SparseTextures::create(*heap, {.sparse = queue()})), ErrorCode::not_supported);
  open({.profile = "discrete_bar256", .without = {"sparseBinding"}});
  EXPECT_EQ(code(SparseTextures::create(*heap, {.sparse = queue()})), ErrorCode::invalid_configuration)
      << "no queue";
}

}  // namespace
}  // namespace vaspace::test
