// Who may hold how much, and what is ready, while another is just asking the device: the races are played by
// a device that calls back in the middle. R1, R7.
#include <functional>

#include "paged_fixture.hpp"

namespace vaspace::test {
namespace {

// Calls back, once, before pages are created: no lock is held then.
class CreateHook final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  std::function<void()> on_create;
  Result<void> create_physical(const PhysicalRequest& request, std::span<PhysicalId> out) noexcept override {
    const std::function<void()> call = std::exchange(on_create, nullptr);
    if (call) call();
    return next().create_physical(request, out);
  }
};

class PagedBudget : public PagedTest {
 protected:
  // Small pages only, as many as `pages`.
  void open_pages(PagedSpaceConfig config, std::uint64_t device_pages = 1024) {
    config.large_page = kSmall;
    open(config, {.physical_size = kSmall * device_pages});
  }
  void open_hooked(PagedSpaceConfig config) {
    open_pages(config);
    space_.reset();
    hook_ = std::make_unique<CreateHook>(*faulty_);
    config.large_page = kSmall;
    config.size = 64_MiB;
    space_ = PagedSpace::create(*hook_, config).value();
  }
  void TearDown() override {
    PagedTest::TearDown();
    hook_.reset();
  }
  [[nodiscard]] Result<void> acquire(std::uint64_t page, std::uint64_t pages = 1) {
    return space_->acquire(at(kSmall * page), kSmall * pages);
  }
  [[nodiscard]] Result<void> release(std::uint64_t page, std::uint64_t pages = 1) {
    return space_->release(at(kSmall * page), kSmall * pages);
  }
  static ErrorCode code(const Result<void>& result) {
    return result ? ErrorCode::malformed : result.error().code;
  }

  std::unique_ptr<CreateHook> hook_;
};

// A device whose heap others use too.
class SharedHeap final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  Bytes others{};
  Result<Budget> budget(std::uint32_t heap) noexcept override {
    Result<Budget> answer = next().budget(heap);
    if (answer) answer->budget = answer->budget > others ? answer->budget - others : Bytes{};
    return answer;
  }
};

TEST_F(PagedBudget, WhatIsOnItsWayCounts) {
  open_hooked({.budget = kSmall * 3});
  ASSERT_TRUE(acquire(0));
  Result<void> second, third;
  hook_->on_create = [&] {
    third = acquire(20);   // one is held, one on its way: the third fits
    second = acquire(10);  // and a fourth does not
  };
  EXPECT_TRUE(acquire(5));
  EXPECT_TRUE(third);
  EXPECT_EQ(code(second), ErrorCode::out_of_device_memory);
  EXPECT_EQ(physical(), kSmall * 3);
  // What has come is on its way no more: all of it can be had again.
  for (const std::uint64_t page : {0U, 5U, 20U})
    ASSERT_TRUE(release(page));
  EXPECT_TRUE(acquire(30, 3));
}

TEST_F(PagedBudget, WhatTheDeviceRefusesIsOnItsWayNoMore) {
  open_pages({.budget = kSmall * 2});
  faulty_->fail_at(Call::create_physical, 1, {ErrorCode::driver_error, 7});
  EXPECT_EQ(code(acquire(0, 2)), ErrorCode::driver_error);
  faulty_->stop_failing();
  EXPECT_TRUE(acquire(0, 2));
}

// While a missing page comes, compaction puts a page that was ready together with another: it is looked at
// again, and taken apart.
TEST_F(PagedBudget, WhatIsMeshedMeanwhileIsTakenApart_R1) {
  open_hooked({});
  const Thing here = put(0_B, 4_KiB), there = put(kSmall * 9 + 20_KiB, 4_KiB);
  hook_->on_create = [&] {
    while (!space_->compact({}).finished) {
    }
    EXPECT_EQ(space_->behind(here.address).sharers, 2U);
  };
  const Thing across = put(16_KiB, kSmall);
  EXPECT_EQ(space_->behind(here.address).sharers, 1U);
  EXPECT_TRUE(here.intact() && there.intact() && across.intact());
}

// Pooled pages are held already: they count once, and are used before the device is asked.
TEST_F(PagedBudget, PooledPagesCountOnce) {
  open_pages({.budget = kSmall * 2, .retain = kSmall * 2, .trim_under_pressure = false});
  ASSERT_TRUE(space_->can_mesh());
  ASSERT_TRUE(space_->acquire(at(0_B), 4_KiB));
  ASSERT_TRUE(space_->acquire(at(kSmall + 32_KiB), 4_KiB));
  while (!space_->compact({}).finished) {
  }
  EXPECT_EQ(space_->report().small_pages, 1U);
  EXPECT_EQ(space_->report().committed, kSmall * 2) << "one is pooled";
  EXPECT_TRUE(space_->explain(at(kSmall * 7), 4_KiB)->fits);
  EXPECT_FALSE(space_->explain(at(kSmall * 7), kSmall * 2)->fits);
  const std::uint64_t created = faulty_->calls(Call::create_physical);
  EXPECT_TRUE(space_->acquire(at(kSmall * 7), 4_KiB));
  EXPECT_EQ(faulty_->calls(Call::create_physical), created);
  EXPECT_EQ(code(acquire(9)), ErrorCode::out_of_device_memory);
  EXPECT_EQ(physical(), kSmall * 2);
}

// The budget has room and the device has none: what is empty goes, and it is tried again.
TEST_F(PagedBudget, EmptyPagesGoWhereTheDeviceIsFull) {
  for (const bool trims : {true, false}) {
    open_pages({.retain = kMaxBytes, .trim_under_pressure = trims}, 16);
    ASSERT_TRUE(acquire(0, 16));
    ASSERT_TRUE(release(0, 16));
    EXPECT_EQ(physical(), kSmall * 16) << "retained";
    EXPECT_EQ(code(acquire(100, 16)), trims ? ErrorCode::malformed : ErrorCode::out_of_device_memory);
    space_.reset();
  }
}

// The range is in a page that shares one, and goes on behind it: memory for that comes first, so that where
// it is not there the page is shared still.
TEST_F(PagedBudget, ARefusedAcquireLeavesSharedPagesShared_R7) {
  for (const std::uint64_t budget : {1U, 2U, 3U}) {
    open_pages({.budget = kSmall * 2});
    const Thing here = put(0_B, 4_KiB), there = put(kSmall * 9 + 20_KiB, 4_KiB);
    while (!space_->compact({}).finished) {
    }
    (void)space_->trim(0_B);
    space_->set_budget(kSmall * budget);
    ASSERT_EQ(space_->behind(here.address).sharers, 2U);
    ASSERT_EQ(space_->report().committed, kSmall);
    const Result<void> across = space_->acquire(at(16_KiB), kSmall);
    EXPECT_EQ(code(across), budget == 3 ? ErrorCode::malformed : ErrorCode::out_of_device_memory);
    EXPECT_EQ(space_->behind(here.address).sharers, budget == 3 ? 1U : 2U) << budget;
    EXPECT_EQ(space_->report().committed, kSmall * (budget == 3 ? 3U : 1U)) << budget;
    EXPECT_TRUE(here.intact() && there.intact());
  }
}

// An acquire has found an empty page behind a large one, and waits for the next: a step that demotes what is
// behind the large one leaves that page.
TEST_F(PagedBudget, WhatAnAcquireWantsIsNotLetGoByAStep) {
  open({});
  space_.reset();
  hook_ = std::make_unique<CreateHook>(*faulty_);
  space_ = PagedSpace::create(*hook_, {.size = 8_MiB}).value();
  const Thing live = put(0_B, 4_KiB);
  StepReport step;
  hook_->on_create = [&] { step = space_->compact({}); };
  const Thing across = put(kLarge - kSmall, kSmall * 2);
  EXPECT_TRUE(step.finished);
  EXPECT_EQ(step.postponed, 1U);
  EXPECT_EQ(step.dropped, 30U) << "all of the block but the page that is live and the one that is wanted";
  EXPECT_TRUE(live.intact() && across.intact());
}

// A budget that falls, the space's or the device's: what is empty above it goes though it was retained.
TEST_F(PagedBudget, EmptyPagesAboveTheBudgetGoWithTheNextCollect) {
  open_pages({.retain = kMaxBytes}, 16);
  ASSERT_TRUE(acquire(0, 12));
  ASSERT_TRUE(release(4, 8));
  EXPECT_EQ(space_->collect(), 0_B);
  space_->set_budget(kSmall * 7);
  EXPECT_EQ(physical(), kSmall * 12);
  EXPECT_EQ(space_->collect(), kSmall * 5);
  EXPECT_EQ(physical(), kSmall * 7);
  space_->set_budget(kSmall * 2);
  EXPECT_EQ(space_->collect(), kSmall * 3) << "what is live stays";
  space_.reset();

  SharedHeap heap(*backend_);
  space_ = PagedSpace::create(heap, {.size = 64_MiB, .large_page = kSmall, .retain = kSmall * 6}).value();
  ASSERT_TRUE(acquire(0, 12));
  ASSERT_TRUE(release(4, 8));
  EXPECT_EQ(space_->collect(), kSmall * 2);
  heap.others = kSmall * 6;
  EXPECT_EQ(space_->collect(), 0_B) << "ten, and so many it may hold";
  heap.others = kSmall * 9;
  EXPECT_EQ(space_->trim(kSmall * 5), kSmall * 3);
  heap.others = kSmall * 100;
  EXPECT_EQ(space_->collect(), kSmall * 3);
  EXPECT_EQ(physical(), kSmall * 4);
  space_.reset();
}

// A bind is refused: its pages go back at once, and neither memory nor room in the books is lost.
TEST_F(PagedBudget, PagesWhoseBindIsRefusedAreNobodys) {
  open_pages({.budget = kSmall * 4, .host = host_.allocator()});
  std::int64_t host = 0;
  for (int round = 0; round < 100; ++round) {
    faulty_->fail_at(Call::bind, 1, {ErrorCode::driver_error, 7});
    EXPECT_EQ(code(acquire(0, 4)), ErrorCode::driver_error);
    faulty_->stop_failing();
    EXPECT_EQ(physical(), 0_B);
    EXPECT_EQ(space_->report().committed, 0_B);
    if (round == 0) host = host_.bytes();
    EXPECT_EQ(host_.bytes(), host) << round;
  }
  EXPECT_TRUE(acquire(0, 4));
}

}  // namespace
}  // namespace vaspace::test
