// Sub-buffers on both sides of the size above which they are not shared; memory alone; and what is told of
// sub-buffers that were forgotten or ended twice.
#include <cstring>
#include <new>

#include "vulkan/heap_fixture.hpp"

namespace vaspace::test {
namespace {

constexpr std::uint32_t kVertex = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT;
constexpr Bytes kLargest = 16_MiB;  // that is shared

// What the heap asked the driver for last.
struct Seen {
  VkBufferCreateInfo info{};
  std::vector<std::uint32_t> families;
};

class LargeTest : public HeapTest {
 protected:
  void SetUp() override {
    sparse = false;
    seen = {};
    own_functions = {{"vkCreateBuffer", reinterpret_cast<PFN_vkVoidFunction>(&watch)}};
  }
  static inline Seen seen;
  static VkResult VKAPI_PTR watch(VkDevice device, const VkBufferCreateInfo* info,
                                  const VkAllocationCallbacks* host, VkBuffer* buffer) {
    seen = {*info, {}};
    if (info->sharingMode == VK_SHARING_MODE_CONCURRENT)
      seen.families.assign(info->pQueueFamilyIndices,
                           info->pQueueFamilyIndices + info->queueFamilyIndexCount);
    return vkCreateBuffer(device, info, host, buffer);
  }
};

TEST_F(LargeTest, WhoAsksForASubBufferSeesNoBorder) {
  open({.profile = "discrete_rebar"});
  ASSERT_GE(gpu->families.size(), 2U);
  auto ring = vulkan::UploadRing::create(*heap, {.capacity = 64_KiB, .timeline = add_timeline()}).value();
  for (const Bytes size : {kLargest - 1_B, kLargest, kLargest + 4_B}) {
    auto made = heap->alloc_buffer(size, kVertex);
    ASSERT_TRUE(made) << to_string(made.error().code);
    EXPECT_EQ(made->is_sub_buffer(), size <= kLargest);
    EXPECT_EQ(seen.families, gpu->families) << "all queues use it, " << size.value;
    EXPECT_EQ(seen.info.usage & (kVertex | kTransfer), kVertex | kTransfer) << size.value;
    EXPECT_TRUE(is_aligned(made->offset(), Alignment{16}));
    // In and out by copies, which the layer would not let pass.
    const std::vector<std::uint32_t> words(4, 0xabcd0123U);
    const vulkan::Upload copy = ring.upload(*made, 0_B, std::as_bytes(std::span(words))).value();
    if (!copy.direct) {
      gpu->run([&](VkCommandBuffer commands) {
        const VkBufferCopy range{copy.source_offset.value, copy.destination_offset.value, copy.size.value};
        vkCmdCopyBuffer(commands, copy.source, copy.destination, 1, &range);
      });
    }
    if (made->offset() == 0_B) {
      EXPECT_EQ(gpu->words_of(made->buffer(), 16_B), words) << size.value;
    }
  }
}

// Of its own a buffer could be all that; a range of a shared one cannot, and nobody is left to believe it.
TEST_F(LargeTest, WhatASharedBufferCannotBeIsRefusedOnBothSides) {
  open({.profile = "discrete_rebar"});
  auto own = heap->create_buffer({.size = 64_KiB, .usage = kTransfer}).value();
  const HeapAllocation foreign = own.memory();
  const std::uint32_t stranger[] = {gpu->graphics_family, 12345};
  const PoolId pool = heap->memory().create_pool({}).value();
  for (const Bytes size : {64_KiB, kLargest + 4_B}) {
    const vulkan::BufferRequest plain{.size = size, .usage = kVertex};
    vulkan::BufferRequest wrong[10];
    std::fill(std::begin(wrong), std::end(wrong), plain);
    wrong[0].families = stranger;
    wrong[1].aliasable = true;
    wrong[2].alias_of = &foreign;
    wrong[3].pool = pool;
    wrong[4].priority = 1;
    wrong[5].dedicated = DedicatedWish::required;
    wrong[6].movable = true;
    wrong[7].exportable = true;
    wrong[8].flags = VK_BUFFER_CREATE_PROTECTED_BIT;
    wrong[9].next = &plain;
    for (const vulkan::BufferRequest& request : wrong)
      EXPECT_EQ(code(heap->alloc_buffer(request)), ErrorCode::not_supported)
          << size.value << " " << &request - wrong;
    vulkan::BufferRequest right = plain;
    right.families = gpu->families;
    const auto made = heap->alloc_buffer(right);
    ASSERT_TRUE(made) << size.value << to_string(made.error().code);
    EXPECT_EQ(seen.families, gpu->families) << size.value;
  }
}

TEST_F(LargeTest, V15_ProtectedSubBuffersOfAnySize) {
  open({.profile = "mobile_tiler"});
  for (const Bytes size : {64_KiB, kLargest + 4_B}) {
    const auto made = heap->alloc_buffer(
        {.size = size, .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, .intent = Intent::protected_device});
    ASSERT_TRUE(made) << size.value << to_string(made.error().code);
    EXPECT_NE(seen.info.flags & VK_BUFFER_CREATE_PROTECTED_BIT, 0U) << size.value;
  }
}

TEST_F(LargeTest, LargeAddressesAreAlignedAsTheUsageWants) {
  open({.profile = "discrete_rebar"});
  const auto made = heap->alloc_buffer(
      {.size = kLargest + 4_B,
       .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
       .alignment = Alignment{4096}});
  ASSERT_TRUE(made) << to_string(made.error().code);
  EXPECT_NE(made->device_address(), 0U);
  EXPECT_EQ(made->device_address() % 4096, 0U);
}

// ---- memory alone

// Whatever it is that comes to lie there, beside buffers.
TEST_F(HeapTest, V1_MemoryWithoutAWordAboutItTakesImages) {
  small = 0_B;
  block = 4_MiB;
  open({.profile = "granularity_64k"});
  std::vector<vulkan::Buffer> buffers;
  std::vector<VkImage> images;
  std::vector<HeapAllocation> memory;
  const VkImageCreateInfo info = image_info(16);
  for (int i = 0; i < 4; ++i) {
    buffers.push_back(heap->create_buffer({.size = 1_KiB, .usage = kTransfer}).value());
    VkImage image = VK_NULL_HANDLE;
    ASSERT_EQ(vkCreateImage(gpu->device, &info, nullptr, &image), VK_SUCCESS);
    VkMemoryRequirements needs{};
    vkGetImageMemoryRequirements(gpu->device, image, &needs);
    memory.push_back(heap->allocate(needs).value());
    EXPECT_TRUE(heap->bind(image, memory.back()));
    images.push_back(image);
  }
  for (const HeapAllocation& one : memory) {
    for (const vulkan::Buffer& buffer : buffers) {
      const HeapAllocation other = buffer.memory();
      const bool near = one.native == other.native &&
                        one.offset.value / (64_KiB).value == other.offset.value / (64_KiB).value;
      EXPECT_FALSE(near);
    }
  }
  for (const VkImage image : images)
    vkDestroyImage(gpu->device, image, nullptr);
  for (const HeapAllocation& one : memory)
    heap->free(one);
}

// ---- what is told of sub-buffers

struct Leaks {
  std::vector<std::string> names;
  std::vector<Bytes> sizes;
  std::vector<std::uint64_t> user_data;
};

TEST_F(HeapTest, ForgottenSubBuffersAreTold) {
  for (const bool in_sparse : {false, true}) {
    Leaks leaks;
    on_leak = {&leaks, [](void* user, const HeapAllocationInfo& leaked) noexcept {
                 static_cast<Leaks*>(user)->names.emplace_back(leaked.name);
                 static_cast<Leaks*>(user)->sizes.push_back(leaked.allocation.size);
                 static_cast<Leaks*>(user)->user_data.push_back(leaked.user_data);
               }};
    sparse = in_sparse;
    open({.profile = "discrete_bar256"});
    alignas(vulkan::Buffer) std::byte forgotten[sizeof(vulkan::Buffer)];
    new (forgotten) vulkan::Buffer(
        heap->alloc_buffer({.size = 100'000_B, .usage = kVertex, .name = "mesh/rock", .user_data = 4711})
            .value());
    close();
    EXPECT_EQ(leaks.names, std::vector<std::string>{"mesh/rock"}) << in_sparse;
    EXPECT_EQ(leaks.sizes, std::vector<Bytes>{100'000_B}) << in_sparse;
    EXPECT_EQ(leaks.user_data, std::vector<std::uint64_t>{4711}) << in_sparse;
  }
}

TEST_F(HeapTest, R6_ASubBufferThatEndsTwiceIsTold) {
  for (const bool in_sparse : {false, true}) {
    int told = 0;
    on_misuse = {&told, [](void* user, const Misuse&) noexcept { ++*static_cast<int*>(user); }};
    sparse = in_sparse;
    open({.profile = "discrete_bar256"});
    auto made = heap->alloc_buffer(100'000_B, kVertex).value();
    // As a caller's stray copy of it would.
    alignas(vulkan::Buffer) std::byte copy[sizeof(vulkan::Buffer)];
    std::memcpy(copy, &made, sizeof(made));
    made.reset();
    std::launder(reinterpret_cast<vulkan::Buffer*>(copy))->reset();
    EXPECT_EQ(told, 1) << in_sparse;
    EXPECT_EQ(heap->report().sub_buffers, 0U);
  }
}

}  // namespace
}  // namespace vaspace::test
