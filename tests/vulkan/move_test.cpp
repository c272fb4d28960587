// Defragmentation of real resources: contents and handles, frees and refusals in the middle.
#include <cstring>

#include "vulkan/move_fixture.hpp"

namespace vaspace::test {
namespace {

TEST_F(MoveTest, ContentsMoveAndBlocksGoBack) {
  for (const char* profile : {"", "discrete_bar256"}) {
    kept.clear();
    numbers.clear();
    open({.profile = profile});
    scatter(96);
    const Bytes before = heap->report().memory.total.committed;
    int rounds = 0;
    for (std::vector<vulkan::ResourceMove> moves = plan(8); !moves.empty(); moves = plan(8)) {
      ASSERT_LT(++rounds, 100) << "it ends by itself";
      for (const vulkan::ResourceMove& move : moves)
        EXPECT_LT(move.user_data, 96U);
      copy(moves);
      for (const vulkan::ResourceMove& move : moves)
        EXPECT_TRUE(heap->commit_move(move, {}).value());
      heap->collect();
    }
    EXPECT_GT(rounds, 0);
    expect_contents();
    EXPECT_LE(heap->report().memory.total.committed.value, before.value / 2) << profile;
    EXPECT_EQ(heap->report().buffers, kept.size());
    EXPECT_EQ(heap->validate(), nullptr);
  }
}

TEST_F(MoveTest, T3_AFreeDuringAMoveCancelsIt) {
  open({.profile = "discrete_bar256"});
  scatter(48);
  const std::vector<vulkan::ResourceMove> moves = plan();
  ASSERT_GE(moves.size(), 2U);
  for (vulkan::Buffer& buffer : kept) {
    if (buffer.buffer() == moves[0].source_buffer) buffer.reset();
  }
  EXPECT_FALSE(heap->commit_move(moves[0], {}).value()) << "its resource is gone";
  EXPECT_EQ(code(heap->commit_move(moves[0], {})), ErrorCode::unknown_handle) << "once is enough";
  for (std::size_t i = 1; i < moves.size(); ++i)
    EXPECT_TRUE(heap->abandon_move(moves[i]));
  heap->collect();
  expect_contents();
  EXPECT_EQ(heap->report().buffers, kept.size() - 1);
  EXPECT_EQ(heap->validate(), nullptr);
}

TEST_F(MoveTest, SourcesWaitForTheirPoint) {
  open({.profile = "discrete_bar256"});
  const TimelineId id = add_timeline();
  scatter(48);
  const std::vector<vulkan::ResourceMove> moves = plan();
  ASSERT_FALSE(moves.empty());
  copy(moves);
  const TimelinePoint point{id, 1};
  for (const vulkan::ResourceMove& move : moves)
    EXPECT_TRUE(heap->commit_move(move, {&point, 1}).value());
  heap->collect();
  EXPECT_EQ(heap->report().buffers, kept.size() + moves.size());
  expect_contents();
  gpu->signal(timeline, 1);
  heap->collect();
  EXPECT_EQ(heap->report().buffers, kept.size());
}

TEST_F(MoveTest, R7_ARefusedHandleLeavesEverythingWhereItIs) {
  open({.profile = "discrete_bar256", .validate = false});
  scatter(48);
  TestDevice::control().fail_call("vkCreateBuffer", 1, VK_ERROR_OUT_OF_HOST_MEMORY);
  std::vector<vulkan::ResourceMove> moves(16);
  const auto refused = heap->plan_moves({}, moves);
  TestDevice::control().clear_failures();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().native, VK_ERROR_OUT_OF_HOST_MEMORY);
  EXPECT_EQ(heap->report().memory.moves_open, 0U);
  expect_contents();
  const std::vector<vulkan::ResourceMove> again = plan();
  EXPECT_GT(again.size(), 0U) << "it works when it is tried again";
  for (const vulkan::ResourceMove& move : again)
    EXPECT_TRUE(heap->abandon_move(move));
}

TEST_F(MoveTest, ImagesMoveWithTheirContents) {
  open({});
  std::vector<vulkan::Image> all;
  const VkImageCreateInfo info = image_info(128);
  for (std::uint64_t i = 0; i < 48; ++i)
    all.push_back(heap->create_image({.info = &info, .movable = true, .user_data = i}).value());
  const auto transition = [](VkCommandBuffer commands, VkImage image, VkImageLayout layout) {
    VkImageMemoryBarrier barrier{};
    barrier.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER;
    const bool read = layout == VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    barrier.dstAccessMask = read ? VK_ACCESS_TRANSFER_READ_BIT : VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.newLayout = layout;
    barrier.srcQueueFamilyIndex = barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    barrier.image = image;
    barrier.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0,
                         nullptr, 0, nullptr, 1, &barrier);
  };
  gpu->run([&](VkCommandBuffer commands) {
    for (const vulkan::Image& image : all)
      transition(commands, image.image(), VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
  });
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i % 3 != 0) all[i].reset();
  }
  heap->collect();
  const std::vector<vulkan::ResourceMove> moves = plan();
  ASSERT_FALSE(moves.empty());
  gpu->run([&](VkCommandBuffer commands) {
    for (const vulkan::ResourceMove& move : moves) {
      ASSERT_EQ(move.kind, vulkan::ResourceMove::Kind::image);
      transition(commands, move.destination_image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
      VkImageCopy copy{};
      copy.srcSubresource = copy.dstSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
      copy.extent = info.extent;
      vkCmdCopyImage(commands, move.source_image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
                     move.destination_image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &copy);
    }
  });
  for (const vulkan::ResourceMove& move : moves)
    EXPECT_TRUE(heap->commit_move(move, {}).value());
  heap->collect();
  EXPECT_EQ(heap->report().images, 16U);
  EXPECT_EQ(all[moves[0].user_data].image(), moves[0].destination_image);
}

// ---- resources that end in the middle of a move

class EndedInAMove : public MoveTest {
 protected:
  // One move is open and its resource still there; others have been abandoned.
  void open_one() {
    open({.profile = "discrete_bar256"});
    id = add_timeline();
    scatter(48);
    const std::vector<vulkan::ResourceMove> moves = plan();
    ASSERT_FALSE(moves.empty());
    for (std::size_t i = 1; i < moves.size(); ++i)
      ASSERT_TRUE(heap->abandon_move(moves[i]));
    heap->collect();
    move = moves[0];
    for (vulkan::Buffer& buffer : kept) {
      if (buffer.buffer() == move.source_buffer) resource = &buffer;
    }
    ASSERT_NE(resource, nullptr);
    live = kept.size() - 1;
  }
  // The source and the destination are both there until the timeline has reached `value`.
  void expect_both_until(std::uint64_t value) {
    for (std::uint64_t now = 1; now <= value; ++now) {
      heap->collect();
      EXPECT_EQ(heap->report().buffers, live + 2) << now;
      gpu->signal(timeline, now);
    }
    heap->collect();
    EXPECT_EQ(heap->report().buffers, live);
    EXPECT_EQ(heap->report().retired, 0U);
    EXPECT_EQ(heap->report().memory.moves_open, 0U);
    EXPECT_EQ(heap->validate(), nullptr);
    expect_contents();
  }

  TimelineId id{};
  vulkan::ResourceMove move{};
  vulkan::Buffer* resource = nullptr;
  std::uint64_t live = 0;
};

TEST_F(EndedInAMove, T3_RetiredThenCommitted) {
  open_one();
  ASSERT_TRUE(heap->retire(std::move(*resource), {id, 2}));
  copy({&move, 1});
  const TimelinePoint point{id, 1};
  EXPECT_FALSE(heap->commit_move(move, {&point, 1}).value());
  EXPECT_EQ(code(heap->commit_move(move, {})), ErrorCode::unknown_handle) << "once is enough";
  expect_both_until(2);
}

TEST_F(EndedInAMove, T3_RetiredThenAbandoned) {
  open_one();
  ASSERT_TRUE(heap->retire(std::move(*resource), {id, 1}));
  copy({&move, 1});
  const TimelinePoint point{id, 2};
  EXPECT_TRUE(heap->abandon_move(move, {&point, 1}));
  expect_both_until(2);
}

TEST_F(EndedInAMove, T3_FreedThenCommitted) {
  open_one();
  resource->reset();
  copy({&move, 1});  // the source is there to be read
  const TimelinePoint point{id, 2};
  EXPECT_FALSE(heap->commit_move(move, {&point, 1}).value());
  expect_both_until(2);
}

TEST_F(EndedInAMove, MovesThatNobodyEndsGoWithTheHeap) {
  open_one();
  resource->reset();
  EXPECT_EQ(heap->report().buffers, live + 2);
}

TEST_F(EndedInAMove, BadPointsAreRefusedAndTheMoveStaysOpen) {
  open_one();
  const TimelinePoint unknown{TimelineId{12345}, 1};
  EXPECT_EQ(code(heap->commit_move(move, {&unknown, 1})), ErrorCode::invalid_argument);
  const std::vector<TimelinePoint> many(vulkan::Heap::kMaxPoints + 1, TimelinePoint{id, 1});
  EXPECT_EQ(code(heap->commit_move(move, many)), ErrorCode::invalid_argument);
  copy({&move, 1});
  EXPECT_TRUE(heap->commit_move(move, {}).value());
  expect_contents();
}

TEST_F(EndedInAMove, APinInTheMiddleKeepsItWhereItIs) {
  open_one();
  const HeapAllocation memory = resource->memory();
  ASSERT_TRUE(heap->memory().pin(memory));
  EXPECT_FALSE(heap->commit_move(move, {}).value());
  EXPECT_EQ(resource->buffer(), move.source_buffer);
  EXPECT_TRUE(heap->memory().unpin(memory));
  heap->collect();
  EXPECT_EQ(heap->report().buffers, live + 1);
  expect_contents();
}

TEST_F(MoveTest, ALostDeviceHasPassedEverything) {
  open({.profile = "discrete_bar256", .validate = false});
  const TimelineId id = add_timeline();
  scatter(48);
  const std::vector<vulkan::ResourceMove> moves = plan();
  ASSERT_GE(moves.size(), 2U);
  const TimelinePoint never{id, 1000};
  EXPECT_TRUE(heap->commit_move(moves[0], {&never, 1}).value());
  EXPECT_TRUE(heap->abandon_move(moves[1], {&never, 1}));
  for (std::size_t i = 2; i < moves.size(); ++i)
    EXPECT_TRUE(heap->commit_move(moves[i], {&never, 1}).value());
  ASSERT_TRUE(heap->retire(std::move(kept.back()), never));
  kept.pop_back();
  heap->collect();
  EXPECT_GT(heap->report().buffers, kept.size());
  TestDevice::control().lose_devices();
  heap->collect();
  EXPECT_EQ(heap->report().buffers, kept.size());
  EXPECT_EQ(heap->report().retired, 0U);
  kept.clear();
  heap->trim();
  EXPECT_EQ(heap->report().memory.total.committed, 0_B) << "the memory has gone too";
}

// ---- host access

TEST_F(MoveTest, MappedPointersAndUploadsFollowTheMove) {
  open({.profile = "discrete_bar256"});
  const TimelineId id = add_timeline();
  for (std::uint32_t i = 0; i < 48; ++i) {
    kept.push_back(heap->create_buffer({.size = 64_KiB,
                                        .usage = kTransfer,
                                        .intent = Intent::upload,
                                        .mapping = Mapping::required,
                                        .movable = true,
                                        .user_data = i})
                       .value());
    std::memcpy(kept.back().mapped(), &i, sizeof(i));
    ASSERT_TRUE(heap->flush(kept.back()));
  }
  for (std::uint32_t i = 0; i < 48; ++i) {
    if (i % 3 != 0) kept[i].reset();
  }
  heap->collect();
  const std::vector<vulkan::ResourceMove> moves = plan();
  ASSERT_FALSE(moves.empty());
  copy(moves);
  auto ring = vulkan::UploadRing::create(*heap, {.capacity = 64_KiB, .timeline = id}).value();
  for (const vulkan::ResourceMove& move : moves) {
    EXPECT_TRUE(heap->commit_move(move, {}).value());
    const vulkan::Buffer& buffer = kept[move.user_data];
    EXPECT_EQ(buffer.mapped(), move.move.destination.mapped);
    ASSERT_TRUE(heap->invalidate(buffer));
    std::uint32_t word = 0;
    std::memcpy(&word, buffer.mapped(), sizeof(word));
    EXPECT_EQ(word, move.user_data);
    const std::uint32_t fresh = word + 1000;
    const auto upload = ring.upload(buffer, 0_B, std::as_bytes(std::span(&fresh, 1)));
    ASSERT_TRUE(upload);
    EXPECT_TRUE(upload->direct);
    EXPECT_EQ(gpu->words_of(buffer.buffer(), 64_KiB).front(), fresh);
  }
}

TEST_F(MoveTest, R10_RingsAndFramesFollowAMovedHeap) {
  open({.profile = "discrete_bar256"});
  const TimelineId id = add_timeline();
  {
    auto ring = vulkan::UploadRing::create(*heap, {.capacity = 64_KiB, .timeline = id}).value();
    auto frames =
        vulkan::FrameMemory::create(
            *heap, {.capacity = 64_KiB, .timeline = id, .usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT})
            .value();
    std::optional<vulkan::Heap> elsewhere(std::move(*heap));
    EXPECT_TRUE(ring.write(std::as_bytes(std::span("moved"))));
    EXPECT_TRUE(ring.collect());
    ASSERT_TRUE(frames.begin(1, kForever));
    EXPECT_TRUE(frames.allocate(256_B));
    EXPECT_TRUE(frames.flush());
    *heap = std::move(*elsewhere);
  }
}

}  // namespace
}  // namespace vaspace::test
