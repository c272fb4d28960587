// V1 to V9: where memory objects and what is bound to them may lie.
#include "rules.hpp"

namespace vasim::test {
namespace {

VkDeviceSize round_up(VkDeviceSize value, VkDeviceSize to) {
  return (value + to - 1) / to * to;
}

ImageSpec linear_image() {
  ImageSpec spec;
  spec.tiling = VK_IMAGE_TILING_LINEAR;
  return spec;
}

// A memory type that all of them may have.
template <class... Object>
std::uint32_t common_type(Program& p, VkMemoryPropertyFlags wanted, Object... objects) {
  return p.type(wanted, (p.requirements(objects).memoryTypeBits & ...));
}

class Granularity : public Rules, public testing::WithParamInterface<const char*> {};

TEST_P(Granularity, V1_Kept) {
  Program& p = kept(GetParam());
  const VkBuffer buffer = p.buffer(1000);
  const VkImage image = p.image({});
  const VkMemoryRequirements a = p.requirements(buffer), b = p.requirements(image);
  const VkDeviceSize granularity = p.properties.limits.bufferImageGranularity;
  const VkDeviceSize at = round_up(round_up(a.size, granularity), b.alignment);
  const VkDeviceMemory memory = p.allocate(at + b.size, common_type(p, 0, buffer, image));
  check(vkBindImageMemory(p.device, image, memory, at), "bind");
  check(vkBindBufferMemory(p.device, buffer, memory, 0), "bind");
  p.run([&](VkCommandBuffer commands) {
    vkCmdFillBuffer(commands, buffer, 0, VK_WHOLE_SIZE, 0x11223344);
    to_general(commands, image);
    const VkClearColorValue colour{{1, 1, 1, 1}};
    const VkImageSubresourceRange all{VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
    vkCmdClearColorImage(commands, image, VK_IMAGE_LAYOUT_GENERAL, &colour, 1, &all);
  });
  for (const unsigned char byte : p.contents(buffer, 4))
    EXPECT_NE(byte, 0xff);
}
INSTANTIATE_TEST_SUITE_P(Profiles, Granularity,
                         testing::Values("discrete_bar256", "discrete_rebar", "granularity_64k", "tiny",
                                         "mobile_tiler"));

TEST_F(Rules, V1_Broken) {
  Program& p = broken("V1", "granularity_64k");
  const VkBuffer buffer = p.buffer(1000);
  const VkImage image = p.image({});
  const VkMemoryRequirements a = p.requirements(buffer), b = p.requirements(image);
  const VkDeviceSize at = round_up(a.size, b.alignment);  // meets the alignment, not the granularity
  const VkDeviceMemory memory = p.allocate(at + b.size, common_type(p, 0, buffer, image));
  check(vkBindBufferMemory(p.device, buffer, memory, 0), "bind");
  check(vkBindImageMemory(p.device, image, memory, at), "bind");
}

TEST_F(Rules, V1_BrokenInTheOtherOrder) {
  Program& p = broken("V1", "granularity_64k");
  const VkImage image = p.image({});
  const VkBuffer buffer = p.buffer(1000);
  const VkMemoryRequirements a = p.requirements(image), b = p.requirements(buffer);
  const VkDeviceSize at = round_up(a.size, b.alignment);
  const VkDeviceMemory memory = p.allocate(at + b.size, common_type(p, 0, buffer, image));
  check(vkBindBufferMemory(p.device, buffer, memory, at), "bind");
  check(vkBindImageMemory(p.device, image, memory, 0), "bind");
}

// A linear image is as linear as a buffer: no padding is needed.
TEST_F(Rules, V2_Kept) {
  Program& p = kept("granularity_64k");
  const VkBuffer buffer = p.buffer(1000);
  const VkImage image = p.image(linear_image());
  const VkMemoryRequirements a = p.requirements(buffer), b = p.requirements(image);
  const VkDeviceSize at = round_up(a.size, b.alignment);
  const VkDeviceMemory memory = p.allocate(at + b.size, common_type(p, 0, buffer, image));
  check(vkBindBufferMemory(p.device, buffer, memory, 0), "bind");
  check(vkBindImageMemory(p.device, image, memory, at), "bind");
}

TEST_F(Rules, V2_Broken) {
  Program& p = broken("V2", "granularity_64k");
  const VkImage linear = p.image(linear_image()), optimal = p.image({});
  const VkMemoryRequirements a = p.requirements(linear), b = p.requirements(optimal);
  const VkDeviceSize at = round_up(a.size, b.alignment);
  const VkDeviceMemory memory = p.allocate(at + b.size, common_type(p, 0, linear, optimal));
  check(vkBindImageMemory(p.device, linear, memory, 0), "bind");
  check(vkBindImageMemory(p.device, optimal, memory, at), "bind");
}

TEST_F(Rules, V4_Kept) {
  Program& p = kept("count_64");
  const std::uint32_t many = std::min(64U, p.properties.limits.maxMemoryAllocationCount);
  std::vector<VkDeviceMemory> all;
  for (std::uint32_t i = 0; i < many; ++i)
    all.push_back(p.allocate(4096, 0));
  p.free(all.back());
  p.allocate(4096, 0);
}

TEST_F(Rules, V4_Broken) {
  Program& p = broken("V4", "count_64");
  for (int i = 0; i < 64; ++i)
    p.allocate(4096, 0);
  VkDeviceMemory memory = VK_NULL_HANDLE;
  EXPECT_EQ(p.try_allocate(4096, 0, memory), VK_ERROR_TOO_MANY_OBJECTS);
}

TEST_F(Rules, V5_Kept) {
  Program& p = kept("tiny");
  VkDeviceMemory memory = p.allocate(1, p.type(kHost));
  p.free(memory);
  if (!on_other_driver()) p.allocate(VkDeviceSize{32} << 20U, p.type(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT));
}

TEST_F(Rules, V5_BrokenByTheLimit) {
  Program& p = broken("V5", "tiny");
  VkDeviceMemory memory = VK_NULL_HANDLE;
  EXPECT_EQ(p.try_allocate((VkDeviceSize{32} << 20U) + 1, 0, memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
}

TEST_F(Rules, V5_BrokenByNothing) {
  Program& p = broken("V5");
  VkDeviceMemory memory = VK_NULL_HANDLE;
  EXPECT_NE(p.try_allocate(0, 0, memory), VK_SUCCESS);
}

// A full heap refuses, which breaks nothing.
TEST_F(Rules, V5_RefusalIsNoReport) {
  Options options;
  options.profile = "tiny";
  if (on_other_driver()) GTEST_SKIP() << "a heap of 48 MiB";
  Program& p = begin(options);
  const std::uint32_t local = p.type(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
  p.allocate(VkDeviceSize{32} << 20U, local);
  VkDeviceMemory memory = VK_NULL_HANDLE;
  EXPECT_EQ(p.try_allocate(VkDeviceSize{17} << 20U, local, memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
}

TEST_F(Rules, V6_Kept) {
  Program& p = kept("mobile_tiler");
  const VkBuffer buffer = p.buffer(4096);
  p.back(buffer, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
}

TEST_F(Rules, V6_Broken) {
  // A profile of its own: images are not for the type that the host sees.
  Program& p = broken("V6", VASIM_TEST_PROFILES "/split_types.json");
  const VkImage image = p.image({});
  const VkMemoryRequirements needs = p.requirements(image);
  const std::uint32_t type = p.type(kHost);
  ASSERT_EQ(needs.memoryTypeBits & (1U << type), 0U);
  check(vkBindImageMemory(p.device, image, p.allocate(needs.size, type), 0), "bind");
}

TEST_F(Rules, V6_BrokenByATypeThatIsNot) {
  Program& p = broken("V6");
  VkDeviceMemory memory = VK_NULL_HANDLE;
  EXPECT_NE(p.try_allocate(4096, p.memory.memoryTypeCount, memory), VK_SUCCESS);
}

TEST_F(Rules, V7_Kept) {
  Program& p = kept();
  const VkBuffer a = p.buffer(1000), b = p.buffer(1000);
  const VkMemoryRequirements needs = p.requirements(a);
  const VkDeviceSize at = round_up(needs.size, needs.alignment);
  const VkDeviceMemory memory = p.allocate(at + needs.size, common_type(p, 0, a, b));
  check(vkBindBufferMemory(p.device, b, memory, at), "bind");
  check(vkBindBufferMemory(p.device, a, memory, 0), "bind");
  p.fill(a, 0, 1000, 0xaaaaaaaa);
  p.fill(b, 0, 1000, 0xbbbbbbbb);
  EXPECT_EQ(p.contents(a, 1000), std::vector<unsigned char>(1000, 0xaa));
  EXPECT_EQ(p.contents(b, 1000), std::vector<unsigned char>(1000, 0xbb));
}

TEST_F(Rules, V7_BrokenByTheOffset) {
  Program& p = broken("V7");
  const VkBuffer buffer = p.buffer(1000);
  const VkDeviceMemory memory = p.allocate(8192, p.type(0, p.requirements(buffer).memoryTypeBits));
  check(vkBindBufferMemory(p.device, buffer, memory, 8), "bind");
}

TEST_F(Rules, V7_BrokenByTheSize) {
  Program& p = broken("V7");
  const VkBuffer buffer = p.buffer(8192);
  const VkDeviceMemory memory = p.allocate(8192, p.type(0, p.requirements(buffer).memoryTypeBits));
  EXPECT_NE(vkBindBufferMemory(p.device, buffer, memory, 4096), VK_SUCCESS);
}

ImageSpec huge() {
  ImageSpec spec;
  spec.extent = {8192, 8192, 1};  // 256 MiB
  return spec;
}

VkMemoryDedicatedAllocateInfo dedicated_to(VkImage image) {
  return {VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO, nullptr, image, VK_NULL_HANDLE};
}

TEST_F(Rules, V8_Kept) {
  Program& p = kept("discrete_rebar");
  const VkImage image = p.image(huge());
  VkMemoryDedicatedRequirements dedicated{VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS, nullptr, 0, 0};
  VkMemoryRequirements2 needs{VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2, &dedicated, {}};
  const VkImageMemoryRequirementsInfo2 asked{VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2, nullptr,
                                             image};
  vkGetImageMemoryRequirements2(p.device, &asked, &needs);
  if (!on_other_driver()) {
    EXPECT_EQ(dedicated.requiresDedicatedAllocation, VK_TRUE);
  }
  const VkMemoryDedicatedAllocateInfo info = dedicated_to(image);
  p.back(image, 0, &info);
}

TEST_F(Rules, V8_PreferenceGrowsWithTheImage) {
  if (on_other_driver()) GTEST_SKIP() << "a figure of the profile";
  Program& p = begin({});
  for (const std::uint32_t side : {64U, 4096U}) {
    ImageSpec spec;
    spec.extent = {side, side, 1};
    VkMemoryDedicatedRequirements dedicated{VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS, nullptr, 0, 0};
    VkMemoryRequirements2 needs{VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2, &dedicated, {}};
    const VkImageMemoryRequirementsInfo2 asked{VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2, nullptr,
                                               p.image(spec)};
    vkGetImageMemoryRequirements2(p.device, &asked, &needs);
    EXPECT_EQ(dedicated.prefersDedicatedAllocation, side == 64 ? VK_FALSE : VK_TRUE) << side;
    EXPECT_EQ(dedicated.requiresDedicatedAllocation, VK_FALSE) << side;
  }
}

TEST_F(Rules, V8_BrokenByMemoryOfAll) {
  Program& p = broken("V8", "discrete_rebar");
  p.back(p.image(huge()));
}

TEST_F(Rules, V8_BrokenByAnotherResource) {
  Program& p = broken("V8");
  const VkImage owner = p.image({}), other = p.image({});
  const VkMemoryDedicatedAllocateInfo info = dedicated_to(owner);
  const VkMemoryRequirements needs = p.requirements(owner);
  const VkDeviceMemory memory = p.allocate(needs.size, p.type(0, needs.memoryTypeBits), &info);
  check(vkBindImageMemory(p.device, other, memory, 0), "bind");
}

constexpr VkBufferUsageFlags kAddress =
    VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT | VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;

TEST_F(Rules, V9_Kept) {
  Program& p = kept();
  VASIM_NEEDS(p.address);
  const VkBuffer buffer = p.buffer(4096, kAddress);
  const VkMemoryAllocateFlagsInfo flags{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO, nullptr,
                                        VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT, 0};
  p.back(buffer, 0, &flags);
  const VkBufferDeviceAddressInfo info{VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, nullptr, buffer};
  EXPECT_NE(p.function<PFN_vkGetBufferDeviceAddressKHR>("vkGetBufferDeviceAddressKHR")(p.device, &info), 0U);
}

TEST_F(Rules, V9_Broken) {
  Program& p = broken("V9");
  p.back(p.buffer(4096, kAddress));
}

}  // namespace
}  // namespace vasim::test
