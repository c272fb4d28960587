// That the layer does look where the other tests trust it to: each of its switches, on lavapipe, hears of a
// hazard that nothing else tells.
#include "vulkan/heap_fixture.hpp"

namespace vaspace::test {
namespace {

class ValidationTest : public HeapTest {
 protected:
  void SetUp() override {
    open({});
    if (gpu == nullptr) return;
    if (!gpu->validated()) GTEST_SKIP() << "VK_LAYER_KHRONOS_validation is not installed";
    source.emplace(heap->create_buffer({.size = 64_KiB, .usage = kTransfer}).value());
    destination.emplace(heap->create_buffer({.size = 64_KiB, .usage = kTransfer}).value());
  }
  void TearDown() override {
    if (gpu != nullptr) vkQueueWaitIdle(gpu->graphics);
    source.reset();
    destination.reset();
    HeapTest::TearDown();
  }
  void copy(VkCommandBuffer commands) const {
    const VkBufferCopy region{0, 0, 4096};
    vkCmdCopyBuffer(commands, source->buffer(), destination->buffer(), 1, &region);
  }
  static void barrier(VkCommandBuffer commands) {
    VkMemoryBarrier info{};
    info.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    info.srcAccessMask = info.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1,
                         &info, 0, nullptr, 0, nullptr);
  }

  static inline const std::set<std::string> kHazard{"SYNC-HAZARD-WRITE_AFTER_WRITE",
                                                    "SYNC-HAZARD-WRITE-AFTER-WRITE"};
  std::optional<vulkan::Buffer> source, destination;
};

// VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT.
TEST_F(ValidationTest, HearsOfAHazardInACommandBuffer) {
  gpu->submit([&](VkCommandBuffer commands) {
    copy(commands);
    copy(commands);
  });
  EXPECT_NE(gpu->take_messages(kHazard), "");
  gpu->run([&](VkCommandBuffer commands) {
    barrier(commands);
    copy(commands);
    barrier(commands);
    copy(commands);
  });
  EXPECT_EQ(gpu->messages(), "");
}

// The check of submits, which this layer has behind a switch of its own.
TEST_F(ValidationTest, HearsOfAHazardAcrossSubmits) {
  gpu->submit([&](VkCommandBuffer commands) { copy(commands); });
  gpu->submit([&](VkCommandBuffer commands) { copy(commands); });
  EXPECT_NE(gpu->take_messages(kHazard), "");
  gpu->submit([&](VkCommandBuffer commands) {
    barrier(commands);
    copy(commands);
  });
  EXPECT_EQ(gpu->messages(), "");
}

// VK_VALIDATION_FEATURE_ENABLE_BEST_PRACTICES_EXT.
TEST_F(ValidationTest, HearsOfABadPractice) {
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = 4096;
  info.usage = kTransfer;
  VkBuffer buffer = VK_NULL_HANDLE;
  ASSERT_EQ(vkCreateBuffer(gpu->device, &info, nullptr, &buffer), VK_SUCCESS);
  // Bound without its needs being asked for.
  const auto memory =
      heap->memory().allocate({.requirements = {.size = 64_KiB, .alignment = Alignment{4096}}});
  ASSERT_TRUE(memory);
  EXPECT_EQ(vkBindBufferMemory(gpu->device, buffer, (VkDeviceMemory)memory->native, memory->offset.value),
            VK_SUCCESS);
  vkDestroyBuffer(gpu->device, buffer, nullptr);
  heap->free(*memory);
  EXPECT_NE(gpu->take_messages({"UNASSIGNED-BestPractices-vkBindBufferMemory-requirements-not-retrieved"}),
            "");
}

}  // namespace
}  // namespace vaspace::test
