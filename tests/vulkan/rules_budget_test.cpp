// V16: one gate on every path. Sub-buffers, in shared buffers and on sparse pages, under limits, budgets and
// other processes.
#include "vulkan/rules_fixture.hpp"

namespace vaspace::test {
namespace {

// Of the 48 MiB of device memory of `tiny`.
constexpr Bytes kOther = 36_MiB;
const std::string kForeign = "other=0:" + std::to_string(kOther.value);

std::string name_of_pages(const testing::TestParamInfo<bool>& each) {
  return each.param ? "SparsePages" : "SharedBuffers";
}

class BudgetOfSubBuffers : public RulesTest, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override { sparse = GetParam(); }
  // As the driver says now.
  Bytes held() { return backend->read_budget(0)->usage; }
  Bytes allowed() { return backend->read_budget(0)->budget; }
  vulkan::BufferRequest request(BudgetPolicy policy) const {
    return {.size = 60_KiB, .usage = kVertex, .budget = policy};
  }
};

TEST_P(BudgetOfSubBuffers, V16_AHeapsLimitHoldsForThem) {
  open_with({.profile = "tiny"}, [](vulkan::HeapConfig& config) {
    config.memory.heap_limits[0] = 8_MiB;
    config.memory.first_block = config.memory.largest_block = 1_MiB;
  });
  std::vector<vulkan::Buffer> all;
  EXPECT_EQ(fill(request(BudgetPolicy::may_exceed), all), (Error{ErrorCode::out_of_device_memory, 0}));
  EXPECT_LE(budget().committed, 8_MiB);
  EXPECT_GT(budget().committed, 4_MiB) << "and up to it";
  EXPECT_LE(held(), 8_MiB);
  const vulkan::HeapReport report = heap->report();
  EXPECT_EQ(report.memory.total.guests != 0_B, GetParam());
  EXPECT_EQ(report.memory.total.guests, report.sparse_held);
  EXPECT_EQ(report.memory.total.committed, budget(0).committed + budget(1).committed);
  EXPECT_EQ(budget().committed, held());
  EXPECT_GT(report.memory.refused_by_budget, 0U);
  EXPECT_EQ(heap->validate(), nullptr);
  // Memory alone and sub-buffers are held to one limit.
  const VkMemoryRequirements needs{(4_MiB).value, 256, 1};
  EXPECT_EQ(code(heap->allocate(needs)), ErrorCode::out_of_device_memory);
  all.clear();
  const auto memory = heap->allocate(needs);
  ASSERT_TRUE(memory) << "what is unused goes back before anything is refused";
  const auto plain = fill(request(BudgetPolicy::may_exceed), all);
  EXPECT_EQ(plain.code, ErrorCode::out_of_device_memory);
  EXPECT_LE(budget().committed, 8_MiB);
  heap->free(*memory);
  all.clear();
  heap->trim();
  EXPECT_EQ(budget().committed, 0_B);
  EXPECT_EQ(heap->validate(), nullptr);
}

TEST_P(BudgetOfSubBuffers, V16_WithinMeansNotOneByteAboveIt) {
  open_with({.profile = "tiny", .settings = kForeign + ";budget=enforce"}, [](vulkan::HeapConfig& config) {
    config.memory.first_block = config.memory.largest_block = 1_MiB;
  });
  std::vector<vulkan::Buffer> all;
  EXPECT_EQ(fill(request(BudgetPolicy::within), all), (Error{ErrorCode::out_of_device_memory, 0}));
  EXPECT_LE(held(), allowed());
  EXPECT_GT(held(), Bytes{allowed().value / 2}) << "and up to it";
  EXPECT_EQ(heap->validate(), nullptr);
}

TEST_P(BudgetOfSubBuffers, V16_WhoMayExceedItIsRefusedByTheDriverAlone) {
  open_with({.profile = "tiny", .settings = kForeign}, [](vulkan::HeapConfig& config) {
    config.memory.first_block = config.memory.largest_block = 1_MiB;
  });
  std::vector<vulkan::Buffer> all;
  const Error refused = fill(request(BudgetPolicy::may_exceed), all);
  EXPECT_EQ(refused, (Error{ErrorCode::out_of_device_memory, VK_ERROR_OUT_OF_DEVICE_MEMORY}));
  EXPECT_GT(held(), allowed());
  EXPECT_LE(held(), 48_MiB - kOther);
  // And who may not gets nothing any more.
  EXPECT_EQ(code(heap->alloc_buffer({.size = 1_MiB, .usage = kVertex, .budget = BudgetPolicy::within})),
            ErrorCode::out_of_device_memory);
  EXPECT_EQ(heap->validate(), nullptr);
}

// What another process takes and gives back is seen before anything is refused, and after 32 changes.
TEST_P(BudgetOfSubBuffers, V16_AnotherProcessComesAndGoes) {
  open_with({.profile = "tiny"}, [](vulkan::HeapConfig& config) {
    config.memory.first_block = config.memory.largest_block = 1_MiB;
  });
  std::vector<vulkan::Buffer> all;
  auto first = heap->alloc_buffer(request(BudgetPolicy::within));
  ASSERT_TRUE(first);
  const Bytes before = allowed();
  EXPECT_EQ(budget().budget, before);
  TestDevice::control().set_other_usage(nullptr, 0, kOther.value);
  for (int frame = 0; frame < 33; ++frame)
    heap->collect();
  EXPECT_EQ(budget().budget, before - kOther);
  EXPECT_EQ(fill(request(BudgetPolicy::within), all).code, ErrorCode::out_of_device_memory);
  EXPECT_LE(held(), allowed());
  TestDevice::control().set_other_usage(nullptr, 0, 0);
  EXPECT_TRUE(heap->alloc_buffer(request(BudgetPolicy::within))) << "one more reading before it is refused";
  EXPECT_EQ(heap->validate(), nullptr);
}

// The one cache is the gate's: a reading is never older than its 32 changes.
TEST_P(BudgetOfSubBuffers, V16_AReadingIsAsOldAsTheGateSaysAndNoOlder) {
  open({.profile = "tiny"});
  const auto before = heap->memory().budget(0);
  ASSERT_TRUE(before);
  TestDevice::control().set_other_usage(nullptr, 0, kOther.value);
  // Changes that the backend counts too, were its own reading asked: it would be young now.
  for (int i = 0; i < 20; ++i)
    heap->collect();
  ASSERT_TRUE(backend->budget(0));
  for (int i = 0; i < 13; ++i)
    heap->collect();
  EXPECT_EQ(heap->memory().budget(0)->budget, before->budget - kOther);
}

INSTANTIATE_TEST_SUITE_P(Sparse, BudgetOfSubBuffers, testing::Bool(), name_of_pages);

class TrimTest : public BudgetOfSubBuffers {};

TEST_P(TrimTest, TrimGivesBackDownToATarget) {
  open_with({.profile = "discrete_bar256"}, [](vulkan::HeapConfig& config) {
    config.memory.first_block = config.memory.largest_block = 1_MiB;
    config.memory.keep = 64_MiB;
    config.sub_buffer_retain = 64_MiB;
  });
  std::vector<vulkan::Buffer> all;
  for (int i = 0; i < 200; ++i)
    all.push_back(heap->alloc_buffer({.size = 60_KiB, .usage = kVertex}).value());
  std::vector<HeapAllocation> plain;
  for (int i = 0; i < 8; ++i)
    plain.push_back(heap->allocate({(400_KiB).value, 256, 2}).value());
  const Bytes full = committed();
  all.resize(20);
  for (std::size_t i = 1; i < plain.size(); ++i)
    heap->free(plain[i]);
  EXPECT_EQ(heap->trim(full), full) << "nothing to do";
  EXPECT_EQ(committed(), full);
  const Bytes live = 60_KiB * 20 + 400_KiB;
  const Bytes half = heap->trim(Bytes{full.value / 2});
  EXPECT_LE(half, Bytes{full.value / 2});
  EXPECT_EQ(half, committed());
  const Bytes least = heap->trim();
  EXPECT_LE(least, half);
  EXPECT_GE(least, live);
  EXPECT_EQ(heap->report().sub_buffers, 20U);
  EXPECT_EQ(heap->validate(), nullptr);
  all.clear();
  heap->free(plain[0]);
  EXPECT_EQ(heap->trim(), 0_B);
  EXPECT_EQ(TestDevice::control().memory_bytes(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Sparse, TrimTest, testing::Bool(), name_of_pages);

// V4 and V30 over a heap's pools: each has a sparse backend of its own, and all count with the plain one.
TEST_F(RulesTest, V4_V30_AllPoolsOfAHeapCountTogether) {
  open_with({.profile = "tiny"}, [](vulkan::HeapConfig&) {});
  std::vector<vulkan::Buffer> all;
  for (const std::uint32_t usage : {std::uint32_t{kVertex}, std::uint32_t{VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT},
                                    std::uint32_t{VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT},
                                    std::uint32_t{VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT}}) {
    for (const Bytes size : {300_B, 5_KiB, 100_KiB, 3_MiB}) {
      auto made = heap->alloc_buffer(size, usage);
      ASSERT_TRUE(made) << to_string(made.error().code) << size.value;
      all.push_back(std::move(*made));
    }
  }
  const vulkan::DeviceAccount& account = backend->account();
  Bytes reserved{};
  for (std::uint32_t i = 0; i < heap->report().sub_buffer_pools; ++i) {
    const auto pool = heap->sub_buffer_pool(i).value();
    if (pool.sparse) reserved += pool.reserved;
  }
  EXPECT_EQ(heap->report().sub_buffer_pools, 4U);
  EXPECT_EQ(account.sparse(), reserved) << "who comes too late has shared buffers";
  EXPECT_GT(reserved, 0_B);
  EXPECT_LE(account.sparse(), account.max_sparse());
  EXPECT_EQ(account.memory_objects(), heap->report().memory.memory_objects);
  all.clear();
  heap->trim();
  EXPECT_EQ(account.sparse(), 0_B);
  EXPECT_EQ(account.memory_objects(), 0U);
}

TEST_F(RulesTest, V4_TheLastMemoryObjectsAreAnybodys) {
  open_with({.profile = "count_64"}, [](vulkan::HeapConfig& config) {
    config.memory.first_block = config.memory.largest_block = 1_MiB;
    config.memory.dedicated_from = 4_KiB;
  });
  auto page = heap->alloc_buffer(4_KiB, kVertex).value();
  const std::uint64_t sparse_objects = backend->account().memory_objects();
  EXPECT_GE(sparse_objects, 1U);
  std::vector<HeapAllocation> all;
  for (;;) {
    const auto made = heap->allocate({(64_KiB).value, 256, 1}, {.dedicated = DedicatedWish::required});
    if (!made) {
      EXPECT_EQ(made.error(), (Error{ErrorCode::out_of_address_space, 0}));
      break;
    }
    all.push_back(*made);
  }
  EXPECT_EQ(all.size() + sparse_objects, 64U) << "no share is kept for those who do not want it";
  EXPECT_EQ(heap->validate(), nullptr);
  EXPECT_EQ(code(heap->alloc_buffer(2_MiB, kVertex)), ErrorCode::out_of_device_memory);
  heap->free(all.back());
  all.pop_back();
  heap->trim();
  EXPECT_TRUE(heap->alloc_buffer(2_MiB, kVertex));
  for (const HeapAllocation& each : all)
    heap->free(each);
}

}  // namespace
}  // namespace vaspace::test
