// Calls from several threads at once (run under TSan too).
#include <atomic>
#include <random>
#include <thread>

#include "support/backend_cpu.hpp"

namespace vaspace::test {
namespace {

class CpuThreadsTest : public CpuTest {
 protected:
  static constexpr unsigned kThreads = 4;
  static constexpr std::uint64_t kPagesEach = 16;
  static constexpr int kRounds = 300;

  // One thread's life on its own part of the reservation, with reservations of its own beside it.
  void churn(unsigned thread) {
    std::mt19937 random(thread);
    const std::uint64_t first = thread * kPagesEach;
    const auto mark = static_cast<std::byte>(thread + 1);
    for (int round = 0; round < kRounds; ++round) {
      const std::uint64_t count = 1 + random() % kPagesEach;
      const std::vector<PhysicalId> ids = create(count, at(first));
      std::vector<BindOp> ops;
      for (std::uint64_t i = 0; i < count; ++i)
        ops.push_back({at(first + i), kPage, ids[i], {}});
      wait(submit(ops));
      for (std::uint64_t i = 0; i < count; ++i) {
        if (read(first + i) != std::byte{}) ++wrong_;
        write(first + i, mark);
      }
      const auto extra = backend_->reserve({kPage, {}, {}, 0});
      if (!extra || !backend_->release(*extra)) ++wrong_;
      for (std::uint64_t i = 0; i < count; ++i)
        if (read(first + i) != mark) ++wrong_;
      wait(submit({{at(first), kPage * count, {}, {}}}));
      destroy(ids);
      (void)backend_->budget(0);
      (void)backend_->measured_physical();
      (void)backend_->mappings_held();
    }
  }
  void churn_in_all_threads() {
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([this, thread] { churn(thread); });
    for (std::thread& thread : threads)
      thread.join();
    EXPECT_EQ(wrong_, 0U);
    EXPECT_EQ(backend_->budget(0)->usage, 0_B);
    EXPECT_EQ(physical_in_heap_files(), 0_B);
    EXPECT_EQ(backend_->mappings_held(), 1U);
    EXPECT_TRUE(backend_->release(reservation_));
  }

  std::atomic<unsigned> wrong_{0};
};

TEST_F(CpuThreadsTest, T1_ThreadsOnTheirOwnRangesDoNotDisturbEachOther) {
  open({}, kThreads * kPagesEach);
  churn_in_all_threads();
}

TEST_F(CpuThreadsTest, T1_NorWhereBindsAreDoneLater) {
  open({.bind_latency_ns = 10'000}, kThreads * kPagesEach);
  churn_in_all_threads();
}

TEST_F(CpuThreadsTest, T1_ReservationsThatCommitComeAndGoFromAllThreads) {
  auto backend = cpu::Backend::create({.physical_size = 16_MiB, .reserve_commits = true}).value();
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < kRounds; ++round) {
        const auto reservation =
            backend->reserve({kPage * (1 + static_cast<std::uint64_t>(round) % 4), {}, {}, 0});
        if (!reservation || *pointer(reservation->address) != std::byte{}) {
          ++wrong_;
          continue;
        }
        *pointer(reservation->address) = static_cast<std::byte>(thread + 1);
        if (*pointer(reservation->address) != static_cast<std::byte>(thread + 1)) ++wrong_;
        if (!backend->release(*reservation)) ++wrong_;
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(wrong_, 0U);
  EXPECT_EQ(backend->budget(0)->usage, 0_B);
  EXPECT_EQ(physical_in_heap_files(), 0_B);
}

}  // namespace
}  // namespace vaspace::test
