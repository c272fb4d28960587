// Sparse textures whose driver or host refuses, whose device is lost, and whose format has metadata.
#include "vulkan/sparse_texture_fixture.hpp"

namespace vaspace::test {
namespace {

struct Seen {
  std::uint64_t textures, resident, tiles_of_one;
  Bytes live;
  friend bool operator==(const Seen&, const Seen&) = default;
};

class Refusals : public SparseTextureTest {
 protected:
  Seen seen(const SparseTexture& one) {
    const auto report = textures->report();
    return {report.textures, report.resident, one ? one.resident_tiles() : 0, live()};
  }
  // A call that may be refused once: nothing has changed then, and the next time it is not refused.
  template <class Call>
  void twice(const SparseTexture& one, const char* what, std::uint64_t n, Call&& call) {
    const Seen before = seen(one);
    if (call()) return;
    ++refused;
    EXPECT_EQ(seen(one), before) << what << ", refused at call " << n;
    EXPECT_EQ(textures->validate(), nullptr) << what << ", refused at call " << n;
    EXPECT_TRUE(call()) << what << ", refused at call " << n;
  }
  // All that can be asked for once.
  void scenario(std::uint64_t n) {
    SparseTexture one, other;
    const auto make = [&](SparseTexture& out, const TextureShape& shape) {
      auto made = try_texture(shape);
      if (made) out = std::move(*made);
      return static_cast<bool>(out);
    };
    twice(one, "create", n, [&] { return make(one, {.extent = {512, 512, 1}, .levels = 10}); });
    twice(one, "create another", n, [&] { return make(other, {.extent = {256, 256, 1}}); });
    ASSERT_TRUE(one && other);
    TimelinePoint point{};
    const auto update = [&](std::span<const TileChange> changes) {
      const auto done = textures->update(changes);
      if (done) point = *done;
      return done.has_value();
    };
    const TileChange fresh[] = {{&one, {.width = 3, .height = 2}}, {&other, {.width = 2}}};
    twice(one, "make resident", n, [&] { return update(fresh); });
    const TileChange moved[] = {{&one, {.width = 2}, false}, {&one, {.y = 3}}, {&other, {.x = 1}, false}};
    twice(one, "exchange", n, [&] { return update(moved); });
    EXPECT_EQ(one.resident_tiles(), 5U);
    if (!textures->wait(point, kForever)) {
      ASSERT_TRUE(textures->wait(point, kForever));
    }
    EXPECT_TRUE(textures->retire(std::move(other), {}));
    textures->collect();
  }
  void forget_textures() {
    textures->collect();
    textures->collect();
    EXPECT_EQ(textures->report().retired, 0U);
    EXPECT_EQ(textures->report().waiting, 0U);
    EXPECT_EQ(live(), 0_B);
    textures.reset();
  }

  int refused = 0;
};

// Without the layer, which takes a submit that was refused for one that is pending.
TEST_F(Refusals, R7_EveryDriverCallRefusedOnce) {
  open({.profile = "discrete_bar256", .validate = false});
  bool injected = true;
  for (std::uint64_t n = 1; injected; ++n) {
    ASSERT_LT(n, 200U);
    TestDevice::control().clear_failures();
    ASSERT_NE(TestDevice::control().fail_call("*", n, VK_ERROR_OUT_OF_DEVICE_MEMORY), 0);
    const std::uint64_t before = TestDevice::control().injected_count();
    if (!make_textures()) {
      ++refused;
      ASSERT_TRUE(make_textures());
    }
    scenario(n);
    injected = TestDevice::control().injected_count() != before;
    TestDevice::control().clear_failures();
    forget_textures();
    heap->trim();
  }
  EXPECT_GT(refused, 6);
}

TEST_F(Refusals, R7_EveryRequestToTheHostRefusedOnce) {
  open({.profile = "discrete_bar256", .validate = false});
  bool injected = true;
  for (std::uint64_t n = 1; injected; ++n) {
    ASSERT_LT(n, 400U);
    const std::int64_t requests = host.requests();
    host.fail_at(static_cast<std::int64_t>(n));
    if (!make_textures()) {
      ++refused;
      ASSERT_TRUE(make_textures());
    }
    scenario(n);
    injected = host.requests() - requests >= static_cast<std::int64_t>(n);
    host.fail_at(0);
    forget_textures();
    heap->trim();
  }
  EXPECT_GT(refused, 10);
}

// Queues are late, so that something is under way when the device is lost.
TEST_F(SparseTextureTest, ALostDeviceIsSaidSo) {
  open_textures({.profile = "discrete_bar256", .settings = "delay_us=50000..60000", .validate = false});
  lost = true;
  SparseTexture terrain = texture({});
  change(terrain, {.width = 2});
  const TileChange more{&terrain, {.y = 1}, true};
  const auto unfinished = textures->update({&more, 1});
  ASSERT_TRUE(unfinished);
  TestDevice::control().lose_devices();
  const TileChange one{&terrain, {.x = 2}, true};
  EXPECT_EQ(code(textures->update({&one, 1})), ErrorCode::device_lost);
  EXPECT_EQ(terrain.resident_tiles(), 3U);
  terrain.reset();
  textures->collect();
  EXPECT_EQ(textures->report().retired, 0U) << "it runs no more";
  EXPECT_EQ(code(textures->wait(*unfinished, kForever)), ErrorCode::device_lost) << "and never did that";
  EXPECT_EQ(live(), 0_B);
}

// ---- a driver with metadata

struct MetadataDriver {
  static constexpr std::uint32_t kLayers = 2;
  static inline PFN_vkGetImageSparseMemoryRequirements2 needs = nullptr;
  static inline PFN_vkQueueBindSparse bind = nullptr;
  static inline VkDeviceSize stride = 1 << 20;
  static inline std::vector<std::vector<VkSparseMemoryBind>> opaque;  // by batch

  // Says that the image has metadata, two blocks for each layer, behind everything else.
  static VKAPI_ATTR void VKAPI_CALL get_needs(VkDevice device,
                                              const VkImageSparseMemoryRequirementsInfo2* info,
                                              std::uint32_t* count, VkSparseImageMemoryRequirements2* out) {
    needs(device, info, count, out);
    VkSparseImageMemoryRequirements& extra = out[*count].memoryRequirements;
    extra = {};
    extra.formatProperties.aspectMask = VK_IMAGE_ASPECT_METADATA_BIT;
    extra.imageMipTailSize = 128 << 10;
    extra.imageMipTailOffset = 1 << 30;
    extra.imageMipTailStride = stride;
    ++*count;
  }
  // Keeps the binds of metadata to itself: the driver behind it has none.
  static VKAPI_ATTR VkResult VKAPI_CALL bind_sparse(VkQueue queue, std::uint32_t count,
                                                    const VkBindSparseInfo* infos, VkFence fence) {
    std::vector<VkBindSparseInfo> passed(infos, infos + count);
    for (VkBindSparseInfo& info : passed) {
      std::vector<VkSparseMemoryBind> all;
      for (std::uint32_t i = 0; i < info.imageOpaqueBindCount; ++i)
        all.insert(all.end(), info.pImageOpaqueBinds[i].pBinds,
                   info.pImageOpaqueBinds[i].pBinds + info.pImageOpaqueBinds[i].bindCount);
      if (!all.empty() && (all[0].flags & VK_SPARSE_MEMORY_BIND_METADATA_BIT) != 0)
        info.imageOpaqueBindCount = 0;
      opaque.push_back(all);
    }
    return bind(queue, count, passed.data(), fence);
  }
};

TEST_F(SparseTextureTest, V22_MetadataIsBoundFirst) {
  open({.profile = "discrete_bar256", .validate = false});
  MetadataDriver::opaque.clear();
  MetadataDriver::needs = gpu->device_function<PFN_vkGetImageSparseMemoryRequirements2>(
      "vkGetImageSparseMemoryRequirements2", "");
  MetadataDriver::bind = gpu->device_function<PFN_vkQueueBindSparse>("vkQueueBindSparse", "");
  const vulkan::NamedFunction own[] = {
      {"vkGetImageSparseMemoryRequirements2",
       reinterpret_cast<PFN_vkVoidFunction>(&MetadataDriver::get_needs)},
      {"vkQueueBindSparse", reinterpret_cast<PFN_vkVoidFunction>(&MetadataDriver::bind_sparse)}};
  ASSERT_TRUE(make_textures(own));
  const SparseTexture terrain =
      texture({.extent = {256, 256, 1}, .levels = 9, .layers = MetadataDriver::kLayers});
  ASSERT_EQ(MetadataDriver::opaque.size(), 2U) << "a batch for metadata, then one for the tails";
  const auto& metadata = MetadataDriver::opaque[0];
  ASSERT_EQ(metadata.size(), 2U);
  for (std::size_t layer = 0; layer < 2; ++layer) {
    EXPECT_EQ(metadata[layer].flags, VkFlags{VK_SPARSE_MEMORY_BIND_METADATA_BIT});
    EXPECT_EQ(metadata[layer].resourceOffset, (1U << 30) + layer * (1U << 20));
    EXPECT_EQ(metadata[layer].size, 128U << 10);
    EXPECT_NE(metadata[layer].memory, VkDeviceMemory{});
  }
  for (const VkSparseMemoryBind& tail : MetadataDriver::opaque[1])
    EXPECT_EQ(tail.flags, 0U);
  EXPECT_EQ(MetadataDriver::opaque[1].size(), 2U);
  EXPECT_EQ(terrain.planes(), 1U) << "metadata has no tiles";
  EXPECT_EQ(live(), terrain.tail_bytes());

  // Its memory stays until the driver has done the binds of metadata, where the tails' are refused.
  const std::uint64_t n = calls("vkQueueBindSparse");
  ASSERT_NE(TestDevice::control().fail_call("vkQueueBindSparse", 2, VK_ERROR_OUT_OF_HOST_MEMORY), 0) << n;
  EXPECT_EQ(code(try_texture({.extent = {256, 256, 1}, .levels = 9})), ErrorCode::out_of_host_memory);
  EXPECT_EQ(textures->report().retired, 1U);
  TestDevice::control().clear_failures();
  change(terrain, {});  // behind it in the chain
  textures->collect();
  EXPECT_EQ(textures->report().retired, 0U);

  // What no tail can be bound at is a driver's fault, where there is a second one.
  MetadataDriver::stride = (1 << 20) + 4096;
  EXPECT_EQ(code(try_texture({.extent = {256, 256, 1}, .levels = 9, .layers = 2})), ErrorCode::driver_error);
  EXPECT_TRUE(try_texture({.extent = {256, 256, 1}, .levels = 9}));
  MetadataDriver::stride = 1 << 20;
  EXPECT_EQ(textures->validate(), nullptr);
}

}  // namespace
}  // namespace vaspace::test
