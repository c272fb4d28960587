// What Heap::bind refuses before the driver is asked.
#include "vulkan/rules_fixture.hpp"

namespace vaspace::test {
namespace {

// The requirements are the buffer's; the memory is another one's each time.
TEST_F(RulesTest, BindLooksAtTheMemory_V1_V6_V7) {
  open({.profile = "granularity_64k", .validate = false});
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = 100 << 10U;
  info.usage = kTransfer;
  VkBuffer buffer = VK_NULL_HANDLE;
  ASSERT_EQ(vkCreateBuffer(gpu->device, &info, nullptr, &buffer), VK_SUCCESS);
  VkMemoryRequirements needs{};
  vkGetBufferMemoryRequirements(gpu->device, buffer, &needs);
  const auto refused = [&](const HeapAllocation& memory) { return code(heap->bind(buffer, memory)); };
  VkMemoryRequirements other = needs;
  other.size = needs.size / 2;
  const HeapAllocation small_one = heap->allocate(other).value();
  EXPECT_EQ(refused(small_one), ErrorCode::invalid_argument) << "V7";
  HeapAllocation elsewhere = heap->allocate(needs).value();
  elsewhere.offset += 1_B;
  EXPECT_EQ(refused(elsewhere), ErrorCode::invalid_argument) << "V7";
  elsewhere.offset -= 1_B;
  HeapAllocation typed = elsewhere;
  typed.memory_type = 31;
  EXPECT_EQ(refused(typed), ErrorCode::invalid_argument) << "V6";
  const HeapAllocation optimal = heap->allocate(needs, {.kind = ResourceKind::optimal}).value();
  EXPECT_EQ(refused(optimal), ErrorCode::invalid_argument) << "V1";
  const HeapAllocation linear = heap->allocate(needs, {.kind = ResourceKind::linear}).value();
  EXPECT_TRUE(heap->bind(buffer, linear));
  heap->free(small_one);
  EXPECT_EQ(refused(small_one), ErrorCode::invalid_argument);
  heap->free(elsewhere);
  EXPECT_EQ(refused(elsewhere), ErrorCode::stale_handle);
  vkDestroyBuffer(gpu->device, buffer, nullptr);
  heap->free(optimal);
  heap->free(linear);
}

}  // namespace
}  // namespace vaspace::test
