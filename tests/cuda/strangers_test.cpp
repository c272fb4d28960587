// Freeing where nothing was allocated: a free is not refused for what it would need (R7), and asks nobody.
#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

class Strangers : public StreamTest {
 protected:
  void start_small(std::uint32_t pools, TestHost* host = nullptr, cuda::MemoryKind kind = {}) {
    cuda::StreamConfig config;
    config.max_pools = pools;
    config.kind = kind;
    if (host != nullptr) config.host = host->allocator();
    start_streams("small_memory", config);
  }
  void free_without_a_call(Address block, cuda::Stream on) {
    const std::uint64_t calls = cuda_calls();
    EXPECT_EQ(code_of(streams_->free(block, on)), "ok");
    EXPECT_EQ(cuda_calls(), calls) << "a free never calls the driver";
  }
  void expect_all_gone() {
    streams_->trim(true);
    EXPECT_EQ(streams_->report().waiting, Bytes{});
    EXPECT_EQ(streams_->report().physical, Bytes{});
    EXPECT_EQ(streams_->validate(), nullptr);
  }
};

TEST_F(Strangers, R7_MemoryOfATagIsFreedWhereItIsTheOnlyPool) {
  start_small(1);
  const Address block = allocate(4_MiB, a_, 1);
  free_without_a_call(block, a_);
  EXPECT_EQ(code_of(streams_->free(block, a_)), "unknown_address");
  EXPECT_EQ(allocate(4_MiB, a_, 1), block);
  free_without_a_call(block, a_);
  expect_all_gone();
}

// The stream gets no pool, and is asked or waited for itself.
TEST_F(Strangers, C13_R7_MemoryIsFreedOnAStreamThatGetsNoPool) {
  start_small(1);
  const Address block = allocate(4_MiB, a_);
  DRIVER(vasim_cuda_hold_streams)(1);
  work_on(block, 4_MiB, b_);
  free_without_a_call(block, b_);
  EXPECT_EQ(code_of(streams_->free(block, b_)), "unknown_address");
  EXPECT_EQ(streams_->report().waiting, 4_MiB);
  streams_->trim();
  EXPECT_EQ(streams_->report().waiting, 4_MiB) << "b is not idle";
  DRIVER(vasim_cuda_hold_streams)(0);
  expect_all_gone();
  EXPECT_EQ(streams_->report().pools, 1U);
}

TEST_F(Strangers, R7_AFreeAsksForNoHostMemory) {
  TestHost host;
  start_small(8, &host);
  const Address block = allocate(4_MiB, a_);
  const std::int64_t asked = host.requests();
  free_without_a_call(block, b_);
  EXPECT_EQ(host.requests(), asked);
  EXPECT_EQ(allocate(4_MiB, b_), block) << "freed on b, in b's order";
  free_without_a_call(block, a_);
  expect_all_gone();
  streams_.reset();
  EXPECT_EQ(host.bytes(), 0);
}

// A released stream's pool is not taken over by a free: the stream is not made to wait for another.
TEST_F(Strangers, C13_R7_AFreeTakesNoPoolOver) {
  start_small(2);
  const Address kept = allocate(4_MiB, a_);
  const Address block = allocate(4_MiB, b_);
  DRIVER(vasim_cuda_hold_streams)(1);
  work_on(kept, 4_MiB, a_);
  ASSERT_EQ(code_of(streams_->release_stream(a_)), "ok");
  const cuda::Stream third = stream();
  free_without_a_call(block, third);
  streams_->trim();
  EXPECT_EQ(cuda_calls("cuStreamWaitEvent"), 0U);
  DRIVER(vasim_cuda_hold_streams)(0);
  EXPECT_EQ(code_of(streams_->free(kept, b_)), "ok");
  expect_all_gone();
}

TEST_F(Strangers, C13_AStreamIsReleasedWithWhatWasFreedOnIt) {
  start_small(1);
  const Address block = allocate(4_MiB, a_);
  work_on(block, 4_MiB, b_);
  free_without_a_call(block, b_);
  ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuStreamSynchronize", 1, 1, CUDA_ERROR_UNKNOWN), 0);
  EXPECT_EQ(code_of(streams_->release_stream(b_)), "driver_error");
  EXPECT_EQ(streams_->report().waiting, 4_MiB);
  EXPECT_EQ(code_of(streams_->release_stream(b_)), "ok");
  EXPECT_EQ(streams_->report().waiting, Bytes{});
  EXPECT_EQ(code_of(streams_->free(block, b_)), "wrong_state");
  EXPECT_EQ(code_of(streams_->release_stream(b_)), "wrong_state");
  expect_all_gone();
}

TEST_F(Strangers, R7_PinnedMemoryIsFreedOnAStreamThatGetsNoPool) {
  start_small(1, nullptr, cuda::MemoryKind::pinned);
  const Address block = allocate(1_MiB, a_);
  free_without_a_call(block, b_);
  expect_all_gone();
}

// Work of another device's stream is ordered by no event of this one's.
TEST_F(Strangers, C13_AStreamOfAnotherDeviceGetsNoMemoryAndIsWaitedForItself) {
  start_streams("two_devices");
  cuda::BackendConfig config = cuda_config();
  config.device = 1;
  auto second = cuda::Backend::create(config);
  ASSERT_TRUE(second);
  const auto theirs = (*second)->make_stream();
  ASSERT_TRUE(theirs);
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, *theirs)), "invalid_argument");
  EXPECT_EQ(streams_->allocate(1_KiB, *theirs).error().native, CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(code_of(streams_->add_stream(*theirs)), "invalid_argument");
  const Address block = allocate(4_MiB, a_);
  EXPECT_EQ(streams_->report().pools, 1U);
  free_without_a_call(block, *theirs);
  expect_all_gone();
  // Recorded on it, and on one of this device's, and freed at home: both are behind.
  for (const bool also_here : {false, true}) {
    const Address shared = allocate(4_MiB, a_);
    const Reservation there = *(*second)->reserve({2_MiB, {}, {}, 0});
    PhysicalId page;
    ASSERT_TRUE((*second)->create_physical({2_MiB, 0, {}}, {&page, 1}));
    const BindOp op{.address = there.address, .size = 2_MiB, .physical = page};
    ASSERT_TRUE((*second)->bind({&op, 1}, {}));
    if (also_here) {
      ASSERT_EQ(code_of(streams_->record_stream(shared, b_)), "ok");
    }
    ASSERT_EQ(code_of(streams_->record_stream(shared, *theirs)), "ok");
    ASSERT_EQ(code_of(streams_->record_stream(shared, *theirs)), "ok");
    DRIVER(vasim_cuda_hold_streams)(1);
    EXPECT_TRUE((*second)->fill(there.address, std::byte{1}, 2_MiB, *theirs));
    free_without_a_call(shared, a_);
    streams_->trim();
    EXPECT_EQ(streams_->report().waiting, 4_MiB);
    EXPECT_NE(allocate(4_MiB, a_), shared) << "their stream has not passed";
    DRIVER(vasim_cuda_hold_streams)(0);
    streams_->trim(true);
    EXPECT_EQ(streams_->report().waiting, Bytes{});
    EXPECT_EQ(streams_->validate(), nullptr);
    ASSERT_TRUE((*second)->wait_idle());
  }
  EXPECT_NE(allocate(1_KiB, nullptr), Address{}) << "the device's own default stream";
  EXPECT_EQ(code_of((*second)->destroy_stream(*theirs)), "ok");
}

}  // namespace
}  // namespace vaspace::test
