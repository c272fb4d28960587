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

// Of what one queue family uses at a time, nobody looks at the families; the layer warns of them.
TEST_F(MoveTest, QueueFamiliesOfWhatIsExclusiveAreNotRead) {
  open({.profile = "discrete_rebar", .validate = false});
  std::vector<vulkan::Image> images;
  VkImageCreateInfo info = image_info(128);
  info.queueFamilyIndexCount = 1000;
  info.pQueueFamilyIndices = reinterpret_cast<const std::uint32_t*>(std::uintptr_t{8});
  for (int i = 0; i < 48; ++i) {
    auto made = heap->create_image({.info = &info, .movable = true});
    ASSERT_TRUE(made) << to_string(made.error().code);
    images.push_back(std::move(*made));
  }
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (i % 3 != 0) images[i].reset();
  }
  heap->collect();
  const std::vector<vulkan::ResourceMove> moves = plan();
  EXPECT_FALSE(moves.empty());
  for (const vulkan::ResourceMove& move : moves)
    EXPECT_TRUE(heap->abandon_move(move));
}

TEST_F(MoveTest, NamesMoveToo) {
  open({.profile = "discrete_bar256"});
  std::vector<vulkan::Image> images;
  const VkImageCreateInfo info = image_info(128);
  for (int i = 0; i < 48; ++i) {
    const std::string number = std::to_string(i);
    kept.push_back(
        heap->create_buffer({.size = 64_KiB, .usage = kTransfer, .movable = true, .name = "mesh/" + number})
            .value());
    images.push_back(heap->create_image({.info = &info, .movable = true, .name = "bark/" + number}).value());
  }
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (i % 3 != 0) kept[i].reset(), images[i].reset();
  }
  heap->collect();
  int buffers = 0, moved_images = 0;
  for (const vulkan::ResourceMove& move : plan(128)) {
    const bool is_image = move.kind == vulkan::ResourceMove::Kind::image;
    // Bound twice, which is reported, by the name that was told.
    if (is_image) (void)heap->bind(move.destination_image, move.move.destination);
    if (!is_image) (void)heap->bind(move.destination_buffer, move.move.destination);
    const std::string told = gpu->take_messages(kBoundTwice);
    EXPECT_NE(told.find(is_image ? "bark/" : "mesh/"), std::string::npos) << told;
    (is_image ? moved_images : buffers) += 1;
    EXPECT_TRUE(heap->abandon_move(move));
  }
  EXPECT_TRUE(buffers != 0 && moved_images != 0);
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

// Memory of others, and resources that nobody has any more, do not use up what may be planned: plans go on
// until all that can move has.
class InTheWay : public MoveTest {
 protected:
  // What is in the way is alone in its block, which is then the best to empty.
  void surround(std::uint64_t native) {
    scatter(144);
    for (vulkan::Buffer& buffer : kept) {
      if (buffer.memory().native == native) buffer.reset();
    }
    heap->collect();
    before = heap->report().memory.total.committed;
  }
  void tidy() {
    int rounds = 0;
    for (auto moves = plan(8); !moves.empty(); moves = plan(8)) {
      ASSERT_LT(++rounds, 100);
      copy(moves);
      for (const vulkan::ResourceMove& move : moves)
        EXPECT_TRUE(heap->commit_move(move, {}).value());
      heap->collect();
    }
    expect_contents();
    EXPECT_LE(heap->report().memory.total.committed.value, before.value / 2);
    EXPECT_EQ(heap->report().memory.moves_open, 0U);
  }

  Bytes before{};
};

TEST_F(InTheWay, PlainMemoryUsesUpNoPlan) {
  open({.profile = "discrete_bar256"});
  std::vector<HeapAllocation> plain;
  for (int i = 0; i < 16; ++i)
    plain.push_back(
        heap->allocate({4096, 256, ~0U}, {.kind = ResourceKind::linear, .movable = true}).value());
  surround(plain[0].native);
  tidy();
  for (const HeapAllocation& memory : plain)
    heap->free(memory);
}

TEST_F(InTheWay, RetiredResourcesUseUpNoPlan) {
  open({.profile = "discrete_bar256"});
  const TimelineId id = add_timeline();
  std::vector<vulkan::Buffer> leaving;
  for (int i = 0; i < 16; ++i)
    leaving.push_back(heap->create_buffer({.size = 4_KiB, .usage = kTransfer, .movable = true}).value());
  const std::uint64_t native = leaving[0].memory().native;
  for (vulkan::Buffer& buffer : leaving)
    ASSERT_TRUE(heap->retire(std::move(buffer), {id, 1}));
  surround(native);
  tidy();
  EXPECT_EQ(heap->report().retired, 16U);
  gpu->signal(timeline, 1);
  heap->collect();
  EXPECT_EQ(heap->report().retired, 0U);
}

// Who is told of a misuse holds none of the heap's locks.
TEST_F(MoveTest, R6_WhoIsToldOfAMisuseMayUseTheHeap) {
  struct Told {
    vulkan::Heap* heap = nullptr;
    int count = 0;
  } told;
  on_misuse = {&told, [](void* user, const Misuse& misuse) noexcept {
                 Told& self = *static_cast<Told*>(user);
                 EXPECT_NE(misuse.code, ErrorCode{});
                 ++self.count;
                 (void)self.heap->report();
                 self.heap->collect();
                 (void)self.heap->trim();
               }};
  open({.profile = "discrete_bar256", .validate = false});
  told.heap = &*heap;
  const TimelineId id = add_timeline();
  scatter(48);
  const std::vector<vulkan::ResourceMove> moves = plan();
  ASSERT_GE(moves.size(), 2U);
  const auto source_of = [&](std::size_t move) {
    return std::find_if(kept.begin(), kept.end(), [&](const vulkan::Buffer& buffer) {
      return buffer && buffer.buffer() == moves[move].source_buffer;
    });
  };
  // The caller's bug: memory that is a resource's is freed below it.
  heap->memory().free(source_of(0)->memory());
  heap->memory().free(source_of(1)->memory());
  source_of(0)->reset();
  EXPECT_EQ(told.count, 1) << "in a move";
  auto late = heap->create_buffer({.size = 64_KiB, .usage = kTransfer}).value();
  heap->memory().free(late.memory());
  ASSERT_TRUE(heap->retire(std::move(late), {id, 0}));
  heap->collect();
  EXPECT_EQ(told.count, 2) << "in a collect";
  source_of(1)->reset();
  EXPECT_EQ(told.count, 3);
  for (const vulkan::ResourceMove& move : moves)
    EXPECT_TRUE(heap->abandon_move(move));
  heap->collect();
  EXPECT_EQ(heap->validate(), nullptr);
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
