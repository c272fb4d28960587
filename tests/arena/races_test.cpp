// T1: threads that want the same thing at the same moment.
#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <vector>

#include "support/arena_fixture.hpp"
#include "support/arena_scale.hpp"
#include "support/gate_backend.hpp"

namespace vaspace::test {
namespace {

constexpr int kThreads = 4;

class Races : public testing::TestWithParam<Subject> {};
std::vector<Subject> subjects_of_races() {
  return {kSubjects[1], kSubjects[3]};
}
INSTANTIATE_TEST_SUITE_P(, Races, testing::ValuesIn(subjects_of_races()), name_of_subject);

template <class Work>
void together(Work&& work) {
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&work, t] { work(t); });
  for (std::thread& thread : threads)
    thread.join();
}

// R6, T1: of many that free the same, one does; the others are told.
TEST_P(Races, R6_T1_OneOfManyFreesOfTheSameSucceeds) {
  Stage stage(GetParam(), device_named("AddressPages"));
  ASSERT_TRUE(stage.open());
  const int rounds = scaled(2000);
  Allocation target;
  std::array<std::atomic<int>, 3> outcomes{};  // freed, told, anything else
  const auto prepare = [&]() noexcept {
    const auto allocation = stage.va().allocate({100_B, {}, {}, 0});
    target = allocation ? *allocation : Allocation{};
  };
  prepare();
  std::barrier barrier(kThreads, prepare);
  together([&](int t) {
    for (int i = 0; i < rounds; ++i) {
      const Result<void> freed =
          (t + i) % 2 == 0 ? stage.va().try_free(target) : stage.va().try_free(target.address);
      const bool told = !freed && (freed.error().code == ErrorCode::unknown_address ||
                                   freed.error().code == ErrorCode::stale_handle);
      ++outcomes[freed ? 0 : told ? 1 : 2];
      barrier.arrive_and_wait();
    }
  });
  stage.va().free(target);
  EXPECT_EQ(outcomes[0], rounds);
  EXPECT_EQ(outcomes[1], rounds * (kThreads - 1));
  EXPECT_EQ(outcomes[2], 0);
  EXPECT_EQ(stage.va().live(), Bytes{});
  EXPECT_STREQ(stage.va().validate(), nullptr);
}

// Every allocation takes a reservation of its own, while another thread gives back what is empty.
TEST_P(Races, R1_T1_ThreadsOpenReservationsTogether) {
  static constexpr SizeClass kNarrow[] = {{4_KiB, 64_KiB, Strategy::slab}, {64_KiB, 64_KiB}, {kMaxBytes, {}}};
  for (const char* name : {"Address", "AddressPages", "AddressCommits"}) {
    Stage stage(GetParam(), device_named(name), {.arena = {.classes = kNarrow}});
    ASSERT_TRUE(stage.open());
    std::array<std::vector<Allocation>, kThreads> made;
    std::atomic<int> refused{0};
    std::atomic<bool> done{false};
    std::thread collector([&] {
      while (!done) {
        stage.va().collect();
        std::this_thread::yield();
      }
    });
    together([&](int t) {
      auto& mine = made[static_cast<std::size_t>(t)];
      for (int i = 0; i < scaled(400); ++i) {
        // Every tenth stands alone.
        const Alignment alignment{i % 10 == 0 ? 1ULL << 27U : 1};
        const auto allocation = stage.va().allocate({64_KiB, alignment, {}, 0});
        if (!allocation) {
          ++refused;
          continue;
        }
        mine.push_back(*allocation);
        if (i % 3 == 2) {
          stage.va().free(mine.front().address);
          mine.erase(mine.begin());
        }
      }
    });
    done = true;
    collector.join();
    std::vector<Allocation> all;
    for (const auto& mine : made)
      all.insert(all.end(), mine.begin(), mine.end());
    std::sort(all.begin(), all.end(),
              [](const Allocation& a, const Allocation& b) { return a.address < b.address; });
    for (std::size_t i = 1; i < all.size(); ++i)
      ASSERT_LE(all[i - 1].end(), all[i].address) << "R1";
    EXPECT_EQ(stage.va().validate(), nullptr);
    EXPECT_EQ(stage.va().report().total.live_allocations, all.size());
    if (GetParam().arena) {
      EXPECT_EQ(refused, 0) << name;
    }
    for (const Allocation& allocation : all)
      stage.va().free(allocation);
    stage.va().flush();
    if (GetParam().arena) {
      EXPECT_EQ(stage.va().reserved(), Bytes{});
    }
    stage.close();
    EXPECT_EQ(stage.left(), "");
  }
}

// T1 to the end: a device that is too small for all, so that threads run into refusals, flushes and waits.
TEST_P(Races, R7_T1_ThreadsOnADeviceTooSmallForThem) {
  Stage stage(GetParam(), device_named("Cpu64KiB").of_size(16_MiB), {.arena = {.retain = 256_KiB}});
  ASSERT_TRUE(stage.open());
  std::atomic<int> damaged{0}, odd{0}, served{0};
  together([&](int t) {
    std::mt19937_64 random(static_cast<std::uint64_t>(t) + 1);
    std::vector<Allocation> mine;
    for (int i = 0; i < scaled(200); ++i) {
      const Bytes size{std::uint64_t{64} << (random() % 16)};
      const auto allocation = stage.va().allocate({size, {}, i % 5 == 0 ? "named" : "", 0});
      if (allocation) {
        ++served;
        write_pattern(*allocation);
        mine.push_back(*allocation);
      } else if (allocation.error().code != ErrorCode::out_of_device_memory &&
                 allocation.error().code != ErrorCode::out_of_space) {
        ++odd;
      }
      if (mine.size() > 8 || (!allocation && !mine.empty())) {
        const std::size_t which = random() % mine.size();
        if (!holds_pattern(mine[which])) ++damaged;
        stage.va().free(mine[which]);
        mine.erase(mine.begin() + static_cast<std::ptrdiff_t>(which));
      }
      if (i % 50 == 0) stage.va().collect();
    }
    for (const Allocation& allocation : mine) {
      if (!holds_pattern(allocation)) ++damaged;
      stage.va().free(allocation);
    }
  });
  EXPECT_EQ(damaged, 0);
  EXPECT_EQ(odd, 0);
  EXPECT_GT(served, 0);
  EXPECT_EQ(stage.va().live(), Bytes{});
  EXPECT_EQ(stage.va().validate(), nullptr);
  stage.va().flush();
  EXPECT_EQ(stage.va().committed(), Bytes{});
  stage.close();
  EXPECT_EQ(stage.left(), "");
}

// R7, T2: whoever waits for a page whose unbind is then refused gets it as it is, still bound.
TEST_P(Races, R7_T2_APageWhoseUnbindIsRefusedIsUsedByWhoWaited) {
  const auto device = device_named("Cpu64KiB").open();
  GateBackend gate(*device);
  auto made = GetParam().make(gate, {.retain = {}, .retain_percent = 0});
  ASSERT_TRUE(made);
  Va& va = **made;
  const auto first = va.allocate({64_KiB, {}, {}, 0});
  const auto second = va.allocate({64_KiB, {}, {}, 0});
  ASSERT_TRUE(first && second);
  va.free(*second);
  // Refused together; then, page by page, it is let through: two holds.
  gate.hold_next_bind_of(second->address);
  std::thread collector([&] { va.collect(); });
  gate.wait_until_held();
  std::optional<Result<Allocation>> outcome;
  std::thread waiter([&] { outcome.emplace(va.allocate({64_KiB, {}, {}, 0})); });
  while (va.report().total.under_way != 1)
    std::this_thread::yield();
  gate.open_with({ErrorCode::driver_error, -8});
  collector.join();
  waiter.join();
  ASSERT_TRUE(outcome && *outcome);
  EXPECT_EQ((*outcome)->address, second->address);
  write_pattern(**outcome);
  EXPECT_TRUE(holds_pattern(**outcome));
  EXPECT_EQ(va.validate(), nullptr);
  va.free(**outcome);
  va.free(*first);
  va.flush();
  EXPECT_EQ(va.committed(), Bytes{});
}

// T1: one asks why, for which it allocates and gives back all that is unused, while others go on.
TEST_P(Races, T1_OneExplainsWhileOthersAllocate) {
  Stage stage(GetParam(), device_named("AddressPages"));
  ASSERT_TRUE(stage.open());
  std::atomic<int> wrong{0};
  together([&](int t) {
    std::mt19937_64 random(static_cast<std::uint64_t>(t));
    for (int i = 0; i < scaled(t == 0 ? 60 : 3000); ++i) {
      const AllocationRequest request{Bytes{1 + random() % (t == 0 ? 400_MiB : 200_KiB).value}, {}, {}, 0};
      if (t == 0) {
        const auto shortfall = stage.va().explain(request);
        if (!shortfall || shortfall->fits != (shortfall->largest == request.size)) ++wrong;
        continue;
      }
      const auto allocation = stage.va().allocate(request);
      if (allocation) stage.va().free(*allocation);
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(stage.va().live(), Bytes{});
  EXPECT_STREQ(stage.va().validate(), nullptr);
}

}  // namespace
}  // namespace vaspace::test
