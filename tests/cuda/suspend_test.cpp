// Memory that is taken away and comes back at the same addresses.
#include <vector>

#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

class CudaSuspend : public StreamTest {
 protected:
  // Blocks of several sizes, each filled with its number.
  std::vector<std::pair<Address, Bytes>> fill_some(cuda::Stream on, cuda::Tag tag = 0) {
    std::vector<std::pair<Address, Bytes>> blocks;
    int value = 1;
    for (const Bytes size : {512_B, 64_KiB, 3_MiB, 1_KiB, 9_MiB}) {
      blocks.emplace_back(allocate(size, on, tag), size);
      work_on(blocks.back().first, size, on, value++);
    }
    return blocks;
  }
  void expect_contents(const std::vector<std::pair<Address, Bytes>>& blocks) {
    int value = 1;
    for (const auto& [address, size] : blocks) {
      EXPECT_EQ(read(address), value);
      EXPECT_EQ(read(address + size - Bytes{1}), value);
      ++value;
    }
  }
};

TEST_F(CudaSuspend, TheSameAddressesHoldTheSameBytes) {
  start_streams("small_memory");
  const auto on_a = fill_some(a_);
  const auto on_b = fill_some(b_);
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::offload)), "ok");
  EXPECT_EQ(streams_->report().physical, Bytes{});
  EXPECT_EQ(cuda_live(VASIM_CUDA_HANDLES), 0U);
  EXPECT_EQ(cuda_live(VASIM_CUDA_MAPPINGS), 0U);
  EXPECT_GT(streams_->report().suspended, 24_MiB);
  EXPECT_EQ(code_of(streams_->suspend(cuda::Suspend::offload)), "wrong_state");
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "wrong_state");
  ASSERT_EQ(code_of(streams_->resume()), "ok");
  expect_contents(on_a);
  expect_contents(on_b);
  EXPECT_EQ(streams_->report().suspended, Bytes{});
  EXPECT_EQ(code_of(streams_->resume()), "wrong_state");
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(CudaSuspend, WhatNobodyHasIsNotCopiedAndTheRestIsWaitedForOnce) {
  start_streams("small_memory");
  const Address kept = allocate(10_MiB, a_);
  work_on(kept, 10_MiB, a_, 5);
  EXPECT_EQ(code_of(streams_->free(allocate(16_MiB, a_), a_)), "ok");
  EXPECT_EQ(code_of(streams_->free(allocate(8_MiB, b_), a_)), "ok");
  const std::uint64_t copies = cuda_calls("cuMemcpyDtoHAsync");
  const std::uint64_t waits = cuda_calls("cuStreamSynchronize");
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::offload)), "ok");
  EXPECT_LE(cuda_calls("cuMemcpyDtoHAsync") - copies, 10U / 2 + 1);
  EXPECT_LE(cuda_calls("cuStreamSynchronize") - waits, 2U);
  EXPECT_LE(streams_->report().suspended, 12_MiB);
  ASSERT_EQ(code_of(streams_->resume()), "ok");
  EXPECT_LE(cuda_calls("cuStreamSynchronize") - waits, 4U);
  EXPECT_EQ(read(kept + 10_MiB - Bytes{1}), 5);
}

TEST_F(CudaSuspend, WhatIsDiscardedComesBackFresh) {
  start_streams("small_memory");
  const auto blocks = fill_some(a_);
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::discard)), "ok");
  const std::uint64_t copies = cuda_calls("cuMemcpyDtoHAsync");
  ASSERT_EQ(code_of(streams_->resume()), "ok");
  EXPECT_EQ(copies, 0U);
  for (const auto& [address, size] : blocks) {
    EXPECT_EQ(read(address), 0) << "nobody's old bytes";
    work_on(address, size, a_, 7);
    EXPECT_EQ(read(address + size - Bytes{1}), 7);
  }
}

TEST_F(CudaSuspend, ATagIsSuspendedAlone) {
  start_streams("small_memory");
  const auto weights = fill_some(a_, 1);
  const auto others = fill_some(a_);
  const Bytes all = streams_->report().physical;
  EXPECT_EQ(code_of(streams_->suspend(cuda::Suspend::offload, 5)), "wrong_state") << "no such tag";
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::offload, 1)), "ok");
  EXPECT_LT(streams_->report().physical, all);
  expect_contents(others);
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 1}, a_)), "wrong_state");
  // The memory is others' meanwhile.
  const Address more = allocate(16_MiB, a_);
  work_on(more, 16_MiB, a_, 99);
  EXPECT_EQ(code_of(streams_->resume(1)), "ok");
  expect_contents(weights);
  EXPECT_EQ(code_of(streams_->free(more, a_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(CudaSuspend, FreeingWhileSuspendedIsLegal) {
  start_streams("small_memory");
  auto blocks = fill_some(a_);
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::offload)), "ok");
  const std::uint64_t calls = cuda_calls();
  EXPECT_EQ(code_of(streams_->free(blocks[4].first, a_)), "ok");
  EXPECT_EQ(code_of(streams_->free(blocks[2].first, b_)), "ok") << "on another stream too";
  EXPECT_EQ(code_of(streams_->free(blocks[4].first, a_)), "unknown_address");
  EXPECT_EQ(cuda_calls(), calls);
  const Bytes suspended = streams_->report().suspended;
  ASSERT_EQ(code_of(streams_->resume()), "ok");
  EXPECT_LT(streams_->report().physical, suspended) << "what was freed needs no memory";
  EXPECT_EQ(read(blocks[0].first), 1);
  EXPECT_EQ(read(blocks[3].first), 4);
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(CudaSuspend, ResumingWaitsForNobodyAndIsRefusedWhereTheMemoryIsGone) {
  start_streams("small_memory");
  const auto blocks = fill_some(a_);
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::offload)), "ok");
  ASSERT_EQ(DRIVER(vasim_cuda_take_memory)(0, (60_MiB).value), 0);
  EXPECT_EQ(code_of(streams_->resume()), "out_of_device_memory");
  EXPECT_EQ(streams_->report().physical, Bytes{});
  ASSERT_EQ(DRIVER(vasim_cuda_take_memory)(0, 0), 0);
  ASSERT_EQ(code_of(streams_->resume()), "ok");
  expect_contents(blocks);
}

// What was bound, could not be filled and is not unbound either is nobody's until it is.
TEST_F(CudaSuspend, C16_PagesThatStayMappedAreNotGivenToOthers) {
  start_streams("small_memory");
  const auto blocks = fill_some(a_, 1);
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::offload, 1)), "ok");
  ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuMemcpyHtoDAsync", 1, 1, CUDA_ERROR_UNKNOWN), 0);
  ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuMemUnmap", 1, 1000, CUDA_ERROR_UNKNOWN), 0);
  EXPECT_EQ(code_of(streams_->resume(1)), "driver_error");
  EXPECT_EQ(streams_->report().idle, Bytes{}) << "they are mapped";
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 1}, a_)), "wrong_state");
  const Address other = allocate(20_MiB, b_);
  work_on(other, 20_MiB, b_, 50);
  EXPECT_EQ(code_of(streams_->resume(1)), "driver_error") << "still";
  DRIVER(vasim_cuda_clear_failures)();
  ASSERT_EQ(code_of(streams_->resume(1)), "ok");
  expect_contents(blocks);
  EXPECT_EQ(read(other + 20_MiB - Bytes{1}), 50);
  EXPECT_EQ(streams_->validate(), nullptr);
}

// Streams that come while a tag is suspended have its memory suspended too, and come back with it.
TEST_F(CudaSuspend, AStreamThatIsNewKnowsWhatIsSuspended) {
  start_streams("small_memory");
  const auto weights = fill_some(a_, 7);
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::offload, 7)), "ok");
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 7}, b_)), "wrong_state");
  EXPECT_EQ(code_of(streams_->suspend(cuda::Suspend::offload, 7)), "wrong_state");
  ASSERT_EQ(code_of(streams_->resume(7)), "ok");
  expect_contents(weights);
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 7}, b_)), "ok");
  // Freeing makes a place on a stream that had none.
  const auto plain = fill_some(a_);
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::offload, 0)), "ok");
  const cuda::Stream newer = unknown_stream();
  EXPECT_EQ(code_of(streams_->free(plain[4].first, newer)), "ok");
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, newer)), "wrong_state");
  ASSERT_EQ(code_of(streams_->resume(0)), "ok");
  EXPECT_EQ(read(plain[0].first), 1);
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, newer)), "ok");
  EXPECT_EQ(code_of(streams_->resume(0)), "wrong_state");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(CudaSuspend, AllMemoryIsSuspendedWithTagsThatAreNew) {
  start_streams("small_memory");
  const auto blocks = fill_some(a_);
  const auto weights = fill_some(a_, 7);
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::offload, 7)), "ok");
  // What is refused leaves what was suspended before as it is.
  ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuMemUnmap", 1, 1, CUDA_ERROR_UNKNOWN), 0);
  EXPECT_EQ(code_of(streams_->suspend(cuda::Suspend::offload)), "driver_error");
  DRIVER(vasim_cuda_clear_failures)();
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 7}, b_)), "wrong_state");
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 8}, b_)), "ok");
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::offload)), "ok");
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 9}, b_)), "wrong_state");
  EXPECT_EQ(streams_->report().physical, Bytes{});
  // Tag by tag, and then the rest.
  ASSERT_EQ(code_of(streams_->resume(7)), "ok");
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 7}, b_)), "ok");
  expect_contents(weights);
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, unknown_stream())), "wrong_state");
  // Again, for what came back; where that is refused, the rest is suspended as before.
  ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuMemUnmap", 1, 1, CUDA_ERROR_UNKNOWN), 0);
  EXPECT_EQ(code_of(streams_->suspend(cuda::Suspend::offload)), "driver_error");
  DRIVER(vasim_cuda_clear_failures)();
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 10}, b_)), "wrong_state");
  ASSERT_EQ(code_of(streams_->resume()), "ok");
  expect_contents(blocks);
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 9}, b_)), "ok");
  EXPECT_EQ(code_of(streams_->resume()), "wrong_state");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(CudaSuspend, R7_WithoutHostMemoryNothingIsSuspended) {
  TestHost host;
  for (std::int64_t n = 1;; ++n) {
    cuda::StreamConfig config;
    config.host = host.allocator();
    start_streams(VASPACE_CUDA_PROFILES "/small_64k.json", config, "");
    const std::vector<std::pair<Address, Bytes>> blocks{{allocate(200_KiB, a_), 200_KiB}};
    work_on(blocks[0].first, 200_KiB, a_, 1);
    host.fail_at(n);
    const auto suspended = streams_->suspend(cuda::Suspend::offload);
    host.fail_at(0);
    if (!suspended) {
      EXPECT_EQ(code_of(suspended), "out_of_host_memory");
      expect_contents(blocks);
      EXPECT_EQ(code_of(streams_->free(allocate(1_MiB, a_), a_)), "ok");
    } else {
      EXPECT_TRUE(streams_->resume());
      expect_contents(blocks);
    }
    streams_.reset();
    EXPECT_EQ(host.bytes(), 0);
    for (const cuda::Stream made : made_)
      (void)backend_->destroy_stream(made);
    made_.clear();
    if (suspended) break;
  }
}

}  // namespace
}  // namespace vaspace::test
