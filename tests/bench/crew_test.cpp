#include "bench/crew.hpp"

#include <gtest/gtest.h>

#include "bench/handover.hpp"

namespace vaspace::tools::bench {
namespace {

TEST(Crew, MeetsBeforeAnyoneGoesOn) {
  constexpr unsigned kThreads = 3, kTurns = 200;
  Barrier barrier(kThreads);
  std::vector<std::atomic<unsigned>> turns(kThreads);
  std::atomic<unsigned> ahead{0};
  run_crew(kThreads, [&](unsigned i) {
    for (unsigned turn = 0; turn < kTurns; ++turn) {
      ++turns[i];
      barrier.meet();
      for (const std::atomic<unsigned>& other : turns)
        ahead += other < turn + 1 ? 1 : 0;
      barrier.meet();
    }
  });
  EXPECT_EQ(ahead, 0U);
  for (const std::atomic<unsigned>& turn : turns)
    EXPECT_EQ(turn, kTurns);
}

TEST(Handover, KeepsOrderAndLosesNothing) {
  constexpr std::uint64_t kCount = 20 * Handover<std::uint64_t>::kCapacity;
  Handover<std::uint64_t> queue;
  std::uint64_t wrong = 0;
  run_crew(2, [&](unsigned i) {
    for (std::uint64_t n = 0; n < kCount; ++n) {
      if (i == 0) {
        queue.push(n);
      } else {
        wrong += queue.pop() != n ? 1 : 0;
      }
    }
  });
  EXPECT_EQ(wrong, 0U);
}

TEST(Pinned, GivesTheProcessorsBack) {
  const std::vector<int> before = allowed_processors();
  if (before.empty()) GTEST_SKIP() << "the system does not say where this may run";
  {
    const Pinned pinned;
    const std::vector<int> expected = pinned.processor() >= 0 ? std::vector<int>{before.front()} : before;
    EXPECT_EQ(allowed_processors(), expected);
  }
  EXPECT_EQ(allowed_processors(), before);
}

}  // namespace
}  // namespace vaspace::tools::bench
