// Memory that other streams use too: it is nobody's before they have passed as well.
#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

class RecordStream : public StreamTest {};

// The simulated driver reports pages that are taken from under work (C13), and the addresses show the rest.
TEST_F(RecordStream, C13_AFreeWaitsForTheStreamThatWasRecorded) {
  start_streams();
  for (const Bytes size : {1_KiB, 1_MiB, 10_MiB}) {
    const Address block = allocate(size, a_);
    work_on(block, size, b_);
    ASSERT_EQ(code_of(streams_->record_stream(block, b_)), "ok");
    ASSERT_EQ(code_of(streams_->record_stream(block, b_)), "ok") << "once is enough";
    DRIVER(vasim_cuda_hold_streams)(1);
    work_on(block, size, b_);
    const std::uint64_t calls = cuda_calls();
    ASSERT_EQ(code_of(streams_->free(block, a_)), "ok");
    EXPECT_EQ(cuda_calls(), calls) << "a free never calls the driver";
    EXPECT_EQ(code_of(streams_->free(block, a_)), "unknown_address") << "twice";
    EXPECT_GE(streams_->report().waiting, size);
    EXPECT_EQ(streams_->report().live, Bytes{});
    const Address on_a = allocate(size, a_);
    const Address on_b = allocate(size, b_);
    EXPECT_NE(on_a, block) << "b has not passed";
    EXPECT_NE(on_b, block) << "nothing says that b is behind a";
    streams_->trim();
    EXPECT_GE(streams_->report().waiting, size);
    DRIVER(vasim_cuda_hold_streams)(0);
    ASSERT_TRUE(backend_->wait_for(b_));
    streams_->trim();
    EXPECT_EQ(streams_->report().waiting, Bytes{});
    EXPECT_EQ(code_of(streams_->free(on_a, a_)), "ok");
    EXPECT_EQ(code_of(streams_->free(on_b, b_)), "ok");
    EXPECT_EQ(streams_->validate(), nullptr);
    streams_->trim(true);
    EXPECT_EQ(streams_->report().physical, Bytes{});
  }
}

TEST_F(RecordStream, C13_FreedElsewhereItWaitsForBothAndForAnyNumberOfOthers) {
  start_streams("small_memory");
  const cuda::Stream c = stream();
  const cuda::Stream d = stream();
  const Address block = allocate(40_MiB, a_);
  for (const cuda::Stream on : {b_, c, d}) {
    work_on(block, 1_KiB, on);
    ASSERT_EQ(code_of(streams_->record_stream(block, on)), "ok");
  }
  DRIVER(vasim_cuda_hold_streams)(1);
  for (const cuda::Stream on : {a_, b_, c, d})
    work_on(block, 40_MiB, on);
  ASSERT_EQ(code_of(streams_->free(block, b_)), "ok");
  EXPECT_EQ(streams_->report().waiting, 40_MiB);
  DRIVER(vasim_cuda_hold_streams)(0);
  // There is no room but this: all of them are waited for, one after the other.
  const Address again = allocate(60_MiB, b_);
  EXPECT_EQ(streams_->report().waiting, Bytes{});
  EXPECT_EQ(code_of(streams_->free(again, b_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(RecordStream, WhereAllHavePassedOneTrimBringsItHome) {
  start_streams();
  const Address block = allocate(1_MiB, a_);
  for (int i = 0; i < 4; ++i)
    ASSERT_EQ(code_of(streams_->record_stream(block, stream())), "ok");
  ASSERT_EQ(code_of(streams_->free(block, b_)), "ok");
  EXPECT_EQ(streams_->report().waiting, 1_MiB);
  streams_->trim();
  EXPECT_EQ(streams_->report().waiting, Bytes{});
  EXPECT_EQ(streams_->report().physical, Bytes{});
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(RecordStream, WhatWasRecordedForItsOwnStreamIsReusedAtOnce) {
  start_streams();
  const Address block = allocate(1_KiB, a_);
  ASSERT_EQ(code_of(streams_->record_stream(block, a_)), "ok");
  ASSERT_EQ(code_of(streams_->free(block, a_)), "ok");
  EXPECT_EQ(allocate(1_KiB, a_), block);
  // What another stream has got by freeing it: the block's own stream uses it, and so it may not have it at
  // once a second time.
  ASSERT_EQ(code_of(streams_->free(block, b_)), "ok");
  ASSERT_EQ(allocate(1_KiB, b_), block);
  ASSERT_EQ(code_of(streams_->record_stream(block, a_)), "ok");
  DRIVER(vasim_cuda_hold_streams)(1);
  work_on(block, 1_KiB, a_);
  ASSERT_EQ(code_of(streams_->free(block, b_)), "ok");
  EXPECT_NE(allocate(1_KiB, b_), block);
  DRIVER(vasim_cuda_hold_streams)(0);
  EXPECT_EQ(streams_->validate(), nullptr);
}

// An allocation counts as a use of its stream: what b has got by freeing it b still uses from before.
TEST_F(RecordStream, C13_WhatAnotherStreamHadBeforeWaitsForItAtHome) {
  start_streams();
  const cuda::Stream c = stream();
  for (const cuda::Stream freed_on : {a_, c, b_}) {
    const Address block = allocate(1_MiB, a_);
    DRIVER(vasim_cuda_hold_streams)(1);
    work_on(block, 1_MiB, b_);
    ASSERT_EQ(code_of(streams_->free(block, b_)), "ok");
    ASSERT_EQ(allocate(1_MiB, b_), block);
    ASSERT_EQ(code_of(streams_->free(block, freed_on)), "ok");
    EXPECT_GE(streams_->report().waiting, 1_MiB);
    EXPECT_NE(allocate(1_MiB, a_), block) << "b has not passed";
    EXPECT_NE(allocate(1_MiB, c), block) << "nor is c behind it";
    // Freed where it was given out, it is given out there again.
    if (freed_on == b_) {
      EXPECT_EQ(allocate(1_MiB, b_), block);
      EXPECT_EQ(code_of(streams_->free(block, b_)), "ok");
    }
    DRIVER(vasim_cuda_hold_streams)(0);
    streams_->trim(true);
    EXPECT_EQ(streams_->report().waiting, Bytes{});
    EXPECT_EQ(streams_->validate(), nullptr);
  }
}

// Not only the one that was freed last.
TEST_F(RecordStream, WhatWaitsOnAStreamIsFoundThereInAnyOrder) {
  start_streams();
  const std::vector<Bytes> sizes{3_MiB, 5_MiB, 7_MiB};
  for (const std::vector<std::size_t>& order :
       {std::vector<std::size_t>{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}}) {
    std::vector<Address> blocks;
    for (const Bytes size : sizes)
      blocks.push_back(allocate(size, a_));
    DRIVER(vasim_cuda_hold_streams)(1);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      work_on(blocks[i], sizes[i], b_);
      ASSERT_EQ(code_of(streams_->free(blocks[i], b_)), "ok");
    }
    for (const std::size_t i : order)
      EXPECT_EQ(allocate(sizes[i], b_), blocks[i]) << i;
    EXPECT_EQ(streams_->report().waiting, Bytes{});
    for (const Address block : blocks)
      ASSERT_EQ(code_of(streams_->free(block, b_)), "ok");
    DRIVER(vasim_cuda_hold_streams)(0);
    streams_->trim(true);
    EXPECT_EQ(streams_->report().physical, Bytes{});
    EXPECT_EQ(streams_->validate(), nullptr);
  }
}

TEST_F(RecordStream, C13_AStreamThatIsReleasedMeanwhileIsWaitedForByItsLastEvent) {
  start_streams("small_memory");
  const Address block = allocate(40_MiB, a_);
  ASSERT_EQ(code_of(streams_->record_stream(block, b_)), "ok");
  DRIVER(vasim_cuda_hold_streams)(1);
  work_on(block, 40_MiB, b_);
  ASSERT_EQ(code_of(streams_->release_stream(b_)), "ok");
  ASSERT_EQ(code_of(backend_->destroy_stream(b_)), "ok");
  made_[1] = nullptr;
  ASSERT_EQ(code_of(streams_->free(block, a_)), "ok");
  streams_->trim();
  EXPECT_EQ(streams_->report().waiting, 40_MiB);
  DRIVER(vasim_cuda_hold_streams)(0);
  const std::uint64_t queries = cuda_calls("cuStreamQuery");
  const Address again = allocate(60_MiB, a_);
  EXPECT_EQ(cuda_calls("cuStreamSynchronize"), 0U);
  EXPECT_LE(cuda_calls("cuStreamQuery"), queries + 2) << "of a, not of b";
  EXPECT_EQ(code_of(streams_->free(again, a_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(RecordStream, R6_BadUseGetsOneTypedErrorAndChangesNothing) {
  start_streams();
  const Address block = allocate(1_MiB, a_);
  EXPECT_EQ(code_of(streams_->record_stream(Address{4096}, a_)), "unknown_address");
  EXPECT_EQ(streams_->record_stream(Address{4096}, a_).error().native, CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(code_of(streams_->record_stream(block + 256_B, b_)), "interior_address");
  EXPECT_EQ(code_of(streams_->record_stream(block, reinterpret_cast<cuda::Stream>(std::uintptr_t{2}))),
            "not_supported");
  ASSERT_TRUE(streams_->free(allocate(1_KiB, b_), b_));
  ASSERT_EQ(code_of(streams_->release_stream(b_)), "ok");
  EXPECT_EQ(code_of(streams_->record_stream(block, b_)), "wrong_state");
  EXPECT_EQ(streams_->record_stream(block, b_).error().native, CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(code_of(streams_->free(block, a_)), "ok");
  EXPECT_EQ(streams_->report().waiting, Bytes{}) << "nothing was recorded";
  EXPECT_EQ(code_of(streams_->record_stream(block, a_)), "unknown_address");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(RecordStream, R7_WithoutHostMemoryNothingIsRecorded) {
  TestHost host;
  for (std::int64_t n = 1;; ++n) {
    cuda::StreamConfig config;
    config.host = host.allocator();
    start_streams(VASPACE_CUDA_PROFILES "/small_64k.json", config, "");
    const Address block = allocate(1_KiB, a_);
    host.fail_at(n);
    const auto recorded = streams_->record_stream(block, b_);
    host.fail_at(0);
    EXPECT_EQ(code_of(recorded), recorded ? "ok" : "out_of_host_memory");
    work_on(block, 1_KiB, b_);
    ASSERT_EQ(code_of(streams_->free(block, recorded ? a_ : b_)), "ok");
    EXPECT_EQ(streams_->report().waiting, 1_KiB);
    streams_->trim(true);
    EXPECT_EQ(streams_->validate(), nullptr);
    streams_.reset();
    EXPECT_EQ(host.bytes(), 0);
    for (const cuda::Stream made : made_)
      (void)backend_->destroy_stream(made);
    made_.clear();
    if (recorded) break;
  }
}

TEST_F(RecordStream, OnceIsEnoughPerAllocationAndStream) {
  TestHost host;
  cuda::StreamConfig config;
  config.host = host.allocator();
  start_streams("default", config);
  const Address block = allocate(1_KiB, a_);
  ASSERT_EQ(code_of(streams_->record_stream(block, b_)), "ok");
  const auto bytes = host.bytes();
  for (int i = 0; i < 10'000; ++i)
    ASSERT_TRUE(streams_->record_stream(block, b_));
  EXPECT_EQ(host.bytes(), bytes);
  EXPECT_EQ(code_of(streams_->free(block, a_)), "ok");
  streams_.reset();
}

TEST_F(RecordStream, C13_PinnedMemoryWaitsForTheStreamThatWasRecorded) {
  cuda::StreamConfig config;
  config.kind = cuda::MemoryKind::pinned;
  start_streams("default", config);
  const Address busy = reserve(1).address;
  ASSERT_TRUE(bind(busy, create()));
  const Address block = allocate(100_KiB, a_);
  ASSERT_EQ(code_of(streams_->record_stream(block, b_)), "ok");
  DRIVER(vasim_cuda_hold_streams)(1);
  work_on(busy, page_, b_);
  ASSERT_EQ(code_of(streams_->free(block, a_)), "ok");
  for (int i = 0; i < 3; ++i)
    EXPECT_NE(allocate(100_KiB, a_), block) << "a is idle, b is not";
  DRIVER(vasim_cuda_hold_streams)(0);
  streams_->trim(true);
  EXPECT_EQ(streams_->report().waiting, Bytes{});
  EXPECT_EQ(streams_->validate(), nullptr);
}

}  // namespace
}  // namespace vaspace::test
