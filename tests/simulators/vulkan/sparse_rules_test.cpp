// V3, V19 to V23 and V28 to V31: what may be bound where in a sparse resource.
#include <algorithm>
#include <cstring>

#include "rules.hpp"

namespace vasim::test {
namespace {

constexpr VkBufferCreateFlags kBinding = VK_BUFFER_CREATE_SPARSE_BINDING_BIT;
constexpr VkBufferCreateFlags kResidency = kBinding | VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT;
constexpr VkBufferCreateFlags kAliased = kResidency | VK_BUFFER_CREATE_SPARSE_ALIASED_BIT;

// A sparse buffer of some pages, and memory for as many.
struct Sparse {
  Sparse(Program& program, VkDeviceSize its_pages, VkBufferCreateFlags flags = kResidency)
      : p(program), pages(its_pages) {
    buffer = p.buffer(pages * VkDeviceSize{65536}, kTransfer, flags);
    page = p.requirements(buffer).alignment;
    memory = p.allocate(pages * page, p.type(0, p.requirements(buffer).memoryTypeBits));
  }
  [[nodiscard]] VkSparseMemoryBind bind(VkDeviceSize at, VkDeviceSize count, VkDeviceSize from) const {
    return sparse_bind(at * page, count * page, memory, from * page);
  }
  [[nodiscard]] VkSparseMemoryBind unbind(VkDeviceSize at, VkDeviceSize count) const {
    return sparse_bind(at * page, count * page, VK_NULL_HANDLE);
  }
  [[nodiscard]] Binds binds(std::vector<VkSparseMemoryBind> list) const {
    Binds all;
    all.buffers.emplace_back(buffer, std::move(list));
    return all;
  }
  void bind_all() const { p.bind_now(binds({bind(0, pages, 0)})); }

  Program& p;
  VkDeviceSize pages, page = 0;
  VkBuffer buffer = VK_NULL_HANDLE;
  VkDeviceMemory memory = VK_NULL_HANDLE;
};

// V3 is a promise of the driver: a sparse block is a multiple of the granularity.
TEST_F(Rules, V3_Kept) {
  for (const char* const profile :
       {"discrete_bar256", "discrete_rebar", "granularity_64k", "tiny", "integrated"}) {
    Program& p = kept(profile);
    VASIM_NEEDS(p.features.sparseBinding);
    EXPECT_EQ(p.requirements(p.buffer(1, kTransfer, kBinding)).alignment %
                  p.properties.limits.bufferImageGranularity,
              0U);
    TearDown();
  }
}

// A profile that breaks the promise is refused when it is read.
TEST_F(Rules, V3_BrokenByAProfile) {
  if (on_other_driver()) GTEST_SKIP() << "profiles are the simulated driver's";
  Options options;
  options.profile = VASIM_TEST_PROFILES "/broken_v3.json";
  EXPECT_THROW(begin(options), std::runtime_error);
}

TEST_F(Rules, V19_Kept) {
  Program& p = kept();
  VASIM_NEEDS(p.features.sparseResidencyBuffer);
  const Sparse s(p, 4);
  p.bind_now(s.binds({s.bind(0, 1, 3), s.bind(2, 2, 0)}));
  p.fill(s.buffer, 2 * s.page, s.page, 0x77777777);
  // The page that lies in the memory's first bytes, seen through another binding.
  p.bind_now(s.binds({s.unbind(2, 1)}));
  p.bind_now(s.binds({s.bind(1, 1, 0)}));
  p.run([&](VkCommandBuffer commands) {
    const VkBufferCopy copy{s.page, 0, s.page};
    vkCmdCopyBuffer(commands, s.buffer, s.buffer, 1, &copy);
  });
  const VkBuffer first = p.buffer(4);
  const VkDeviceMemory read = p.back(first);
  p.run([&](VkCommandBuffer commands) {
    const VkBufferCopy copy{0, 0, 4};
    vkCmdCopyBuffer(commands, s.buffer, first, 1, &copy);
    barrier(commands);
  });
  EXPECT_EQ(p.map(read)[3], 0x77);
}

class SparseBufferBind : public Rules, public testing::WithParamInterface<int> {};

TEST_P(SparseBufferBind, V19_Broken) {
  Program& p = broken("V19");
  const Sparse s(p, 4);
  const VkSparseMemoryBind wrong[] = {
      sparse_bind(4096, s.page, s.memory, 0),            // the offset in the resource
      sparse_bind(0, 4096, s.memory, 0),                 // the size
      sparse_bind(0, s.page, s.memory, 4096),            // the offset in the memory
      sparse_bind(3 * s.page, 2 * s.page, s.memory, 0),  // beyond the resource
  };
  p.bind_now(s.binds({wrong[GetParam()]}));
}
INSTANTIATE_TEST_SUITE_P(Wrong, SparseBufferBind, testing::Range(0, 4));

TEST_F(Rules, V7_BrokenByASparseBindBeyondTheMemory) {
  Program& p = broken("V7");
  const Sparse s(p, 4);
  p.bind_now(s.binds({s.bind(0, 2, 3)}));
}

TEST_F(Rules, V20_Kept) {
  Program& p = kept();
  VASIM_NEEDS(p.features.sparseBinding);
  const Sparse s(p, 2, kBinding);
  s.bind_all();
  p.fill(s.buffer, 0, s.page, 1);
}

TEST_F(Rules, V20_Broken) {
  Program& p = broken("V20");
  const Sparse s(p, 2, kBinding);
  p.bind_now(s.binds({s.bind(0, 1, 0)}));
  p.fill(s.buffer, 0, 4, 1);  // bound bytes, but the rest is not
}

struct SparseImage {
  explicit SparseImage(Program& program, const ImageSpec& spec) : p(program), image(p.image(spec)) {
    const VkMemoryRequirements needs = p.requirements(image);
    std::uint32_t count = 1;
    vkGetImageSparseMemoryRequirements(p.device, image, &count, &sparse);
    block = needs.alignment;
    memory = p.allocate(needs.size, p.type(0, needs.memoryTypeBits));
  }
  [[nodiscard]] VkSparseImageMemoryBind tile(VkOffset3D offset, VkExtent3D extent, VkDeviceSize from,
                                             std::uint32_t level = 0) const {
    return {{VK_IMAGE_ASPECT_COLOR_BIT, level, 0}, offset, extent, memory, from * block, 0};
  }
  [[nodiscard]] Binds tiles(std::vector<VkSparseImageMemoryBind> list) const {
    Binds all;
    all.tiles.emplace_back(image, std::move(list));
    return all;
  }
  [[nodiscard]] Binds opaque(std::vector<VkSparseMemoryBind> list) const {
    Binds all;
    all.opaque.emplace_back(image, std::move(list));
    return all;
  }

  Program& p;
  VkImage image;
  VkSparseImageMemoryRequirements sparse{};
  VkDeviceSize block = 0;
  VkDeviceMemory memory = VK_NULL_HANDLE;
};

// 300 x 200 texels: 3 x 2 blocks of 128 x 128, the last of a row and a column cut off.
ImageSpec sparse_image(std::uint32_t levels = 1) {
  ImageSpec spec;
  spec.extent = {300, 200, 1};
  spec.levels = levels;
  spec.flags = VK_IMAGE_CREATE_SPARSE_BINDING_BIT | VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT;
  return spec;
}

// Writes numbered texels through a buffer, and reads them back.
void round_trip(Program& p, VkImage image, VkExtent3D extent, std::uint32_t levels = 1) {
  const VkDeviceSize size = VkDeviceSize{4} * extent.width * extent.height * extent.depth;
  const VkBuffer from = p.buffer(size), to = p.buffer(size);
  const VkDeviceMemory source = p.back(from), target = p.back(to);
  auto* const texels = reinterpret_cast<std::uint32_t*>(p.map(source));
  for (std::uint32_t i = 0; i < size / 4; ++i)
    texels[i] = i * 2654435761U;
  p.run([&](VkCommandBuffer commands) {
    to_general(commands, image, levels);
    const VkBufferImageCopy region{0, 0, 0, {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1}, {0, 0, 0}, extent};
    vkCmdCopyBufferToImage(commands, from, image, VK_IMAGE_LAYOUT_GENERAL, 1, &region);
    barrier(commands);
    vkCmdCopyImageToBuffer(commands, image, VK_IMAGE_LAYOUT_GENERAL, to, 1, &region);
    barrier(commands);
  });
  EXPECT_EQ(std::memcmp(texels, p.map(target), size), 0);
}

// Without residency the image is bound as a whole, opaquely, in whatever pieces.
TEST_F(Rules, V20_KeptByAnImage) {
  Program& p = kept();
  VASIM_NEEDS(p.features.sparseBinding);
  ImageSpec spec = sparse_image();
  spec.flags = VK_IMAGE_CREATE_SPARSE_BINDING_BIT;
  const SparseImage s(p, spec);
  const VkDeviceSize blocks = p.requirements(s.image).size / s.block;
  ASSERT_GT(blocks, 2U);
  p.bind_now(s.opaque({sparse_bind(0, s.block, s.memory, (blocks - 1) * s.block),
                       sparse_bind(s.block, (blocks - 1) * s.block, s.memory, 0)}));
  round_trip(p, s.image, spec.extent);
}

TEST_F(Rules, V21_Kept) {
  Program& p = kept();
  VASIM_NEEDS(p.features.sparseResidencyImage2D);
  const SparseImage s(p, sparse_image());
  ASSERT_EQ(s.sparse.formatProperties.imageGranularity.width, 128U);
  p.bind_now(s.tiles({s.tile({0, 0, 0}, {128, 200, 1}, 4), s.tile({128, 0, 0}, {172, 200, 1}, 0)}));
  round_trip(p, s.image, {300, 200, 1});
}

// Blocks of a volume are 32 x 32 x 16 texels of four bytes.
TEST_F(Rules, V21_KeptInThreeDimensions) {
  Program& p = kept();
  VASIM_NEEDS(p.features.sparseResidencyImage3D);
  ImageSpec spec = sparse_image();
  spec.extent = {70, 32, 20};
  const SparseImage s(p, spec);
  ASSERT_EQ(s.sparse.formatProperties.imageGranularity.depth, 16U);
  p.bind_now(s.tiles({s.tile({0, 0, 0}, {64, 32, 20}, 2), s.tile({64, 0, 0}, {6, 32, 20}, 0)}));
  round_trip(p, s.image, spec.extent);
}

class TileBind : public Rules, public testing::WithParamInterface<int> {};

TEST_P(TileBind, V21_Broken) {
  Program& p = broken("V21");
  const SparseImage s(p, sparse_image());
  VkSparseImageMemoryBind wrong[] = {s.tile({64, 0, 0}, {128, 128, 1}, 0),
                                     s.tile({0, 0, 0}, {100, 128, 1}, 0), s.tile({0, 0, 0}, {128, 128, 1}, 0),
                                     s.tile({256, 0, 0}, {128, 128, 1}, 0)};
  wrong[2].memoryOffset = 4096;
  p.bind_now(s.tiles({wrong[GetParam()]}));
}
INSTANTIATE_TEST_SUITE_P(Wrong, TileBind, testing::Range(0, 4));

class MipTail : public Rules, public testing::WithParamInterface<const char*> {};

TEST_P(MipTail, V22_Kept) {
  Program& p = kept(GetParam());
  VASIM_NEEDS(p.features.sparseResidencyImage2D);
  ImageSpec spec = sparse_image(9);
  spec.extent = {256, 256, 1};
  spec.layers = 2;
  const SparseImage s(p, spec);
  ASSERT_LT(s.sparse.imageMipTailFirstLod, 9U);
  // One tail for all layers, or one for each.
  const bool single = (s.sparse.formatProperties.flags & VK_SPARSE_IMAGE_FORMAT_SINGLE_MIPTAIL_BIT) != 0;
  std::vector<VkSparseMemoryBind> tails;
  for (std::uint32_t layer = 0; layer < (single ? 1U : 2U); ++layer)
    tails.push_back(sparse_bind(s.sparse.imageMipTailOffset + layer * s.sparse.imageMipTailStride,
                                s.sparse.imageMipTailSize, s.memory, layer * s.sparse.imageMipTailSize));
  p.bind_now(s.opaque(tails));
  // Each level of the tail and each layer has a place of its own.
  const std::uint32_t first = s.sparse.imageMipTailFirstLod, levels = 9 - first;
  const VkBuffer read = p.buffer(VkDeviceSize{16} * levels);
  const VkDeviceMemory memory = p.back(read);
  const auto value = [](std::uint32_t level, std::uint32_t layer) { return 20 * level + 100 * layer; };
  p.run([&](VkCommandBuffer commands) {
    to_general(commands, s.image, 9, 2);
    for (std::uint32_t level = first; level < 9; ++level)
      for (std::uint32_t layer = 0; layer < 2; ++layer) {
        const auto shade = static_cast<float>(value(level, layer) % 256) / 255;
        const VkClearColorValue colour{{shade, shade, shade, shade}};
        const VkImageSubresourceRange one{VK_IMAGE_ASPECT_COLOR_BIT, level, 1, layer, 1};
        vkCmdClearColorImage(commands, s.image, VK_IMAGE_LAYOUT_GENERAL, &colour, 1, &one);
      }
    barrier(commands);
    for (std::uint32_t level = first; level < 9; ++level) {
      const VkDeviceSize at = VkDeviceSize{16} * (level - first);
      const auto last = static_cast<std::int32_t>(256U >> level) - 1;
      const VkImageSubresourceLayers where{VK_IMAGE_ASPECT_COLOR_BIT, level, 0, 2};
      const VkBufferImageCopy texels[] = {{at, 0, 0, where, {0, 0, 0}, {1, 1, 1}},
                                          {at + 8, 0, 0, where, {last, last, 0}, {1, 1, 1}}};
      vkCmdCopyImageToBuffer(commands, s.image, VK_IMAGE_LAYOUT_GENERAL, read, 2, texels);
    }
    barrier(commands);
  });
  const unsigned char* const bytes = p.map(memory);
  for (std::uint32_t i = 0; i < 16 * levels; ++i)
    EXPECT_EQ(bytes[i], value(first + i / 16, i / 4 % 2) % 256) << i;
}
INSTANTIATE_TEST_SUITE_P(Profiles, MipTail, testing::Values("discrete_bar256", "integrated", "tiny"));

TEST_F(Rules, V22_BrokenByATile) {
  Program& p = broken("V22");
  const SparseImage s(p, sparse_image(9));
  p.bind_now(s.tiles({s.tile({0, 0, 0}, {9, 6, 1}, 0, 5)}));
}

TEST_F(Rules, V22_BrokenByAnOpaqueBind) {
  Program& p = broken("V22");
  const SparseImage s(p, sparse_image(9));
  p.bind_now(s.opaque({sparse_bind(0, s.block, s.memory)}));
}

TEST_F(Rules, V23_Kept) {
  Program& p = kept();
  VASIM_NEEDS(p.features.sparseResidencyBuffer);
  const Sparse s(p, 4);
  p.bind_now(s.binds({s.bind(0, 1, 0), s.bind(1, 1, 1), s.unbind(2, 2)}));
}

TEST_F(Rules, V23_Broken) {
  Program& p = broken("V23");
  const Sparse s(p, 4);
  p.bind_now(s.binds({s.bind(0, 2, 0), s.bind(1, 1, 2)}));
}

TEST_F(Rules, V28_Kept) {
  Program& p = kept();
  VASIM_NEEDS(p.sparse.residencyNonResidentStrict);
  const Sparse s(p, 4);
  p.bind_now(s.binds({s.bind(0, 1, 0)}));
  p.fill(s.buffer, 0, 4 * s.page, 0x99999999);  // what is written where nothing is bound is lost
  const std::vector<unsigned char> bytes = p.contents(s.buffer, 2 * s.page);
  EXPECT_EQ(bytes[s.page - 1], 0x99);
  EXPECT_EQ(bytes[s.page], 0);
}

TEST_F(Rules, V28_Broken) {
  Program& p = broken("V28", "integrated");
  const Sparse s(p, 4);
  p.bind_now(s.binds({s.bind(0, 1, 0)}));
  EXPECT_NE(p.contents(s.buffer, 2 * s.page)[s.page], 0);  // not even zero
}

TEST_F(Rules, V29_Kept) {
  Program& p = kept();
  VASIM_NEEDS(p.features.sparseResidencyAliased);
  const Sparse s(p, 4, kAliased);
  p.bind_now(s.binds({s.bind(0, 1, 0), s.bind(2, 1, 0)}));
  p.fill(s.buffer, 0, s.page, 0x44444444);
  EXPECT_EQ(p.contents(s.buffer, 3 * s.page)[2 * s.page], 0x44);
}

TEST_F(Rules, V29_Broken) {
  Program& p = broken("V29");
  const Sparse s(p, 4);
  p.bind_now(s.binds({s.bind(0, 1, 0), s.bind(2, 1, 0)}));
}

TEST_F(Rules, V30_Kept) {
  Program& p = kept("tiny");
  VASIM_NEEDS(p.features.sparseBinding);
  const VkDeviceSize half = p.properties.limits.sparseAddressSpaceSize / 2;
  if (half > VkDeviceSize{1} << 32U) GTEST_SKIP() << "a sparse address space that no test fills";
  p.buffer(half, kTransfer, kResidency);
  p.destroy(p.buffer(half, kTransfer, kResidency));
  p.buffer(half, kTransfer, kResidency);
}

TEST_F(Rules, V30_Broken) {
  Program& p = broken("V30", "tiny");
  const VkDeviceSize limit = p.properties.limits.sparseAddressSpaceSize;
  p.buffer(limit / 2, kTransfer, kResidency);
  EXPECT_THROW(p.buffer(limit / 2 + 1, kTransfer, kResidency), std::runtime_error);
}

TEST_F(Rules, V31_Kept) {
  Program& p = kept("discrete_rebar");
  VASIM_NEEDS(p.sparse_queue != VK_NULL_HANDLE);
  if (!on_other_driver()) {
    EXPECT_NE(p.sparse_family, p.family);
  }
  const Sparse s(p, 2);
  s.bind_all();
  p.fill(s.buffer, 0, s.page, 1);
}

TEST_F(Rules, V31_Broken) {
  Program& p = broken("V31", "discrete_rebar");
  const Sparse s(p, 2);
  EXPECT_NE(p.try_bind({s.binds({s.bind(0, 1, 0)})}, VK_NULL_HANDLE, p.queue), VK_SUCCESS);
}

}  // namespace
}  // namespace vasim::test
