// Pages on first use, given back when empty, and why there are none. R1, R7, R8.
#include <array>

#include "paged_fixture.hpp"
#include "support/host.hpp"

namespace vaspace::test {
namespace {

class PagedSpaceTest : public PagedTest {
 protected:
  [[nodiscard]] ErrorCode acquire(Address address, Bytes size) {
    const Result<void> done = space_->acquire(address, size);
    return done ? kDone : done.error().code;
  }
  [[nodiscard]] ErrorCode release(Address address, Bytes size) {
    const Result<void> done = space_->release(address, size);
    return done ? kDone : done.error().code;
  }
  static constexpr ErrorCode kDone = ErrorCode::malformed;  // that nothing here answers
};

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

// Advice that was followed, and its dry run against what came of it.
class Advice : public PagedSpaceTest {
 protected:
  [[nodiscard]] Shortfall asked(Bytes offset, Bytes size) {
    const Result<Shortfall> answer = space_->explain(at(offset), size);
    EXPECT_TRUE(answer);
    return answer ? *answer : Shortfall{};
  }
};

TEST_F(Advice, TrimHelpsWhereEmptyPagesAreHeld) {
  open({.budget = 4_MiB, .retain = 4_MiB, .trim_under_pressure = false});
  const Thing a = put(Bytes{}, 2_MiB);
  put(2_MiB, 2_MiB);
  const Thing wanted = thing(8_MiB, 1_MiB);
  EXPECT_EQ(acquire(wanted.address, wanted.size), ErrorCode::out_of_device_memory);
  Shortfall shortfall = asked(8_MiB, 1_MiB);
  EXPECT_FALSE(shortfall.fits || shortfall.trim_helps);
  EXPECT_EQ(shortfall.needed, 1_MiB);
  EXPECT_EQ(shortfall.available, Bytes{});
  drop(a);
  EXPECT_EQ(acquire(wanted.address, wanted.size), ErrorCode::out_of_device_memory);
  shortfall = asked(8_MiB, 1_MiB);
  EXPECT_TRUE(shortfall.trim_helps);
  EXPECT_EQ(shortfall.from_trim, 2_MiB);
  EXPECT_EQ(space_->trim(Bytes{}), shortfall.from_trim);
  EXPECT_EQ(acquire(wanted.address, wanted.size), kDone);
}

TEST_F(Advice, CompactionHelpsWhereLiveBytesAreThinlySpread) {
  open({.size = 32_MiB, .budget = 32_MiB});
  const std::vector<Thing> things = churn(30);
  // What is live of the last block makes room for what is wanted.
  std::vector<Thing> kept;
  for (const Thing& t : things) {
    if (t.end() > at(30_MiB)) {
      drop(t);
    } else {
      kept.push_back(t);
    }
  }
  space_->set_budget(30_MiB);
  (void)space_->trim(Bytes{});
  EXPECT_EQ(acquire(at(30_MiB), 2_MiB), ErrorCode::out_of_device_memory);
  const Shortfall shortfall = asked(30_MiB, 2_MiB);
  EXPECT_FALSE(shortfall.fits || shortfall.trim_helps);
  EXPECT_TRUE(shortfall.compaction_helps);
  const Bytes before = physical();
  while (!space_->compact({}).finished) {
  }
  (void)space_->trim(Bytes{});
  EXPECT_EQ(before - physical(), shortfall.from_compaction) << "the dry run was right to the byte";
  EXPECT_EQ(acquire(at(30_MiB), 2_MiB), kDone);
  EXPECT_TRUE(all_intact(kept));

  // And again where pages share already.
  for (std::size_t i = kept.size() / 2; i < kept.size(); ++i)
    drop(kept[i]);
  const Thing gone = kept.back();
  kept.resize(kept.size() / 2);
  ASSERT_GT(space_->report().meshed_pages, 0U);
  const Shortfall again = asked(gone.address - space_->begin(), gone.size);
  const Bytes held = physical();
  (void)space_->trim(Bytes{});
  while (!space_->compact({}).finished) {
  }
  (void)space_->trim(Bytes{});
  EXPECT_EQ(held - physical(), again.from_compaction);
  EXPECT_TRUE(all_intact(kept));
}

TEST_F(Advice, NothingIsAdvisedThatWouldNotHelp) {
  open({.size = 8_MiB, .budget = 4_MiB}, {.physical_size = 4_MiB});
  put(Bytes{}, 4_MiB);
  EXPECT_EQ(acquire(at(4_MiB), 64_KiB), ErrorCode::out_of_device_memory);
  const Shortfall shortfall = asked(4_MiB, 64_KiB);
  EXPECT_FALSE(shortfall.fits || shortfall.trim_helps || shortfall.compaction_helps ||
               shortfall.other_type_helps);
  EXPECT_EQ(shortfall.budget_that_helps, Bytes{}) << "the heap itself is full";
}

// Whatever the budget, nothing comes of what the heap has not got.
TEST_F(Advice, AFullHeapIsNoBudgetLeft) {
  open({.size = 8_MiB, .trim_under_pressure = false}, {.physical_size = 4_MiB});
  const Thing all = put(Bytes{}, 4_MiB);
  EXPECT_EQ(acquire(at(4_MiB), 64_KiB), ErrorCode::out_of_device_memory);
  Shortfall shortfall = asked(4_MiB, 64_KiB);
  EXPECT_FALSE(shortfall.fits || shortfall.trim_helps || shortfall.compaction_helps);
  EXPECT_EQ(shortfall.available, Bytes{});
  EXPECT_EQ(shortfall.budget_that_helps, Bytes{});
  drop(all);
  shortfall = asked(4_MiB, 64_KiB);
  EXPECT_FALSE(shortfall.fits);
  EXPECT_TRUE(shortfall.trim_helps);
  (void)space_->trim(Bytes{});
  EXPECT_TRUE(asked(4_MiB, 64_KiB).fits);
  EXPECT_EQ(acquire(at(4_MiB), 64_KiB), kDone);
}

// A page is copied before the large one behind it goes: in a heap without a page of room nothing can be.
TEST_F(Advice, CompactionNeedsRoomForThePagesItCopies) {
  for (const bool room : {false, true}) {
    open({.size = 8_MiB, .trim_under_pressure = false},
         {.physical_size = room ? 4_MiB + kSmall : 4_MiB, .aliasing = false});
    const Thing a = put(Bytes{}, 2_MiB);
    const Thing b = put(2_MiB, 2_MiB);
    ASSERT_TRUE(space_->release(a.address + kSmall, 2_MiB - kSmall));
    ASSERT_TRUE(space_->release(b.address + kSmall, 2_MiB - kSmall));
    EXPECT_EQ(acquire(at(4_MiB), 128_KiB), ErrorCode::out_of_device_memory);
    const Shortfall shortfall = asked(4_MiB, 128_KiB);
    EXPECT_FALSE(shortfall.fits || shortfall.trim_helps);
    EXPECT_EQ(shortfall.compaction_helps, room);
    const Bytes before = physical();
    while (!space_->compact({}).finished) {
    }
    EXPECT_EQ(before - physical(), shortfall.from_compaction);
    EXPECT_EQ(acquire(at(4_MiB), 128_KiB), room ? kDone : ErrorCode::out_of_device_memory);
  }
}

// Of pages that share one, those that are freed first in its list must not hide those that are live.
TEST_F(Advice, IsRightToTheByteWhereMembersOfSharedPagesWereFreed) {
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    open({.size = 8_MiB});
    std::vector<Thing> things = churn(20, seed);
    while (!space_->compact({}).finished) {
    }
    ASSERT_GT(space_->report().meshed_pages, 0U);
    TestRandom random(seed);
    for (std::size_t i = 0; i < things.size();) {
      if (random.below(2) == 0) {
        ++i;
        continue;
      }
      drop(things[i]);
      std::swap(things[i], things.back());
      things.pop_back();
    }
    // A range of which nothing is live.
    const Thing hole = things.front();
    drop(hole);
    things.erase(things.begin());
    const Shortfall shortfall = asked(hole.address - space_->begin(), hole.size);
    const Bytes held = physical();
    (void)space_->trim(Bytes{});
    while (!space_->compact({}).finished) {
    }
    (void)space_->trim(Bytes{});
    EXPECT_EQ(held - physical(), shortfall.from_compaction) << seed;
    EXPECT_TRUE(all_intact(things));
  }
}

TEST_F(Advice, ALargerBudgetOrAnotherMemoryTypeHelps) {
  const std::array<MemoryHeap, 2> heaps{{{16_MiB, true}, {16_MiB, false}}};
  const std::array<MemoryType, 2> types{
      {{.heap = 0, .device_local = true, .host_visible = true, .host_coherent = true},
       {.heap = 1, .device_local = false, .host_visible = true, .host_coherent = true}}};
  open({.size = 32_MiB, .budget = 4_MiB}, {.heaps = heaps, .memory_types = types});
  put(Bytes{}, 4_MiB);
  Shortfall shortfall = asked(8_MiB, 3_MiB);
  EXPECT_EQ(acquire(at(8_MiB), 3_MiB), ErrorCode::out_of_device_memory);
  EXPECT_EQ(shortfall.budget_that_helps, 7_MiB);
  EXPECT_TRUE(shortfall.other_type_helps);
  EXPECT_EQ(shortfall.other_type, 1U);
  {
    auto other =
        PagedSpace::create(*faulty_, {.size = 32_MiB, .memory_type = shortfall.other_type, .budget = 4_MiB});
    ASSERT_TRUE(other);
    EXPECT_TRUE((*other)->acquire((*other)->begin() + 8_MiB, 3_MiB));
  }
  space_->set_budget(shortfall.budget_that_helps - 64_KiB);
  EXPECT_EQ(acquire(at(8_MiB), 3_MiB), ErrorCode::out_of_device_memory) << "not a page more than it takes";
  space_->set_budget(shortfall.budget_that_helps);
  EXPECT_EQ(acquire(at(8_MiB), 3_MiB), kDone);
}

}  // namespace
}  // namespace vaspace::test
