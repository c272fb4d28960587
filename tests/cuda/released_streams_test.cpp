// Streams that come and go: what one leaves is the next one's.
#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

class ReleasedStreams : public StreamTest {
 protected:
  // What a stream of a short life does.
  void live_and_go(cuda::Stream on, Bytes size, bool works = true) {
    const Address block = allocate(size, on);
    if (works) work_on(block, 256_B, on);
    ASSERT_EQ(code_of(streams_->free(block, on)), "ok");
    ASSERT_EQ(code_of(streams_->release_stream(on)), "ok");
  }
  // Of four pools, whatever the streams were: a pool's memory, and events of what may not have passed.
  void expect_little() {
    EXPECT_LE(streams_->report().pools, 4U);
    EXPECT_LE(streams_->report().physical, 4 * 6_MiB);
    EXPECT_LE(cuda_live(VASIM_CUDA_HANDLES), 12U);
    EXPECT_LE(cuda_live(VASIM_CUDA_MAPPINGS), 12U);
    EXPECT_LE(cuda_live(VASIM_CUDA_RESERVATIONS), 8U);
    EXPECT_LE(cuda_live(VASIM_CUDA_EVENTS), 100U);
  }
};

// The simulated driver remembers every stream that it made, so most of these come from a few that take turns:
// the allocator is told each time that the number is a new stream's.
TEST_F(ReleasedStreams, C15_AHundredThousandStreamsLeaveAFewPoolsAndTheirMemory) {
  cuda::StreamConfig config;
  config.max_pools = 4;
  start_streams("small_memory", config, "delay_us=0");
  ASSERT_NO_FATAL_FAILURE(live_and_go(b_, 3_MiB));
  std::vector<cuda::Stream> turns;
  for (int i = 0; i < 32; ++i)
    turns.push_back(stream());
  for (int i = 0; i < cuda_cycles(100'000); ++i) {
    const cuda::Stream on = turns[static_cast<std::size_t>(i * 7) % turns.size()];
    ASSERT_EQ(code_of(streams_->add_stream(on)), "ok") << i;
    ASSERT_NO_FATAL_FAILURE(live_and_go(on, i % 2 == 0 ? 3_MiB : 1_KiB, i % 64 == 0)) << i;
    if (i % 64 == 0) {
      ASSERT_TRUE(backend_->wait_idle()) << "as a program does now and then";
    }
  }
  expect_little();
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(ReleasedStreams, C15_StreamsThatTheDriverMakesAndDestroysLeaveAFewPools) {
  cuda::StreamConfig config;
  config.max_pools = 4;
  start_streams("small_memory", config, "delay_us=0");
  for (int i = 0; i < cuda_cycles(1'000); ++i) {
    const auto made = backend_->make_stream();
    ASSERT_TRUE(made);
    ASSERT_EQ(code_of(streams_->add_stream(*made)), "ok") << i;
    ASSERT_NO_FATAL_FAILURE(live_and_go(*made, i % 2 == 0 ? 3_MiB : 1_KiB)) << i;
    ASSERT_EQ(code_of(backend_->destroy_stream(*made)), "ok");
    if (i % 16 == 0) {
      ASSERT_TRUE(backend_->wait_idle());
    }
  }
  expect_little();
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(ReleasedStreams, C13_ThePoolOfAStreamThatHasNotPassedIsLeftAlone) {
  start_streams("small_memory");
  const Address block = allocate(4_MiB, a_);
  DRIVER(vasim_cuda_hold_streams)(1);
  work_on(block, 4_MiB, a_);
  ASSERT_EQ(code_of(streams_->free(block, a_)), "ok");
  ASSERT_EQ(code_of(streams_->release_stream(a_)), "ok");
  EXPECT_NE(allocate(4_MiB, b_), block) << "another pool";
  EXPECT_EQ(streams_->report().pools, 2U);
  EXPECT_EQ(cuda_calls("cuStreamWaitEvent"), 0U);
  DRIVER(vasim_cuda_hold_streams)(0);
  ASSERT_TRUE(backend_->wait_for(a_));
  EXPECT_EQ(allocate(4_MiB, stream()), block) << "the released one's";
  EXPECT_EQ(streams_->report().pools, 2U);
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(ReleasedStreams, C13_WhereThereIsNoOtherPoolTheNewStreamBeginsBehindTheOld) {
  cuda::StreamConfig config;
  config.max_pools = 2;
  start_streams("small_memory", config);
  const Address own = allocate(4_MiB, a_);
  const Address others = allocate(4_MiB, b_);
  work_on(own, 4_MiB, a_, 1);
  work_on(others, 4_MiB, a_, 1);
  const cuda::Stream third = stream();
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, third)), "out_of_space") << "as many as max_pools";
  DRIVER(vasim_cuda_hold_streams)(1);
  work_on(own, 4_MiB, a_, 2);
  ASSERT_EQ(code_of(streams_->free(own, a_)), "ok");
  ASSERT_EQ(code_of(streams_->free(others, a_)), "ok");
  ASSERT_EQ(code_of(streams_->release_stream(a_)), "ok");
  ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuStreamWaitEvent", 1, 1, CUDA_ERROR_UNKNOWN), 0);
  EXPECT_EQ(code_of(streams_->allocate(4_MiB, third)), "driver_error");
  DRIVER(vasim_cuda_clear_failures)();
  const Address again = allocate(4_MiB, third);
  EXPECT_TRUE(again == own || again == others);
  EXPECT_GE(cuda_calls("cuStreamWaitEvent"), 1U);
  work_on(again, 4_MiB, third, 9);
  DRIVER(vasim_cuda_hold_streams)(0);
  EXPECT_EQ(read(again), 9) << "the old stream's work is in front";
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "wrong_state");
  EXPECT_EQ(streams_->allocate(1_KiB, a_).error().native, CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(code_of(streams_->free(again, a_)), "wrong_state");
  EXPECT_EQ(code_of(streams_->release_stream(a_)), "wrong_state");
  EXPECT_EQ(code_of(streams_->add_stream(a_)), "out_of_space") << "its pool is another's by now";
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "wrong_state") << "it is as before";
  ASSERT_EQ(code_of(streams_->free(again, third)), "ok");
  ASSERT_EQ(code_of(streams_->release_stream(third)), "ok");
  EXPECT_EQ(code_of(streams_->add_stream(a_)), "ok");
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

// What is still live when its stream goes belongs to whoever has the pool then, and is freed by anybody.
TEST_F(ReleasedStreams, WhatIsLiveOutlivesItsStreamAndTheNext) {
  start_streams("small_memory");
  const Address kept = allocate(4_MiB, a_);
  work_on(kept, 4_MiB, a_, 7);
  ASSERT_EQ(code_of(streams_->release_stream(a_)), "ok");
  ASSERT_TRUE(backend_->wait_for(a_));
  const Address other = allocate(2_MiB, b_);
  EXPECT_EQ(streams_->report().pools, 1U);
  EXPECT_EQ(read(kept), 7);
  EXPECT_EQ(streams_->size_of(kept).value_or(Bytes{}), 4_MiB);
  EXPECT_EQ(code_of(streams_->free(kept, b_)), "ok");
  EXPECT_EQ(code_of(streams_->free(kept, b_)), "unknown_address");
  EXPECT_EQ(code_of(streams_->free(other, b_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

// A tag's memory is suspended as the tag is, whichever stream it was.
TEST_F(ReleasedStreams, APoolStaysWithItsTag) {
  start_streams("small_memory");
  const auto tagged = streams_->allocate({.size = 4_MiB, .tag = 3}, a_);
  ASSERT_TRUE(tagged && streams_->free(*tagged, a_));
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::discard, 3)), "ok");
  ASSERT_EQ(code_of(streams_->release_stream(a_)), "ok");
  ASSERT_TRUE(backend_->wait_for(a_));
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB}, b_)), "ok");
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 3}, b_)), "wrong_state") << "suspended";
  EXPECT_EQ(streams_->report().pools, 2U) << "a's two, of which the free made one";
  ASSERT_EQ(code_of(streams_->resume(3)), "ok");
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 3}, b_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

}  // namespace
}  // namespace vaspace::test
