// Pages on first use and given back when empty. R1, R7, R8.
#include "paged_fixture.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

TEST_F(PagedSpaceTest, PagesComeWithTheFirstUseAndGoByTrim) {
  open({});
  EXPECT_EQ(physical(), Bytes{});
  const Thing a = put(Bytes{}, 4_KiB);
  EXPECT_EQ(physical(), kLarge);
  const Thing b = put(1_MiB, 64_KiB);
  EXPECT_EQ(physical(), kLarge);
  drop(a);
  EXPECT_TRUE(b.intact());
  EXPECT_EQ(space_->trim(Bytes{}), Bytes{}) << "a byte of the page is live";
  drop(b);
  EXPECT_EQ(space_->report().empty, kLarge);
  EXPECT_EQ(physical(), kLarge) << "release calls no driver";
  EXPECT_EQ(space_->trim(Bytes{}), kLarge);
  EXPECT_EQ(physical(), Bytes{});
}

TEST_F(PagedSpaceTest, SmallPagesWhereLargeAreNotWanted) {
  open({.large_first = false});
  put(Bytes{}, 4_KiB);
  EXPECT_EQ(physical(), kSmall);
  put(60_KiB, 8_KiB);
  EXPECT_EQ(physical(), kSmall * 2);
  put(2_MiB, 2_MiB);
  EXPECT_EQ(physical(), kSmall * 2 + kLarge) << "a whole block takes a large page all the same";
  EXPECT_EQ(space_->report().large_pages, 1U);
}

// Under trim(0), after one collect, no page without a live byte stays bound.
TEST_F(PagedSpaceTest, NothingEmptyStaysBoundUnderTrimToZero) {
  for (const bool large_first : {true, false}) {
    open({.large_first = large_first});
    EXPECT_EQ(space_->trim(Bytes{}), Bytes{});
    std::vector<Thing> things = churn(30, 3);
    TestRandom random(5);
    for (int round = 0; round < 20; ++round) {
      for (std::size_t i = 0; i < things.size() / 8; ++i) {
        std::swap(things[random.below(things.size())], things.back());
        drop(things.back());
        things.pop_back();
      }
      (void)space_->collect();
      ASSERT_EQ(space_->report().empty, Bytes{});
      ASSERT_EQ(physical(), space_->floor(large_first ? kLarge : kSmall));
      ASSERT_EQ(space_->validate(), nullptr);
    }
    ASSERT_TRUE(all_intact(things));
  }
}

TEST_F(PagedSpaceTest, CollectKeepsWhatMayBeRetained) {
  open({.retain = kSmall * 3, .large_first = false});
  std::vector<Thing> things;
  for (std::uint64_t i = 0; i < 8; ++i)
    things.push_back(put(kSmall * i, kSmall));
  for (const Thing& t : things)
    drop(t);
  EXPECT_EQ(space_->collect(), kSmall * 5);
  EXPECT_EQ(physical(), kSmall * 3);
  const std::uint64_t calls = faulty_->calls();
  put(kSmall * 7, kSmall);
  EXPECT_EQ(faulty_->calls(), calls) << "the one that was empty last was kept";
  EXPECT_EQ(space_->trim(Bytes{}), kSmall * 2);
}

TEST_F(PagedSpaceTest, R8_BadInputGetsTypedErrorsAndChangesNothing) {
  open({});
  const Thing a = put(Bytes{}, 64_KiB);
  const Address begin = space_->begin();
  struct Bad {
    Address address;
    Bytes size;
    ErrorCode code;
  };
  const Bad bad[] = {
      {begin, Bytes{}, ErrorCode::invalid_size},
      {begin, kMaxBytes, ErrorCode::invalid_size},
      {begin - 256_B, 256_B, ErrorCode::unknown_address},
      {space_->end() - 256_B, 512_B, ErrorCode::unknown_address},
      {space_->end(), 256_B, ErrorCode::unknown_address},
      {begin + 1_B, 256_B, ErrorCode::invalid_argument},
      {begin, 255_B, ErrorCode::invalid_argument},
  };
  for (const Bad& b : bad) {
    EXPECT_EQ(acquire(b.address, b.size), b.code);
    EXPECT_EQ(release(b.address, b.size), b.code);
    EXPECT_FALSE(space_->explain(b.address, b.size));
  }
  EXPECT_EQ(acquire(begin, 256_B), ErrorCode::wrong_state) << "live";
  EXPECT_EQ(acquire(begin + 64_KiB - 256_B, 64_KiB), ErrorCode::wrong_state) << "partly live";
  EXPECT_EQ(release(begin + 64_KiB - 256_B, 512_B), ErrorCode::wrong_state) << "partly not";
  EXPECT_EQ(release(begin + 4_MiB, 256_B), ErrorCode::wrong_state) << "never touched";
  EXPECT_EQ(release(begin, 64_KiB), kDone);
  EXPECT_EQ(release(begin, 64_KiB), ErrorCode::wrong_state) << "twice";
  EXPECT_EQ(physical(), kLarge);
  (void)a;
}

TEST_F(PagedSpaceTest, BadConfigurationsGetTypedErrors) {
  open({});
  const auto code = [&](const PagedSpaceConfig& config) {
    const auto made = PagedSpace::create(*faulty_, config);
    return made ? kDone : made.error().code;
  };
  EXPECT_EQ(code({}), ErrorCode::invalid_size);
  EXPECT_EQ(code({.size = kMaxBytes}), ErrorCode::invalid_size);
  EXPECT_EQ(code({.size = 1_MiB, .small_page = 32_KiB}), ErrorCode::invalid_configuration);
  EXPECT_EQ(code({.size = 1_MiB, .small_page = 2_MiB, .large_page = 64_KiB}),
            ErrorCode::invalid_configuration);
  EXPECT_EQ(code({.size = 1_MiB, .cell = 300_B}), ErrorCode::invalid_configuration);
  EXPECT_EQ(code({.size = 1_MiB, .cell = 2_KiB}), ErrorCode::invalid_configuration);
  for (const unsigned bit : {57U, 58U, 63U})
    EXPECT_EQ(code({.size = 1_MiB, .cell = Bytes{1ULL << bit}}), ErrorCode::invalid_configuration) << bit;
  EXPECT_EQ(code({.size = 1_MiB, .memory_type = 7}), ErrorCode::invalid_configuration);
  EXPECT_EQ(code({.size = 1_MiB}), kDone);
}

// Every request to the host and every call to the driver refused in turn: then there is as much memory as
// before, and the same acquire succeeds.
TEST_F(PagedSpaceTest, ARefusedAcquireLeavesNothingBehind_R7) {
  TestHost& host = host_;
  for (const bool of_host : {true, false}) {
    for (std::int64_t nth = 1;; ++nth) {
      ASSERT_LT(nth, 500);
      open({.large_first = nth % 2 == 0, .host = host.allocator()});
      const Thing a = put(Bytes{}, 4_KiB);
      const Bytes before = physical();
      if (of_host) {
        host.fail_at(nth);
      } else {
        faulty_->fail_any_at(nth, {ErrorCode::out_of_device_memory, 0}, true);
      }
      const Thing b = thing(1_MiB, 2_MiB + 512_KiB);
      const Result<void> acquired = space_->acquire(b.address, b.size);
      host.fail_at(0);
      faulty_->stop_failing();
      ASSERT_STREQ(space_->validate(), nullptr) << nth;
      ASSERT_TRUE(a.intact());
      if (acquired) {
        ASSERT_GT(nth, 3);
        break;
      }
      if (of_host) {
        ASSERT_EQ(acquired.error().code, ErrorCode::out_of_host_memory);
        ASSERT_EQ(physical(), before) << nth;
      }
      (void)space_->collect();
      ASSERT_EQ(physical(), before) << nth;
      ASSERT_EQ(acquire(b.address, b.size), kDone) << nth;
      b.fill();
      ASSERT_TRUE(a.intact() && b.intact());
    }
  }
}

// The host has nothing from some request on, for good: what was bound goes all the same, without any.
TEST_F(PagedSpaceTest, ARefusedAcquireIsTakenBackWithoutHostMemory_R7) {
  for (const bool large_first : {true, false}) {
    for (std::int64_t nth = 1;; ++nth) {
      ASSERT_LT(nth, 500);
      open({.large_first = large_first, .host = host_.allocator()});
      const Thing a = put(Bytes{}, 4_KiB);
      const Bytes before = space_->report().committed;
      host_.fail_forever(true);
      host_.fail_at(nth);
      const Result<void> acquired = space_->acquire(at(1_MiB), 12_MiB);
      const Bytes after = space_->report().committed;
      host_.fail_at(0);
      host_.fail_forever(false);
      if (acquired) break;
      ASSERT_EQ(after, before) << nth;
      ASSERT_EQ(physical(), before) << nth;
      ASSERT_TRUE(a.intact());
      ASSERT_STREQ(space_->validate(), nullptr);
    }
  }
}

TEST_F(PagedSpaceTest, AnUnbindThatIsRefusedIsQueuedCountedAndTriedAgain_R7) {
  open({.large_first = false});
  std::vector<Thing> things;
  for (std::uint64_t i = 0; i < 6; ++i)
    things.push_back(put(kSmall * i, kSmall));
  for (const Thing& t : things)
    drop(t);
  faulty_->fail_at(Call::bind, 1, {ErrorCode::out_of_mappings, 12}, true);
  EXPECT_EQ(space_->trim(Bytes{}), Bytes{});
  EXPECT_EQ(space_->report().refused_by_driver, 6U);
  EXPECT_EQ(physical(), kSmall * 6);
  faulty_->fail_at(Call::bind, 1, {ErrorCode::out_of_mappings, 12});
  EXPECT_EQ(space_->collect(), kSmall * 6) << "in one go it is refused, page by page it is not";
  EXPECT_EQ(physical(), Bytes{});
}

TEST_F(PagedSpaceTest, TheBudgetIsKeptAndEmptyPagesGoBeforeAnythingIsRefused) {
  open({.budget = 4_MiB, .retain = 4_MiB});
  const Thing a = put(Bytes{}, 2_MiB);
  const Thing b = put(2_MiB, 1_MiB);
  EXPECT_EQ(acquire(at(8_MiB), 64_KiB), ErrorCode::out_of_device_memory);
  drop(a);
  EXPECT_EQ(acquire(at(8_MiB), 64_KiB), kDone) << "the empty page went";
  EXPECT_EQ(physical(), 4_MiB);
  EXPECT_TRUE(b.intact());
}

TEST_F(PagedSpaceTest, NoLargePageWhereOnlySmallOnesAreLeft) {
  open({.budget = 3_MiB});
  put(Bytes{}, 64_KiB);
  put(2_MiB, 64_KiB);
  EXPECT_EQ(physical(), 2_MiB + kSmall);
}

}  // namespace
}  // namespace vaspace::test
