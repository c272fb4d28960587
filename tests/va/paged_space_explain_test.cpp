// Why an acquire fails, and what helps: advice that is followed does what it says. R7.
#include <array>
#include <chrono>
#include <functional>
#include <future>

#include "paged_fixture.hpp"

namespace vaspace::test {
namespace {

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

// And there is room for each of them, not only for the next.
TEST_F(Advice, CompactionNeedsRoomForAllPagesOfABlock) {
  for (const std::uint64_t room : {2U, 3U}) {
    open({.size = 8_MiB, .trim_under_pressure = false},
         {.physical_size = 4_MiB + kSmall * room, .aliasing = false});
    for (const Bytes block : {0_B, 2_MiB}) {
      put(block, 2_MiB);
      ASSERT_TRUE(space_->release(at(block) + kSmall * 3, 2_MiB - kSmall * 3));
    }
    EXPECT_EQ(acquire(at(4_MiB), 512_KiB), ErrorCode::out_of_device_memory);
    const Shortfall shortfall = asked(4_MiB, 512_KiB);
    EXPECT_EQ(shortfall.compaction_helps, room == 3);
    while (!space_->compact({}).finished) {
    }
    EXPECT_EQ(acquire(at(4_MiB), 512_KiB), room == 3 ? kDone : ErrorCode::out_of_device_memory);
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

// As where sparse buffers cannot have memory of every type.
class SomeTypes final : public ForwardingBackend {
 public:
  SomeTypes(Backend& next, std::uint32_t types) : ForwardingBackend(next), profile_(next.profile()) {
    profile_.pageable_types = types;
  }
  [[nodiscard]] const DeviceProfile& profile() const noexcept override { return profile_; }

 private:
  DeviceProfile profile_;
};

// A type that has room is of no use where pages cannot be of it; one of the same heap is, for the budget is
// the space's own.
TEST_F(Advice, AnotherMemoryTypeIsOneThatPagesCanBeOf_V6) {
  const std::array<MemoryHeap, 2> heaps{{{16_MiB, true}, {16_MiB, false}}};
  const MemoryType first{.heap = 0, .device_local = true, .host_visible = true, .host_coherent = true};
  const MemoryType second{.heap = 1, .device_local = false, .host_visible = true, .host_coherent = true};
  const std::array<MemoryType, 3> types{{first, second, first}};
  open({}, {.heaps = heaps, .memory_types = types});
  space_.reset();
  for (const std::uint32_t mask : {1U, 3U, 5U, 7U}) {
    SomeTypes some(*faulty_, mask);
    space_ = PagedSpace::create(some, {.size = 32_MiB, .budget = 4_MiB}).value();
    put(Bytes{}, 4_MiB);
    const Shortfall shortfall = asked(8_MiB, 3_MiB);
    EXPECT_EQ(shortfall.other_type_helps, mask != 1);
    EXPECT_EQ(shortfall.other_type, mask == 1 ? 0U : (mask & 2U) != 0 ? 1U : 2U);
    for (std::uint32_t type = 0; type < 4; ++type) {
      const auto other = PagedSpace::create(some, {.size = 32_MiB, .memory_type = type, .budget = 4_MiB});
      ASSERT_EQ(other.has_value(), (mask >> type & 1U) != 0) << type;
      if (!other) {
        EXPECT_EQ(other.error().code, ErrorCode::invalid_configuration);
      } else if (type == shortfall.other_type && type != 0) {
        EXPECT_TRUE((*other)->acquire((*other)->begin() + 8_MiB, 3_MiB));
      }
    }
    space_.reset();
  }
}

// Calls back before the n-th request.
struct CallingHost {
  HostAllocator next = default_host_allocator();
  std::int64_t requests = 0, at = 0;
  std::function<void()> call;

  [[nodiscard]] HostAllocator allocator() { return {this, &allocate, &deallocate}; }
  static void* allocate(void* user, std::size_t size, std::size_t alignment) noexcept {
    auto& self = *static_cast<CallingHost*>(user);
    if (++self.requests == self.at) self.call();
    return self.next.allocate(self.next.user, size, alignment);
  }
  static void deallocate(void* user, void* memory, std::size_t size, std::size_t alignment) noexcept {
    auto& self = *static_cast<CallingHost*>(user);
    self.next.deallocate(self.next.user, memory, size, alignment);
  }
};

// The lock that acquire and release need is free while a dry run packs, which is when it last asks for room.
TEST_F(Advice, OthersGoOnWhileADryRunPacks) {
  CallingHost host;
  open({.size = 8_MiB, .host = host.allocator()});
  std::vector<Thing> things = churn(20);
  const Thing hole = things.back();
  drop(hole);
  host.requests = 0;
  (void)asked(hole.address - space_->begin(), hole.size);
  host.at = host.requests;
  host.requests = 0;
  std::future<void> other;
  bool went_on = false;
  host.call = [&] {
    other = std::async(std::launch::async, [&] { drop(things.front()); });
    went_on = other.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
  };
  (void)asked(hole.address - space_->begin(), hole.size);
  EXPECT_TRUE(went_on);
  ASSERT_TRUE(other.valid());
  other.wait();
  ASSERT_EQ(space_->validate(), nullptr);
  space_.reset();  // before its host
}

}  // namespace
}  // namespace vaspace::test
