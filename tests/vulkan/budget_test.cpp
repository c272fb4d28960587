// V16: a budget is an estimate, clamped and cached.
#include "vulkan/fake_backend.hpp"

namespace vaspace::test {
namespace {

using BudgetTest = FakeBackend;
constexpr std::uint32_t kLife = vulkan::Backend::kBudgetReadingLife;

TEST_F(BudgetTest, V16_AbsurdValuesAreClampedToTheHeap) {
  driver.reported_budget = ~VkDeviceSize{0};
  create();
  EXPECT_EQ(backend->budget(0)->budget, 64_MiB);
  EXPECT_EQ(backend->budget(0)->size, 64_MiB);
  EXPECT_EQ(backend->budget(1)->budget, 32_MiB);
  driver.reported_budget = 0;
  create();
  EXPECT_EQ(backend->budget(1)->budget, 32_MiB) << "0 says nothing";
  driver.reported_budget = 5U << 20U;
  create();
  EXPECT_EQ(backend->budget(0)->budget, 5_MiB);
}

TEST_F(BudgetTest, V16_AReadingIsKeptAndCorrected) {
  driver.reported_budget = 20U << 20U;
  driver.reported_usage = 3U << 20U;
  create();
  const int before = driver.memory_queries;
  EXPECT_EQ(backend->budget(1)->usage, 3_MiB);
  const Reservation made = reserve(1_MiB).value();
  EXPECT_EQ(backend->budget(1)->usage, 4_MiB);
  EXPECT_EQ(backend->budget(0)->usage, 3_MiB) << "the other heap";
  ASSERT_TRUE(backend->release(made));
  EXPECT_EQ(backend->budget(1)->usage, 3_MiB);
  for (std::uint32_t i = 0; i < 100; ++i)
    ASSERT_TRUE(backend->budget(i % 2));
  EXPECT_EQ(driver.memory_queries, before + 1) << "asked once";
}

TEST_F(BudgetTest, V16_AReadingIsRenewedAfterSoManyChanges) {
  driver.reported_budget = 20U << 20U;
  create();
  ASSERT_TRUE(backend->budget(1));
  const int before = driver.memory_queries;
  for (std::uint32_t i = 0; i + 1 < kLife; ++i)
    ASSERT_TRUE(reserve(1_KiB));
  driver.reported_usage = 7U << 20U;
  EXPECT_EQ(backend->budget(1)->usage, 1_KiB * (kLife - 1));
  EXPECT_EQ(driver.memory_queries, before);
  ASSERT_TRUE(reserve(1_KiB));
  EXPECT_EQ(backend->budget(1)->usage, 7_MiB);
  EXPECT_EQ(driver.memory_queries, before + 1);
}

TEST_F(BudgetTest, V16_ALaggingReadingNeverWraps) {
  create();
  const Reservation made = reserve(8_MiB).value();
  driver.reported_usage = 0;  // has not noticed yet
  EXPECT_EQ(backend->budget(1)->usage, 8_MiB);
  ASSERT_TRUE(backend->release(made));
  EXPECT_EQ(backend->budget(1)->usage, 0_B);
}

TEST_F(BudgetTest, V16_WithoutTheExtensionOwnUsageCounts) {
  driver.has_budget = false;
  create();
  EXPECT_EQ(backend->budget(1)->budget, 32_MiB);
  EXPECT_EQ(backend->budget(1)->usage, 0_B);
  ASSERT_TRUE(reserve(3_MiB));
  EXPECT_EQ(backend->budget(1)->usage, 3_MiB);
  EXPECT_EQ(backend->budget(0)->usage, 0_B);
}

TEST_F(BudgetTest, V16_TheExtensionIsNotUsedWhereNotWanted) {
  driver.reported_budget = 1U << 20U;
  auto config = driver.config();
  config.memory_budget = false;
  create(config);
  EXPECT_EQ(backend->budget(1)->budget, 32_MiB);
}

TEST_F(BudgetTest, V14_LazilyAllocatedMemoryDoesNotCount) {
  driver.has_budget = false;
  create();
  const Reservation made = reserve(4_MiB, FakeDriver::kLazy).value();
  EXPECT_EQ(backend->budget(0)->usage, 0_B);
  ASSERT_TRUE(backend->release(made));
  EXPECT_EQ(backend->budget(0)->usage, 0_B);
}

TEST_F(BudgetTest, NoSuchHeap) {
  create();
  EXPECT_EQ(code(backend->budget(2)), ErrorCode::invalid_argument);
  EXPECT_EQ(code(backend->budget(~0U)), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace vaspace::test
