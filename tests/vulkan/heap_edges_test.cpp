// What a vulkan::Heap keeps between calls: timelines, pools of shared buffers and their places, and what it
// leaves when host memory is refused.
#include <set>

#include "vulkan/heap_fixture.hpp"

namespace vaspace::test {
namespace {

// ---- timelines

TEST_F(HeapTest, AForgottenTimelineIsUnknown) {
  open({.profile = "discrete_bar256"});
  const TimelineId id = add_timeline();
  auto buffer = heap->create_buffer({.size = 1_KiB, .usage = kTransfer}).value();
  ASSERT_TRUE(heap->forget_timeline(id));
  EXPECT_EQ(code(heap->retire(std::move(buffer), {id, 0})), ErrorCode::invalid_argument);
  EXPECT_EQ(code(heap->forget_timeline(id)), ErrorCode::invalid_argument);
}

TEST_F(HeapTest, ANewTimelineBeginsAnewInAnothersPlace) {
  open({.profile = "discrete_bar256"});
  const TimelineId old = add_timeline();
  gpu->signal(timeline, 5);
  heap->collect();
  ASSERT_TRUE(heap->forget_timeline(old));
  vkDestroySemaphore(gpu->device, timeline, nullptr);
  const TimelineId id = add_timeline();
  const HeapAllocation memory = heap->allocate({4096, 256, ~0U}).value();
  ASSERT_TRUE(heap->memory().retire(memory, {{{id, 3}}}));
  heap->memory().collect();
  EXPECT_EQ(heap->report().memory.retired, 1U) << "5 was the other's";
  gpu->signal(timeline, 3);
  heap->collect();
  EXPECT_EQ(heap->report().memory.retired, 0U);
}

TEST_F(HeapTest, MoreTimelinesThanThereIsRoomForAreRefused) {
  open({.profile = "discrete_bar256"});
  const TimelineId first = add_timeline();
  std::vector<TimelineId> more;
  Result<TimelineId> next = heap->add_timeline(timeline);
  while (next && more.size() < 1000) {
    more.push_back(*next);
    next = heap->add_timeline(timeline);
  }
  EXPECT_EQ(code(next), ErrorCode::out_of_space);
  ASSERT_TRUE(heap->forget_timeline(first));
  EXPECT_TRUE(heap->add_timeline(timeline)) << "there is room for one";
}

// ---- shared buffers

// Where the n-th buffer of a pool stands.
std::uint64_t slot_of(const vulkan::Buffer& buffer) {
  return buffer.memory().address.value >> 40U;
}

TEST_F(HeapTest, APoolThatHoldsLittleKeepsLittle) {
  open({.profile = "no_sparse"});
  std::vector<vulkan::Buffer> live;
  for (const std::uint32_t usage : {VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT})
    live.push_back(heap->alloc_buffer(1_KiB, usage).value());
  EXPECT_EQ(heap->report().sub_buffer_committed, 512_KiB);
  for (int i = 0; i < 64; ++i)
    live.push_back(heap->alloc_buffer(100'000_B, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT).value());
  const Bytes held = heap->report().sub_buffer_committed;
  EXPECT_LE(held.value, 2 * heap->report().sub_buffer_live.value) << "it grows with what lives";
  std::set<VkBuffer> buffers;
  for (const vulkan::Buffer& each : live)
    buffers.insert(each.buffer());
  EXPECT_LE(buffers.size(), 12U) << "and its buffers grow too";
}

TEST_F(HeapTest, PlacesOfSharedBuffersAreUsedAgain) {
  for (const char* profile : {"no_sparse", "discrete_bar256"}) {
    open({.profile = profile});
    for (int i = 0; i < 3; ++i) {
      auto made = heap->alloc_buffer(100'000_B, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT).value();
      EXPECT_EQ(slot_of(made), 1U) << profile << i;
      made.reset();
      heap->trim();
      EXPECT_EQ(heap->report().sub_buffer_committed, 0_B) << profile << i;
    }
  }
}

TEST_F(HeapTest, ASharedBufferThatWasRefusedLeavesItsPlace) {
  open({.profile = "no_sparse", .validate = false});
  for (const char* call : {"vkCreateBuffer", "vkAllocateMemory", "vkBindBufferMemory"}) {
    for (int i = 0; i < 4; ++i) {
      // Every try of the allocation is refused, the smaller blocks too.
      TestDevice::control().fail_share(call, 1.0, 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
      EXPECT_FALSE(heap->alloc_buffer(1_KiB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT)) << call;
      TestDevice::control().clear_failures();
      EXPECT_EQ(heap->report().memory.total.live, 0_B) << call;
      EXPECT_EQ(TestDevice::control().memory_bytes(), 0U) << call << ": it does not wait for a collect (R7)";
    }
    auto made = heap->alloc_buffer(1_KiB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    ASSERT_TRUE(made);
    EXPECT_EQ(slot_of(*made), 1U) << call;
    made->reset();
    heap->trim();
  }
}

// ---- host memory

// Of the heap's own and of all below it, one request after the other.
TEST_F(HeapTest, R7_EveryRequestForHostMemoryRefusedOnce) {
  for (const char* profile : {"no_sparse", "discrete_bar256"}) {
    open({.profile = profile, .validate = false});
    bool refused_any = false;
    for (std::int64_t n = 1; n < 400; ++n) {
      vulkan::HeapConfig config;
      config.memory.host = host.allocator();
      config.sparse = {.queue = gpu->sparse, .family = gpu->sparse_family};
      config.transfer = {.queue = gpu->graphics, .family = gpu->graphics_family};
      auto fresh = vulkan::Heap::create(*backend, config).value();
      const std::uint64_t objects = TestDevice::control().live_objects();
      const std::int64_t before = host.requests();
      host.fail_at(n);
      const auto range = fresh.alloc_buffer(
          {.size = 100'000_B, .usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, .name = "a name of some length"});
      const auto buffer = fresh.create_buffer({.size = 1_MiB, .usage = kTransfer, .movable = true});
      host.fail_at(0);
      const bool all = host.requests() - before < n;
      for (const Error& error : {range ? Error{} : range.error(), buffer ? Error{} : buffer.error()}) {
        if (error != Error{}) {
          EXPECT_EQ(error.code, ErrorCode::out_of_host_memory) << profile << n;
          refused_any = true;
        }
      }
      EXPECT_EQ(fresh.report().sub_buffers, range ? 1U : 0U) << profile << n;
      EXPECT_EQ(fresh.report().buffers, buffer ? 1U : 0U) << profile << n;
      EXPECT_TRUE(fresh.alloc_buffer(100'000_B, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT)) << profile << n;
      EXPECT_TRUE(fresh.create_buffer({.size = 1_MiB, .usage = kTransfer})) << profile << n;
      EXPECT_EQ(fresh.validate(), nullptr) << profile << n;
      EXPECT_GE(TestDevice::control().live_objects(), objects);
      if (all) break;
    }
    EXPECT_TRUE(refused_any) << profile;
  }
}

}  // namespace
}  // namespace vaspace::test
