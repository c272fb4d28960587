// Where the memory behind sub-buffers comes from when it gets scarce: memory objects that all sparse pools
// share, blocks of the heap, buffers of their own; and what is left when a batch of them is refused.
#include "vulkan/rules_fixture.hpp"

namespace vaspace::test {
namespace {

constexpr std::uint32_t kAddressedVertices = VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
// No pool for one of them serves the next.
constexpr std::uint32_t kUsages[] = {kVertex,
                                     VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
                                     VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT,
                                     VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT,
                                     kVertex | kAddressedVertices,
                                     VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT | kAddressedVertices,
                                     VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | kAddressedVertices,
                                     VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT | kAddressedVertices};

class RoomTest : public RulesTest {
 protected:
  void open_on(const char* profile) {
    open_with({.profile = profile, .validate = false}, [](vulkan::HeapConfig& config) {
      config.memory.keep = 0_B;
      config.memory.keep_percent = 0;
    });
  }
  // Within the budget, until one is refused; what all of them hold.
  Bytes fill_with(std::uint32_t usage, Bytes size) {
    Bytes sum{};
    for (;;) {
      auto made = heap->alloc_buffer({.size = size, .usage = usage, .budget = BudgetPolicy::within});
      if (!made) {
        EXPECT_EQ(made.error().code, ErrorCode::out_of_device_memory);
        return sum;
      }
      sum += size;
      all.push_back(std::move(*made));
    }
  }
  void TearDown() override {
    all.clear();
    RulesTest::TearDown();
  }

  std::vector<vulkan::Buffer> all;
};

// V4: the eighth pool may take what the seven before it have not, all of the heap.
TEST_F(RoomTest, V4_TheEighthSparsePoolFillsTheHeap) {
  for (const char* profile : {"discrete_bar256", "count_64"}) {
    open_on(profile);
    for (std::size_t i = 0; i + 1 < std::size(kUsages); ++i)
      all.push_back(heap->alloc_buffer(100_KiB, kUsages[i]).value());
    const HeapBudget before = budget();
    const Bytes room = before.budget - before.usage;
    const std::uint32_t last = kUsages[std::size(kUsages) - 1];
    ASSERT_GT(room, 1_GiB) << profile;
    const Bytes got = fill_with(last, 32_MiB);
    EXPECT_GE(got.value, room.value / 100 * 98) << profile;
    EXPECT_GE(heap->sub_buffer_pool(7)->live.value, room.value / 100 * 98) << profile;
    EXPECT_TRUE(heap->sub_buffer_pool(7)->sparse) << profile;
    EXPECT_EQ(heap->validate(), nullptr);
    all.clear();
    heap->trim();
    EXPECT_EQ(committed(), 0_B);
  }
}

// All of them at once: none is refused while the heap has room, for others are there to fall back on.
TEST_F(RoomTest, V4_EightPoolsThatGrowTogetherFillTheHeap) {
  open_on("discrete_bar256");
  const HeapBudget before = budget();
  const Bytes room = before.budget - before.usage;
  Bytes sum{};
  bool refused = false;
  while (!refused) {
    for (const std::uint32_t usage : kUsages) {
      auto made = heap->alloc_buffer({.size = 12_MiB, .usage = usage, .budget = BudgetPolicy::within});
      refused = refused || !made;
      if (!made) continue;
      sum += 12_MiB;
      all.push_back(std::move(*made));
    }
  }
  EXPECT_GE(sum.value, room.value / 100 * 85);
  EXPECT_EQ(heap->validate(), nullptr);
  all.clear();
  heap->trim();
  EXPECT_EQ(committed(), 0_B);
}

// Where no memory object is left for pages, ranges come out of blocks that have room.
TEST_F(RoomTest, V4_WithoutObjectsForPagesThereAreBlocks) {
  open_with({.profile = "count_64"}, [](vulkan::HeapConfig& config) { config.memory.first_block = 4_MiB; });
  auto first = heap->alloc_buffer(64_KiB, kVertex).value();
  ASSERT_TRUE(heap->sub_buffer_pool(0)->sparse);
  std::vector<HeapAllocation> others;
  while (backend->account().memory_objects() < 64)
    others.push_back(
        heap->allocate({(64_KiB).value, 256, 1}, {.dedicated = DedicatedWish::required}).value());
  heap->free(others.back());
  others.pop_back();
  heap->collect();
  // The last one is a block of the heap for buffers.
  auto plain = heap->create_buffer({.size = 100_KiB, .usage = kTransfer}).value();
  ASSERT_EQ(backend->account().memory_objects(), 64U);
  auto more = heap->alloc_buffer(1_MiB, kVertex);
  ASSERT_TRUE(more) << to_string(more.error().code);
  EXPECT_EQ(backend->account().memory_objects(), 64U);
  EXPECT_GE(heap->report().sub_buffer_pools, 2U);
  EXPECT_FALSE(heap->sub_buffer_pool(1)->sparse);
  EXPECT_EQ(heap->sub_buffer_pool(1)->live, 1_MiB);
  const auto again = heap->alloc_buffer(100_KiB, kVertex);
  EXPECT_TRUE(again);
  EXPECT_EQ(heap->validate(), nullptr);
  for (const HeapAllocation& each : others)
    heap->free(each);
}

// ---- more ways of use than there are pools

TEST_F(RoomTest, BeyondTheLastPoolBuffersAreAlone) {
  sparse = false;
  open_on("no_sparse");
  int alone = 0;
  for (const Intent intent : {Intent::device, Intent::upload, Intent::readback, Intent::dynamic}) {
    for (const Mapping mapping : {Mapping::none, Mapping::preferred}) {
      for (const bool coherent : {false, true}) {
        for (const std::uint32_t usage : std::span(kUsages).first(4)) {
          auto made = heap->alloc_buffer({.size = 4_KiB,
                                          .usage = usage,
                                          .intent = intent,
                                          .mapping = mapping,
                                          .coherent = coherent && intent != Intent::device});
          ASSERT_TRUE(made) << to_string(made.error().code);
          alone += made->is_sub_buffer() ? 0 : 1;
          all.push_back(std::move(*made));
        }
      }
    }
  }
  EXPECT_GT(alone, 0) << "more keys than pools";
  EXPECT_EQ(heap->report().buffers, static_cast<std::uint64_t>(alone));
  EXPECT_EQ(heap->report().sub_buffers + heap->report().buffers, all.size());
}

// ---- alignment of addresses

TEST_F(RoomTest, AddressesAreAlignedBeyondWhatBuffersAre) {
  for (const bool in_sparse_buffers : {false, true}) {
    sparse = in_sparse_buffers;
    open_on("discrete_bar256");
    // Memory objects that begin at odd multiples of 64 KiB, and blocks in which buffers lie at 256.
    auto odd = heap->create_buffer({.size = 300_B, .usage = kTransfer | kAddressedVertices}).value();
    for (std::uint64_t alignment = 512; alignment <= (256_KiB).value; alignment *= 2) {
      for (const std::uint64_t size : {std::uint64_t{100}, std::uint64_t{5000}, std::uint64_t{300'000}}) {
        all.push_back(
            heap->create_buffer({.size = Bytes{256}, .usage = kTransfer | kAddressedVertices}).value());
        auto made = heap->alloc_buffer({.size = Bytes{size},
                                        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | kAddressedVertices,
                                        .alignment = Alignment{alignment}});
        if (!made) {
          // What a device does not give is not pretended.
          EXPECT_EQ(made.error(), (Error{ErrorCode::not_supported, 0}));
          EXPECT_GT(alignment, (64_KiB).value);
          continue;
        }
        EXPECT_EQ(made->device_address() % alignment, 0U) << alignment << " " << size << " " << sparse;
        all.push_back(std::move(*made));
      }
    }
    all.clear();
  }
}

// ---- batches

// R7: what a batch has taken before it was refused is there no more, bytes and memory objects alike.
TEST_F(RoomTest, R7_ARefusedBatchOfSubBuffersHoldsNothing) {
  for (const bool in_sparse_buffers : {false, true}) {
    sparse = in_sparse_buffers;
    open_on("discrete_bar256");
    auto stays = heap->alloc_buffer(64_KiB, kVertex).value();
    heap->trim();
    std::vector<vulkan::BufferRequest> requests(9, {.size = 8_MiB, .usage = kVertex});
    std::vector<vulkan::Buffer> out(9);
    requests[7].usage = 0;
    const std::uint64_t bytes = TestDevice::control().memory_bytes();
    const std::uint64_t objects = TestDevice::control().live_objects();
    const Bytes before = committed();
    const Bytes of_pools = heap->report().sub_buffer_committed;
    const Bytes of_sparse = heap->report().sparse_held;
    EXPECT_EQ(code(heap->alloc_buffers(requests, out)), ErrorCode::invalid_argument);
    EXPECT_EQ(committed(), before) << sparse;
    EXPECT_EQ(heap->report().sub_buffer_committed, of_pools) << sparse;
    EXPECT_EQ(heap->report().sparse_held, of_sparse) << sparse;
    EXPECT_EQ(TestDevice::control().memory_bytes(), bytes) << sparse;
    EXPECT_EQ(TestDevice::control().live_objects(), objects) << sparse;
    EXPECT_EQ(heap->report().sub_buffers, 1U);
  }
}

}  // namespace
}  // namespace vaspace::test
