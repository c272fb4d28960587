// T1: threads with a stream each, whose locks lean to them, while another takes away what they look at no
// more: their memory, or their streams.
#include <atomic>
#include <thread>
#include <vector>

#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

class SteadyThreads : public StreamTest {
 protected:
  // `work(stream)` again and again, on two threads with a stream each, until `disturb` is over.
  template <class Work, class Disturb>
  void disturb_two(Work&& work, Disturb&& disturb) {
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (const cuda::Stream on : {a_, b_}) {
      threads.emplace_back([&, on] {
        while (!over)
          work(on);
      });
    }
    disturb();
    over = true;
    for (std::thread& thread : threads)
      thread.join();
  }
  // So often that the locks lean again, where they may.
  static void let_them_go_on(const std::atomic<std::uint64_t>& calls) {
    for (const std::uint64_t from = calls; calls - from < 4000;)
      std::this_thread::yield();
  }
};

TEST_F(SteadyThreads, T1_NothingIsGivenOutWhileAllIsSuspended) {
  start_streams();
  std::atomic<std::uint64_t> moves{0};  // odd: all is suspended
  std::atomic<std::uint64_t> pairs{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<int> wrong{0};
  const auto pair = [&](cuda::Stream on) {
    const std::uint64_t before = moves;
    const auto got = streams_->allocate(1_KiB, on);
    if (got && before % 2 == 1 && moves == before) ++wrong;
    if (!got && got.error().code != ErrorCode::wrong_state) ++wrong;
    if (got && !streams_->free(*got, on)) ++wrong;
    ++(got ? pairs : refused);
  };
  disturb_two(pair, [&] {
    for (int i = 0; i < 15; ++i) {
      let_them_go_on(pairs);
      EXPECT_EQ(code_of(streams_->suspend(cuda::Suspend::discard)), "ok");
      ++moves;
      let_them_go_on(refused);
      ++moves;
      EXPECT_EQ(code_of(streams_->resume()), "ok");
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(streams_->report().live_allocations, 0U);
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(SteadyThreads, T1_NothingIsGivenOutOnAStreamThatWasReleased) {
  start_streams();
  std::atomic<std::uint64_t> moves{0};  // odd: a is released
  std::atomic<std::uint64_t> pairs{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<int> wrong{0};
  const auto pair = [&](cuda::Stream on) {
    const std::uint64_t before = moves;
    const auto got = streams_->allocate(1_KiB, on);
    if (got && on == a_ && before % 2 == 1 && moves == before) ++wrong;
    if (!got && (on != a_ || got.error().code != ErrorCode::wrong_state)) ++wrong;
    // What is live on a released stream is freed on another.
    if (got && !streams_->free(*got, on) && (on != a_ || !streams_->free(*got, b_))) ++wrong;
    ++(got ? pairs : refused);
  };
  disturb_two(pair, [&] {
    for (int i = 0; i < 15; ++i) {
      let_them_go_on(pairs);
      EXPECT_EQ(code_of(streams_->release_stream(a_)), "ok");
      ++moves;
      let_them_go_on(refused);
      ++moves;
      EXPECT_EQ(code_of(streams_->add_stream(a_)), "ok");
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(streams_->report().live_allocations, 0U);
  EXPECT_EQ(streams_->validate(), nullptr);
}

// Statistics are exact whenever they are asked for: with a block each at most.
TEST_F(SteadyThreads, T1_FiguresAreExactWhileThreadsGoOn) {
  start_streams();
  std::atomic<std::uint64_t> pairs{0};
  std::atomic<int> wrong{0};
  const auto pair = [&](cuda::Stream on) {
    const auto got = streams_->allocate(1_KiB, on);
    if (!got || !streams_->free(*got, on)) ++wrong;
    ++pairs;
  };
  disturb_two(pair, [&] {
    for (int i = 0; i < 60; ++i) {
      if (i % 10 == 0) let_them_go_on(pairs);
      const cuda::StreamReport report = streams_->report();
      EXPECT_LE(report.live_allocations, 2U);
      EXPECT_EQ(report.live, 1_KiB * report.live_allocations);
      EXPECT_LE(report.parked, 2_KiB);
      if (i % 5 == 0) streams_->trim(i % 2 == 0);
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(streams_->report().live, Bytes{});
  EXPECT_EQ(streams_->validate(), nullptr);
}

}  // namespace
}  // namespace vaspace::test
