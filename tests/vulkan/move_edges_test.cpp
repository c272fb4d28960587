// Defragmentation where little things count: what is copied from a request, what is refused halfway, and what
// must not be anybody's yet.
#include "vulkan/move_fixture.hpp"

namespace vaspace::test {
namespace {

// The span that the request named is long gone when a move makes the resource again.
TEST_F(MoveTest, QueueFamiliesAreKept) {
  open({.profile = "discrete_rebar"});
  ASSERT_GE(gpu->families.size(), 2U);
  std::vector<vulkan::Image> images;
  {
    const std::vector<std::uint32_t> families = gpu->families;
    VkImageCreateInfo info = image_info(128);
    info.sharingMode = VK_SHARING_MODE_CONCURRENT;
    info.queueFamilyIndexCount = static_cast<std::uint32_t>(families.size());
    info.pQueueFamilyIndices = families.data();
    for (std::uint32_t i = 0; i < 48; ++i) {
      kept.push_back(
          heap->create_buffer({.size = 64_KiB, .usage = kTransfer, .families = families, .movable = true})
              .value());
      images.push_back(heap->create_image({.info = &info, .movable = true}).value());
    }
    // Overwritten, for whoever looks here later.
    std::fill_n(const_cast<std::uint32_t*>(families.data()), families.size(), 0xdeadU);
  }
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (i % 3 != 0) kept[i].reset(), images[i].reset();
  }
  heap->collect();
  bool buffer = false, image = false;
  for (const vulkan::ResourceMove& move : plan(128)) {
    buffer = buffer || move.kind == vulkan::ResourceMove::Kind::buffer;
    image = image || move.kind == vulkan::ResourceMove::Kind::image;
    EXPECT_TRUE(heap->abandon_move(move));
  }
  EXPECT_TRUE(buffer && image);  // and the layer has found nothing wrong with their families
}

TEST_F(MoveTest, R7_ARefusedBindLeavesNoHandle) {
  open({.profile = "discrete_bar256", .validate = false});
  scatter(48);
  const std::uint64_t objects = TestDevice::control().live_objects();
  TestDevice::control().fail_call("vkBindBufferMemory", 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
  std::vector<vulkan::ResourceMove> moves(16);
  const auto refused = heap->plan_moves({}, moves);
  TestDevice::control().clear_failures();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().native, VK_ERROR_OUT_OF_DEVICE_MEMORY);
  EXPECT_EQ(TestDevice::control().live_objects(), objects);
  EXPECT_EQ(heap->report().buffers, kept.size());
}

TEST_F(MoveTest, AHandleRefusedLaterEndsTheList) {
  open({.profile = "discrete_bar256", .validate = false});
  scatter(48);
  TestDevice::control().fail_call("vkCreateBuffer", 2, VK_ERROR_OUT_OF_HOST_MEMORY);
  const std::vector<vulkan::ResourceMove> moves = plan(16);
  TestDevice::control().clear_failures();
  ASSERT_EQ(moves.size(), 1U);
  EXPECT_EQ(heap->report().memory.moves_open, 1U) << "what was planned behind it is nobody's";
  copy(moves);
  EXPECT_TRUE(heap->commit_move(moves[0], {}).value());
  expect_contents();
}

TEST_F(MoveTest, MemoryThatIsNoResourcesIsLeftToItsOwner) {
  open({.profile = "discrete_bar256"});
  std::vector<HeapAllocation> all;
  for (int i = 0; i < 48; ++i)
    all.push_back(heap->allocate({65536, 256, ~0U}, {.movable = true}).value());
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i % 3 != 0) heap->free(all[i]);
  }
  heap->collect();
  EXPECT_TRUE(plan().empty());
  EXPECT_EQ(heap->report().memory.moves_open, 0U);
  for (std::size_t i = 0; i < all.size(); i += 3)
    heap->free(all[i]);
}

// The old buffer is destroyed in vulkan::Heap::collect; until then its place is nobody's, however much has
// passed.
TEST_F(MoveTest, APlaceIsNobodysBeforeTheHandleThatWasThereIsGone) {
  open({.profile = "discrete_bar256"});
  scatter(48);
  const std::vector<vulkan::ResourceMove> moves = plan();
  ASSERT_FALSE(moves.empty());
  copy(moves);
  for (const vulkan::ResourceMove& move : moves)
    EXPECT_TRUE(heap->commit_move(move, {}).value());
  const Bytes committed = heap->report().memory.total.committed;
  heap->memory().collect();
  EXPECT_EQ(heap->report().memory.total.committed, committed) << "an emptied block went under its buffers";
  EXPECT_EQ(heap->report().buffers, kept.size() + moves.size());
  heap->collect();
  EXPECT_LT(heap->report().memory.total.committed, committed);
  EXPECT_EQ(heap->report().buffers, kept.size());
}

TEST_F(MoveTest, RecordsAreUsedAgain) {
  open({.profile = "discrete_bar256"});
  const auto cycle = [&] {
    kept.clear();
    numbers.clear();
    scatter(24);
    for (const vulkan::ResourceMove& move : plan()) {
      for (vulkan::Buffer& buffer : kept) {
        if (buffer && buffer.buffer() == move.source_buffer) buffer.reset();
      }
      EXPECT_FALSE(heap->commit_move(move, {}).value());
    }
    heap->collect();
  };
  for (int i = 0; i < 3; ++i)
    cycle();
  const std::int64_t requests = host.requests();
  const std::int64_t bytes = host.bytes();
  cycle();
  const std::int64_t a_cycle = host.requests() - requests;
  for (int i = 0; i < 20; ++i)
    cycle();
  EXPECT_EQ(host.bytes(), bytes) << "no record has been lost";
  EXPECT_EQ(host.requests() - requests, 21 * a_cycle);
}

}  // namespace
}  // namespace vaspace::test
