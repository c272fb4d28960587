// What a step of compaction may take, and what it leaves where the driver, the host or an owner refuses. R7,
// T3.
#include <functional>
#include <optional>

#include "compaction_fixture.hpp"

namespace vaspace::test {
namespace {

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
// Moves the clock while a page is copied, and while something is bound or destroyed.
class SlowCopies final : public ForwardingBackend {
 public:
  SlowCopies(Backend& next, FakeClock& clock) : ForwardingBackend(next), clock_(clock) {}
  Result<TimelinePoint> copy(std::span<const CopyOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    clock_.now += 100;
    return next().copy(ops, waits);
  }
  Result<TimelinePoint> bind(std::span<const BindOp> ops,
                             std::span<const TimelinePoint> waits) noexcept override {
    clock_.now += per_bind;
    return next().bind(ops, waits);
  }
  Result<void> destroy_physical(std::span<const PhysicalId> objects) noexcept override {
    clock_.now += per_bind * objects.size();
    return next().destroy_physical(objects);
  }
  std::uint64_t per_bind = 0;

 private:
  FakeClock& clock_;
};

TEST_F(Compaction, AStepExceedsItsTimeByOnePageCopyAtMost) {
  open({.size = 16_MiB});
  FakeClock clock;
  SlowCopies slow(*faulty_, clock);
  open_over(slow, {.size = 16_MiB});
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

// The device is full, and a great many empty pages are retained: for a page that it copies a step gives back
// what the page lacks, and not all of them.
TEST_F(Compaction, AStepOnAFullDeviceGivesBackWhatItLacks) {
  constexpr std::uint64_t kEmpty = 160;
  open({.size = 32_MiB, .large_first = false}, {.physical_size = kLarge * 2 + kSmall * kEmpty});
  FakeClock clock;
  SlowCopies slow(*faulty_, clock);
  open_over(slow, {.size = 32_MiB, .retain = kMaxBytes, .large_first = false});
  const Thing a = put(0_B, kLarge), b = put(kLarge, kLarge);  // whole blocks: large pages
  for (std::uint64_t i = 0; i < kEmpty; ++i)
    drop(put(kLarge * 2 + kSmall * (i + i / 16), kSmall));
  ASSERT_EQ(physical(), kLarge * 2 + kSmall * kEmpty);
  ASSERT_EQ(space_->report().large_pages, 2U);
  for (const Thing& one : {a, b})
    ASSERT_TRUE(space_->release(one.address + kSmall * 3, kLarge - kSmall * 3));
  slow.per_bind = 10;
  std::uint64_t copied = 0;
  for (bool finished = false; !finished;) {
    const std::uint64_t begin = clock.now;
    const StepReport step = space_->compact({.time_ns = 350, .clock = clock.clock()});
    // A page: guarded, staged, copied, unstaged, bound, and one given back in two calls.
    EXPECT_LT(clock.now - begin, 350U + 100U + 80U);
    EXPECT_EQ(step.refused, 0U);
    copied += step.demoted;
    finished = step.finished;
  }
  EXPECT_EQ(copied, 6U);
  EXPECT_GE(space_->report().empty, kSmall * (kEmpty - 6));
  space_.reset();
}

// Who looks for guarded pages looks at the clock too, and goes on where it stopped.
TEST_F(Compaction, LookingForGuardedPagesIsWithinTheTimeOfAStep_R7) {
  open({.size = 64_MiB});
  const Thing moving = put(62_MiB, 8_KiB);
  faulty_->fail_at(Call::bind, 2, {ErrorCode::driver_error, 5}, true);
  EXPECT_EQ(space_->compact({.pages = 1}).refused, 1U);
  faulty_->stop_failing();
  ASSERT_EQ(space_->report().guarded, 1U);
  (void)space_->compact({.pages = 0});
  FakeClock clock{.tick = 10};
  int steps = 0;
  for (; space_->report().guarded != 0; ++steps) {
    ASSERT_LT(steps, 100);
    clock.looks = 0;
    (void)space_->compact({.time_ns = 45, .clock = clock.clock()});
    EXPECT_LE(clock.looks, 8U);
  }
  EXPECT_GT(steps, 5);
  moving.words()[0] = moving.words()[0];
  EXPECT_TRUE(moving.intact());
}

using CompactionDeathTest = Compaction;

TEST_F(CompactionDeathTest, AWriteThatShouldNotComeFaultsInsteadOfBeingLost) {
  open({});
  CopyHook hook(*faulty_);
  open_over(hook, {.size = 4_MiB});
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

// A page that is guarded still is not begun anew: its writers are paused already.
TEST_F(Compaction, AGuardedPageIsNotPausedTwice_R7) {
  Pins pins;
  open({.size = 8_MiB, .pause = pins.pause()});
  const Thing moving = put(Bytes{}, 8_KiB);
  faulty_->fail_at(Call::bind, 2, {ErrorCode::driver_error, 5}, true);
  for (int step = 0; step < 6; ++step) {
    (void)space_->compact({.pages = 1});
    EXPECT_LE(pins.paused, 1) << step;
  }
  faulty_->stop_failing();
  while (!space_->compact({}).finished) {
  }
  (void)compact_all();
  EXPECT_EQ(pins.paused, 0);
  EXPECT_TRUE(moving.intact());
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

// A page moves in with two others; one of them is freed, and given back, while that goes on. It could not be
// taken then, and is found afterwards.
TEST_F(Compaction, AMemberThatIsFreedWhileAnotherMovesInGoesLater) {
  open({.size = 4_MiB, .large_page = kSmall});
  CopyHook hook(*faulty_);
  open_over(hook, {.size = 4_MiB, .large_page = kSmall});
  std::vector<Thing> things;
  for (std::uint64_t page = 0; page < 3; ++page)
    things.push_back(put(kSmall * page + 16_KiB * page, 16_KiB));
  const auto page_of = [&](Address address) { return (address - space_->begin()) / kSmall; };
  int copies = 0;
  std::optional<std::uint64_t> freed;
  hook.on_copy = [&](const CopyOp& op) {
    if (++copies != 2) return;
    for (const Thing& one : things) {
      if (page_of(one.address) == page_of(op.source) || page_of(one.address) == page_of(op.destination))
        continue;
      drop(one);
      (void)space_->trim(0_B);
      freed = page_of(one.address);
      EXPECT_TRUE(space_->behind(one.address).bound) << "its memory is just being written";
    }
  };
  EXPECT_EQ(compact_all().meshed, 2U);
  ASSERT_TRUE(freed);
  (void)space_->trim(0_B);
  EXPECT_FALSE(space_->behind(at(kSmall * *freed)).bound);
  EXPECT_EQ(physical(), kSmall);
  space_.reset();
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

}  // namespace
}  // namespace vaspace::test
