// Compaction that keeps every address, on memory that is really measured: what it must reach, what a step may
// take, and what a refusal leaves. R7, T3, R9.
//
// VASPACE_CHURN_MIB in the environment sets how large the churned space is (256 is what docs/va.md quotes).
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

#include "paged_fixture.hpp"

namespace vaspace::test {
namespace {

class Compaction : public PagedTest {
 protected:
  // Until a pass is over. Each page that it moves lowers the measure.
  StepReport compact_all(std::uint64_t pages_per_step = 16) {
    StepReport sum;
    for (bool finished = false; !finished;) {
      const std::uint64_t before = space_->measure();
      const StepReport step = space_->compact({.pages = pages_per_step});
      EXPECT_LE(step.pages(), pages_per_step);
      EXPECT_LE(space_->measure() + step.pages(), before);
      EXPECT_TRUE(step.finished || step.spent() == pages_per_step);
      finished = step.finished;
      sum.demoted += step.demoted;
      sum.dropped += step.dropped;
      sum.meshed += step.meshed;
      sum.refused += step.refused;
      sum.postponed += step.postponed;
      sum.cancelled += step.cancelled;
      sum.copied += step.copied;
    }
    return sum;
  }
  static Bytes churned() {
    const char* wanted = std::getenv("VASPACE_CHURN_MIB");
    return 1_MiB * (wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 48);
  }
  static double ratio(Bytes a, Bytes b) {
    return static_cast<double>(a.value) / static_cast<double>(b.value);
  }
  static double mib(Bytes a) { return static_cast<double>(a.value) / 1048576.0; }
};

TEST_F(Compaction, WithoutAliasingPhysicalFallsToTheFloorOfTheSmallestPage) {
  open({.size = churned()}, {.aliasing = false});
  const std::vector<Thing> things = churn(30);
  const Bytes live = bytes_of(things);
  const Bytes before = physical();
  const Bytes floor = space_->floor(kSmall);
  const StepReport done = compact_all();
  (void)space_->trim(Bytes{});
  std::printf(
      "  live %.1f MiB; physical %.1f (%.2f x live) -> %.1f MiB (%.2f x live), floor(64 KiB) %.1f: %.3f x\n",
      mib(live), mib(before), ratio(before, live), mib(physical()), ratio(physical(), live), mib(floor),
      ratio(physical(), floor));
  EXPECT_TRUE(all_intact(things));
  EXPECT_LE(ratio(physical(), floor), 1.02);
  EXPECT_GE(ratio(before, live), 3.0) << "there was something to do";
  EXPECT_EQ(done.meshed, 0U);
  EXPECT_EQ(done.refused + done.postponed, 0U);
  EXPECT_EQ(space_->report().large_pages, 0U);
  EXPECT_EQ(space_->validate(), nullptr);
}

TEST_F(Compaction, WithAliasingManyPagesShareOne) {
  open({.size = churned()});
  const std::vector<Thing> things = churn(30);
  const Bytes live = bytes_of(things);
  const Bytes before = physical();
  const StepReport done = compact_all();
  (void)space_->trim(Bytes{});
  const PagedSpaceReport report = space_->report();
  std::printf(
      "  live %.1f MiB; physical %.1f (%.2f x live) -> %.1f MiB (%.3f x live); %llu pages demoted, %llu "
      "meshed, "
      "%.1f MiB copied\n",
      mib(live), mib(before), ratio(before, live), mib(physical()), ratio(physical(), live),
      (unsigned long long)done.demoted, (unsigned long long)done.meshed, mib(done.copied));
  EXPECT_TRUE(all_intact(things));
  EXPECT_LE(ratio(physical(), live), 1.20);
  EXPECT_GT(done.meshed, done.demoted / 3);
  EXPECT_GT(report.meshed_pages, done.meshed);
  EXPECT_EQ(space_->validate(), nullptr);
  EXPECT_EQ(compact_all().pages(), 0U) << "there is nothing left to do";
}

// Whatever the driver can and cannot do, nothing is lost, and what can be reached is.
TEST_F(Compaction, OnEverySetOfCapabilities) {
  for (unsigned set = 0; set < 32; ++set) {
    cpu::BackendConfig device;
    device.partial_unbind = (set & 1U) != 0;
    device.physical_offset = (set & 2U) != 0;
    device.aliasing = (set & 4U) != 0;
    device.replace = (set & 8U) != 0;
    device.bind_latency_ns = (set & 16U) != 0 ? 20'000 : 0;
    open({.size = 4_MiB}, device);
    std::vector<Thing> things = churn(30);
    // Where a bind is replaced in one step, who reads meanwhile never meets a hole.
    const bool readers =
        device.replace && (device.partial_unbind || (device.physical_offset && device.aliasing));
    std::atomic<bool> stop{!readers};
    std::atomic<bool> wrong{false};
    std::thread reader([&] {
      while (!stop.load())
        if (!all_intact(things)) wrong = true;
    });
    EXPECT_EQ(space_->can_demote(), device.partial_unbind || device.physical_offset);
    EXPECT_EQ(space_->can_mesh(), device.aliasing);
    const StepReport done = compact_all();
    EXPECT_EQ(done.refused, 0U) << set;
    (void)space_->trim(Bytes{});
    stop = true;
    reader.join();
    EXPECT_FALSE(wrong.load()) << set;
    ASSERT_TRUE(all_intact(things)) << set;
    ASSERT_STREQ(space_->validate(), nullptr) << set;
    if (!space_->can_demote()) {
      EXPECT_EQ(physical(), space_->floor(kLarge)) << set;
    } else if (!device.aliasing) {
      EXPECT_EQ(physical(), space_->floor(kSmall)) << set;
    } else {
      EXPECT_LE(ratio(physical(), bytes_of(things)), 1.6) << set;  // two large pages are few to choose from
    }
    for (Thing& t : things) {
      ++t.seed;
      t.fill();
    }
    ASSERT_TRUE(all_intact(things)) << set;
  }
}

// One page size and no sharing: nothing but empty pages can go back.
TEST_F(Compaction, WithOnePageSizeAndNoAliasingOnlyEmptyPagesGo) {
  const Bytes sizes[] = {2_MiB};
  open({.size = 64_MiB}, {.page_sizes = sizes, .aliasing = false});
  const std::vector<Thing> things = churn(30);
  EXPECT_FALSE(space_->can_demote() || space_->can_mesh());
  EXPECT_EQ(compact_all().pages(), 0U);
  (void)space_->trim(Bytes{});
  EXPECT_EQ(physical(), space_->floor(kLarge));
  EXPECT_TRUE(all_intact(things));
}

TEST_F(Compaction, EveryWriteAfterItReachesItsOwnObjectOnly) {
  open({.size = 16_MiB});
  std::vector<Thing> things = churn(30);
  (void)compact_all();
  for (std::size_t i = 0; i < things.size(); i += 2) {
    things[i].seed += 1'000'000;
    things[i].fill();
  }
  EXPECT_TRUE(all_intact(things));
}

TEST_F(Compaction, WhatIsPutBesideSharedPagesGetsPagesOfItsOwn_R1) {
  open({.size = 8_MiB});
  std::vector<Thing> things = churn(30);
  (void)compact_all();
  ASSERT_GT(space_->report().meshed_pages, 0U);
  // Every hole of the space is filled again, in pieces of 4 KiB.
  const std::size_t old = things.size();
  for (Bytes offset{}; offset < 8_MiB; offset += 4_KiB) {
    const Thing more = thing(offset, 4_KiB);
    const Result<void> acquired = space_->acquire(more.address, more.size);
    if (!acquired) {
      ASSERT_EQ(acquired.error().code, ErrorCode::wrong_state) << "some of it is live";
      continue;
    }
    more.fill();
    things.push_back(more);
  }
  EXPECT_GT(things.size(), old + 200);
  EXPECT_TRUE(all_intact(things));
  ASSERT_EQ(space_->validate(), nullptr);
}

// Two pages that share one, freed, still share it: what is put over both must not be in one place twice.
TEST_F(Compaction, WhatIsPutOverTwoPagesThatShareGetsTwo_R1) {
  open({.size = 4_MiB});
  const Thing low = put(64_KiB, 8_KiB);
  const Thing high = put(160_KiB, 8_KiB);
  (void)compact_all();
  ASSERT_EQ(space_->report().meshed_pages, 2U);
  drop(low);
  drop(high);
  const Thing both = put(64_KiB, 128_KiB);
  EXPECT_TRUE(both.intact());
  EXPECT_EQ(space_->report().meshed_pages, 0U);
  ASSERT_STREQ(space_->validate(), nullptr);
}

// A clock that a test moves: by `tick` whenever somebody looks.
struct FakeClock {
  std::uint64_t now = 0;
  std::uint64_t tick = 0;
  std::uint64_t looks = 0;

  [[nodiscard]] StepClock clock() { return {this, &read}; }
  static std::uint64_t read(void* user) noexcept {
    auto& self = *static_cast<FakeClock*>(user);
    ++self.looks;
    return self.now += self.tick;
  }
};
// Moves the clock while a page is copied.
class SlowCopies final : public ForwardingBackend {
 public:
  SlowCopies(Backend& next, FakeClock& clock) : ForwardingBackend(next), clock_(clock) {}
  Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    clock_.now += 100;
    return next().copy(ops, waits);
  }

 private:
  FakeClock& clock_;
};

TEST_F(Compaction, AStepExceedsItsTimeByOnePageCopyAtMost) {
  open({.size = 16_MiB});
  space_.reset();
  FakeClock clock;
  SlowCopies slow(*faulty_, clock);
  auto made = PagedSpace::create(slow, {.size = 16_MiB});
  ASSERT_TRUE(made);
  space_ = std::move(*made);
  const std::vector<Thing> things = churn(30);
  std::uint64_t steps = 0;
  std::uint64_t longest = 0;
  for (bool finished = false; !finished; ++steps) {
    const std::uint64_t begin = clock.now;
    const StepReport step = space_->compact({.time_ns = 350, .clock = clock.clock()});
    longest = std::max(longest, clock.now - begin);
    EXPECT_LT(clock.now - begin, 350U + 100U);
    finished = step.finished;
  }
  EXPECT_GT(longest, 350U) << "it does use its time";
  EXPECT_GT(steps, 20U);
  EXPECT_TRUE(all_intact(things));
  clock.tick = 1000;
  EXPECT_EQ(space_->compact({.time_ns = 1, .clock = clock.clock()}).pages(), 0U) << "no time, no page";
  space_.reset();
}

// Calls back while a page is copied.
class CopyHook final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  std::function<void(const CopyOp&)> on_copy;
  Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    const Result<TimelinePoint> point = next().copy(ops, waits);
    if (on_copy) on_copy(ops.front());
    return point;
  }
};
using CompactionDeathTest = Compaction;

TEST_F(CompactionDeathTest, AWriteThatShouldNotComeFaultsInsteadOfBeingLost) {
  open({});
  space_.reset();
  CopyHook hook(*faulty_);
  auto made = PagedSpace::create(hook, {.size = 4_MiB});
  ASSERT_TRUE(made);
  space_ = std::move(*made);
  const Thing moving = put(64_KiB, 8_KiB);
  const Thing beside = put(128_KiB, 8_KiB);
  int copies = 0;
  hook.on_copy = [&](const CopyOp& op) {
    if (op.source != moving.address) return;
    ++copies;
    EXPECT_EQ(moving.words()[0], moving.seed * 0x9e3779b97f4a7c15ULL) << "reading is legal";
    EXPECT_DEATH(moving.words()[0] = 1, "");
    beside.words()[0] = beside.words()[0];  // of a page that does not move
  };
  (void)compact_all();
  EXPECT_GE(copies, 1);
  moving.words()[0] = moving.words()[0];
  EXPECT_TRUE(moving.intact() && beside.intact());
  hook.on_copy = nullptr;
  space_.reset();
}

// Says no to the pages of a list, and counts what it has paused.
struct Pins {
  std::vector<Address> pinned;
  std::int64_t paused = 0;

  [[nodiscard]] WritePause pause() { return {this, &try_pause, &resume}; }
  static bool try_pause(void* user, Address address, Bytes) noexcept {
    auto& self = *static_cast<Pins*>(user);
    for (const Address pinned : self.pinned)
      if (pinned == address) return false;
    ++self.paused;
    return true;
  }
  static void resume(void* user, Address, Bytes) noexcept { --static_cast<Pins*>(user)->paused; }
};

// One page of every block cannot be paused, the last live one: what was copied out of the large page that
// stays is held twice.
TEST_F(Compaction, WhoeverHindersItHoldsNoMoreThanOneLargePageBesides) {
  for (const bool aliasing : {false, true}) {
    Pins pins;
    open({.size = 32_MiB, .pause = pins.pause()}, {.aliasing = aliasing});
    const std::vector<Thing> things = churn(30);
    for (Bytes block{}; block < 32_MiB; block += kLarge)
      for (Bytes page = block + kLarge - kSmall; page >= block; page = page - kSmall)
        if (space_->behind(at(page)).live.value != 0) {
          pins.pinned.push_back(at(page));
          break;
        }
    ASSERT_EQ(pins.pinned.size(), 16U);
    const Bytes before = physical();
    for (int pass = 0; pass < 4; ++pass) {
      for (bool finished = false; !finished;) {
        finished = space_->compact({.pages = 5}).finished;
        ASSERT_LE(physical(), before + kLarge) << pass;
      }
    }
    EXPECT_EQ(pins.paused, 0);
    ASSERT_TRUE(all_intact(things));
    pins.pinned.clear();
    for (int pass = 0; pass < 6; ++pass)
      (void)compact_all();
    (void)space_->trim(Bytes{});
    EXPECT_EQ(space_->report().large_pages, 0U) << "and once nobody does, all of it goes";
    if (!aliasing) {
      EXPECT_EQ(physical(), space_->floor(kSmall));
    }
    ASSERT_TRUE(all_intact(things));
  }
}

// A move is refused, and so is the way back: the page is guarded still, and then nothing of it is live.
TEST_F(Compaction, AGuardedPageThatIsFreedAndCollectedIsForgotten_R7) {
  for (const bool promote : {false, true}) {
    Pins pins;
    open({.size = 8_MiB, .pause = pins.pause()});
    const Thing moving = put(Bytes{}, 8_KiB);
    const Thing stays = put(2_MiB, 8_KiB);
    // It is guarded; then neither a new page is staged nor the guard taken back.
    faulty_->fail_at(Call::bind, 2, {ErrorCode::driver_error, 5}, true);
    EXPECT_EQ(space_->compact({.pages = 1}).refused, 1U);
    faulty_->stop_failing();
    ASSERT_EQ(space_->report().guarded, 1U);
    ASSERT_EQ(pins.paused, 1);
    drop(moving);
    (void)space_->trim(Bytes{});
    EXPECT_EQ(space_->report().guarded, 0U);
    EXPECT_EQ(pins.paused, 0) << "its writers may go on";
    if (promote) {
      (void)space_->promote({});
    } else {
      while (!space_->compact({}).finished) {
      }
    }
    EXPECT_TRUE(stays.intact());
    ASSERT_STREQ(space_->validate(), nullptr);
    const Thing again = put(Bytes{}, 8_KiB);
    EXPECT_TRUE(again.intact());
  }
}

// What is guarded and what is refused count as pages of a step: with a page each, a step makes a driver call
// or two, and what is refused for good keeps nothing else from moving.
TEST_F(Compaction, RefusedAndGuardedPagesCountAgainstAStep_R7) {
  open({.size = 8_MiB});
  const Thing moving = put(Bytes{}, 8_KiB);
  const Thing other = put(2_MiB, 8_KiB);
  faulty_->fail_at(Call::bind, 2, {ErrorCode::driver_error, 5}, true);
  StepReport step = space_->compact({.pages = 1});
  EXPECT_EQ(step.refused, 1U);
  EXPECT_EQ(step.spent(), 1U);
  EXPECT_FALSE(step.finished);
  const std::uint64_t calls = faulty_->calls(Call::bind);
  step = space_->compact({.pages = 1});
  EXPECT_EQ(step.refused, 1U) << "the guard once more, and nothing else";
  EXPECT_EQ(faulty_->calls(Call::bind), calls + 1);
  std::uint64_t steps = 0;
  while (!space_->compact({.pages = 1}).finished)
    ASSERT_LT(++steps, 200U) << "it ends whatever is refused";
  faulty_->stop_failing();
  step = space_->compact({.pages = 1});
  EXPECT_EQ(step.spent(), 1U);
  (void)compact_all();
  (void)compact_all();
  EXPECT_EQ(space_->report().guarded, 0U);
  EXPECT_TRUE(moving.intact() && other.intact());
}

// A move is refused for want of host memory, at each request, and then nothing is left guarded.
TEST_F(Compaction, WithoutHostMemoryNoPageStaysGuarded_R7) {
  for (std::int64_t nth = 1; nth < 60; ++nth) {
    open({.size = 4_MiB, .host = host_.allocator()});
    const std::vector<Thing> things = churn(30);
    host_.fail_forever(true);
    host_.fail_at(nth);
    (void)space_->compact({.pages = 64});
    const std::uint64_t guarded = space_->report().guarded;
    host_.fail_at(0);
    host_.fail_forever(false);
    ASSERT_EQ(guarded, 0U) << nth;
    ASSERT_TRUE(all_intact(things));
    ASSERT_STREQ(space_->validate(), nullptr) << nth;
  }
}

// A page that could not be unbound from where it was copied to must not be handed out while it is.
TEST_F(Compaction, WhatStaysStagedIsNobodysUntilItIsNot_R7) {
  open({.size = 4_MiB, .retain = 1_MiB});
  const Thing moving = put(Bytes{}, 8_KiB);
  put(kSmall + 16_KiB, 8_KiB);
  faulty_->fail_at(Call::bind, 3, {ErrorCode::driver_error, 5});  // guard, stage, unstage
  EXPECT_EQ(space_->compact({.pages = 1}).refused, 1U);
  faulty_->stop_failing();
  // Were it given to the pool, this would bind and fill it, and the next copy would go over it.
  const Bytes held = space_->report().committed;
  EXPECT_EQ(held, kLarge + kSmall);
  for (int pass = 0; pass < 2; ++pass)
    while (!space_->compact({}).finished) {
    }
  EXPECT_TRUE(moving.intact());
  (void)space_->trim(Bytes{});
  EXPECT_EQ(physical(), space_->report().committed);
  EXPECT_EQ(physical(), kSmall) << "both small pages share one, and the one that was stuck has gone";
  EXPECT_TRUE(moving.intact());
}

TEST_F(Compaction, TheSameStepsDoTheSame_R9) {
  std::vector<std::uint64_t> first;
  for (int run = 0; run < 2; ++run) {
    open({.size = 8_MiB});
    const std::vector<Thing> things = churn(30);
    std::vector<std::uint64_t> now;
    for (bool finished = false; !finished;) {
      const StepReport step = space_->compact({.pages = 7});
      finished = step.finished;
      now.insert(now.end(), {step.demoted, step.dropped, step.meshed, step.copied.value, space_->measure()});
    }
    if (run == 0) first = now;
    EXPECT_EQ(now, first);
  }
}

// Each driver call of a whole pass refused in turn, once, and every 97th for good: no byte is lost, the pass
// ends, and the next one does what this one could not.
TEST_F(Compaction, WhateverTheDriverRefusesNothingIsLost_R7) {
  std::uint64_t calls = 0;
  for (std::uint64_t nth = 0; nth == 0 || nth <= calls; nth += nth < 40 ? 1 : 53) {
    open({.size = 4_MiB});
    const std::vector<Thing> things = churn(30);
    const std::uint64_t before = faulty_->calls();
    const bool forever = nth % 7 == 3;
    if (nth != 0) faulty_->fail_any_at(static_cast<std::int64_t>(nth), {ErrorCode::driver_error, 5}, forever);
    const StepReport hindered = compact_all();
    faulty_->stop_failing();
    if (nth == 0) calls = faulty_->calls() - before;
    ASSERT_TRUE(all_intact(things)) << nth;
    ASSERT_EQ(hindered.refused == 0 || nth != 0, true);
    (void)space_->trim(Bytes{});
    (void)compact_all();
    (void)space_->trim(Bytes{});
    ASSERT_EQ(space_->validate(), nullptr) << nth;
    ASSERT_EQ(space_->report().guarded, 0U) << nth;
    ASSERT_TRUE(all_intact(things)) << nth;
    ASSERT_LE(ratio(physical(), bytes_of(things)), 1.6) << nth;
    for (const Thing& t : things)
      t.fill();  // every page can be written again
    if (HasFailure()) return;
  }
  std::printf("  %llu driver calls in a pass\n", (unsigned long long)calls);
  EXPECT_GT(calls, 100U);
}

TEST_F(Compaction, FullBlocksOfSmallPagesArePromotedAndLooseOnesAreNot) {
  open({.size = 16_MiB, .large_first = false});
  std::vector<Thing> things;
  for (Bytes offset{}; offset < 4_MiB; offset += 64_KiB)
    things.push_back(put(offset, 64_KiB));
  for (Bytes offset = 4_MiB; offset < 6_MiB; offset += 64_KiB)
    things.push_back(put(offset, 4_KiB));
  EXPECT_EQ(space_->report().large_pages, 0U);
  const std::uint64_t mappings = space_->report().mappings;
  StepReport step = space_->promote({.pages = 1});
  EXPECT_EQ(step.promoted, 1U);
  EXPECT_FALSE(step.finished);
  step = space_->promote({});
  EXPECT_EQ(step.promoted, 1U);
  EXPECT_TRUE(step.finished);
  const PagedSpaceReport report = space_->report();
  EXPECT_EQ(report.large_pages, 2U);
  EXPECT_EQ(report.small_pages, 32U);
  EXPECT_LT(report.mappings, mappings);
  EXPECT_TRUE(all_intact(things));
  EXPECT_EQ(physical(), 6_MiB);
  std::printf("  %llu mappings of 64 KiB pages became %llu\n", (unsigned long long)mappings,
              (unsigned long long)report.mappings);
}

}  // namespace
}  // namespace vaspace::test
