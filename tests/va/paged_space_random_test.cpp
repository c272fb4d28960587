// Random acquires, releases, steps of compaction and promotion, trims and refusals, against an array of cells
// and the bytes that were written. R1, R7.
#include <cstdlib>

#include "paged_fixture.hpp"

namespace vaspace::test {
namespace {

class PagedSpaceRandom : public PagedTest {
 protected:
  static constexpr Bytes kSize = 8_MiB;
  static constexpr Bytes kCell = 4_KiB;  // what this test counts in

  void step(TestRandom& random) {
    const bool refusing = random.below(12) == 0;
    if (refusing) {
      const auto nth = static_cast<std::int64_t>(1 + random.below(6));
      const bool forever = random.below(3) == 0;
      const ErrorCode code = random.below(2) == 0 ? ErrorCode::driver_error : ErrorCode::out_of_device_memory;
      faulty_->fail_any_at(nth, {code, 1}, forever);
    }
    act(random, refusing);
    faulty_->stop_failing();
  }

  void act(TestRandom& random, bool refusing) {
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return acquire(random, refusing);
      case 4:
      case 5:
      case 6:
        return release(random);
      case 7:
        (void)space_->collect();
        return;
      case 8:
        (void)space_->trim(64_KiB * random.below(40));
        return;
      case 9:
        (void)space_->promote({.pages = 1});
        return;
      default:
        (void)space_->compact({.pages = 1 + random.below(40)});
        return;
    }
  }

  void acquire(TestRandom& random, bool refusing) {
    const std::uint64_t cells = kSize / kCell;
    const std::uint64_t begin = random.below(cells);
    const std::uint64_t most = random.below(8) == 0 ? 600 : 24;
    const std::uint64_t count = 1 + random.below(std::min(most, cells - begin));
    bool taken = false;
    for (std::uint64_t i = begin; i < begin + count; ++i)
      taken = taken || live_[i];
    const Thing made = thing(kCell * begin, kCell * count);
    const Result<void> acquired = space_->acquire(made.address, made.size);
    if (!acquired) {
      ASSERT_TRUE(taken || refusing) << to_string(acquired.error().code);
      ASSERT_TRUE(refusing || acquired.error().code == ErrorCode::wrong_state);
      return;
    }
    ASSERT_FALSE(taken);
    made.fill();
    things_.push_back(made);
    set(made, true);
  }

  void release(TestRandom& random) {
    if (things_.empty()) return;
    std::swap(things_[random.below(things_.size())], things_.back());
    const Thing gone = things_.back();
    things_.pop_back();
    ASSERT_TRUE(gone.intact());
    ASSERT_TRUE(space_->release(gone.address, gone.size)) << "it never fails";
    set(gone, false);
  }

  void set(const Thing& what, bool live) {
    const std::uint64_t begin = (what.address - space_->begin()) / kCell;
    for (std::uint64_t i = begin; i < begin + what.size / kCell; ++i)
      live_[i] = live;
  }

  void run(const cpu::BackendConfig& device, std::uint64_t seed) {
    open({.size = kSize, .large_first = seed % 2 == 0, .promote_percent = 60}, device);
    things_.clear();
    live_.assign(kSize / kCell, false);
    TestRandom random(seed);
    for (int n = 0; n < 600 && !HasFatalFailure(); ++n) {
      step(random);
      if (n % 20 != 0) continue;
      ASSERT_TRUE(all_intact(things_)) << seed << " " << n;
      ASSERT_STREQ(space_->validate(), nullptr) << seed << " " << n;
      ASSERT_EQ(space_->report().live, bytes_of(things_));
    }
    // With nothing in the way any more, everything can be reached that always can.
    while (!space_->compact({}).finished) {
    }
    (void)space_->trim(Bytes{});
    ASSERT_EQ(space_->report().guarded, 0U);
    ASSERT_LE(physical(), space_->can_demote() ? space_->floor(kSmall) + kLarge * 4 : space_->floor(kLarge));
    ASSERT_TRUE(all_intact(things_)) << seed;
    for (const Thing& t : things_)
      drop(t);
    (void)space_->trim(Bytes{});
    ASSERT_EQ(physical(), Bytes{});
    ASSERT_STREQ(space_->validate(), nullptr);
  }

  std::vector<Thing> things_;
  std::vector<bool> live_;
};

TEST_F(PagedSpaceRandom, KeepsEveryByteWhateverIsRefused_R1_R7) {
  const char* wanted = std::getenv("VASPACE_RANDOM_SEEDS");
  const std::uint64_t seeds = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 12;
  for (std::uint64_t seed = 1; seed <= seeds && !HasFatalFailure(); ++seed) {
    cpu::BackendConfig device;
    device.aliasing = seed % 3 != 0;
    device.replace = seed % 4 != 0;
    device.partial_unbind = seed % 5 != 0;
    run(device, seed);
  }
}

}  // namespace
}  // namespace vaspace::test
