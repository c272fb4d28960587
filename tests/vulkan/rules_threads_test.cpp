// T1 with V4, V16 and V30: threads that take the last memory from each other, sub-buffers on sparse pages and
// in shared buffers, buffers of their own, and somebody who trims.
#include <thread>

#include "vulkan/rules_fixture.hpp"

namespace vaspace::test {
namespace {

using RulesThreads = RulesTest;

TEST_F(RulesThreads, T1_V4_V16_V30_UnderALimitThatAllFight) {
  open_with({.profile = "tiny", .validate = false}, [](vulkan::HeapConfig& config) {
    config.on_refusal = {};  // the fixture's is for one thread
    config.memory.heap_limits = {12_MiB, 6_MiB};
    config.memory.max_memory_objects = 40;
    config.memory.first_block = config.memory.largest_block = 1_MiB;
  });
  std::atomic<int> served{0};
  std::atomic<int> refused{0};
  const auto work = [&](std::uint64_t seed) {
    std::vector<vulkan::Buffer> mine;
    for (std::uint64_t i = 0; i < 250; ++i) {
      seed = seed * 6364136223846793005U + 1442695040888963407U;
      const std::uint64_t dice = seed >> 33U;
      const Bytes size{64 + dice % 700'000};
      const BudgetPolicy policy = dice % 2 == 0 ? BudgetPolicy::within : BudgetPolicy::may_exceed;
      Result<vulkan::Buffer> made = [&] {
        if (dice % 3 == 0) return heap->alloc_buffer({.size = size, .usage = kVertex, .budget = policy});
        if (dice % 3 == 1)
          return heap->alloc_buffer({.size = size,
                                     .usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
                                     .intent = Intent::upload,
                                     .mapping = Mapping::required,
                                     .budget = policy});
        return heap->create_buffer({.size = size, .usage = kTransfer, .budget = policy});
      }();
      if (made) {
        ++served;
        mine.push_back(std::move(*made));
      } else {
        ++refused;
        const ErrorCode why = made.error().code;
        EXPECT_TRUE(why == ErrorCode::out_of_device_memory || why == ErrorCode::out_of_address_space ||
                    why == ErrorCode::out_of_space)
            << to_string(why);
      }
      if (mine.size() > 24 || (!made && !mine.empty())) mine.erase(mine.begin());
      if (i % 50 == 49) heap->collect();
      if (i % 100 == 99) heap->trim(2_MiB);
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 3; ++t)
    threads.emplace_back(work, t + 1);
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_GT(served, 100);
  EXPECT_GT(refused, 0) << "nobody fought";
  EXPECT_EQ(heap->validate(), nullptr);
  EXPECT_EQ(heap->trim(), 0_B);
  EXPECT_EQ(backend->account().memory_objects(), 0U);
  EXPECT_EQ(backend->account().sparse(), 0_B);
  EXPECT_EQ(TestDevice::control().memory_bytes(), 0U);
}

}  // namespace
}  // namespace vaspace::test
