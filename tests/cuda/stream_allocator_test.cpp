// Stream order: who may have freed memory, and when.
#include <set>
#include <vector>

#include "vaspace/frontends/cuda.hpp"

#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

class StreamOrder : public StreamTest {};

TEST_F(StreamOrder, WhatIsFreedOnAStreamIsReusedOnItAtOnce) {
  start_streams();
  for (const Bytes size : {1_KiB, 100_KiB, 3_MiB, 10_MiB}) {
    const Address first = allocate(size, a_);
    work_on(first, size, a_);
    DRIVER(vasim_cuda_hold_streams)(1);  // the work cannot be over
    ASSERT_EQ(code_of(streams_->free(first, a_)), "ok");
    const Bytes physical = streams_->report().physical;
    const Address again = allocate(size, a_);
    if (size < 1_MiB) {
      EXPECT_EQ(again, first) << size.value;
    }
    EXPECT_EQ(streams_->report().physical, physical) << size.value;
    DRIVER(vasim_cuda_hold_streams)(0);
    EXPECT_EQ(code_of(streams_->free(again, a_)), "ok");
  }
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(StreamOrder, C13_AnotherStreamGetsThePagesOnlyAfterTheEventHasPassed) {
  start_streams("small_memory");
  const Address whole = allocate(48_MiB, a_);
  work_on(whole, 48_MiB, a_);
  DRIVER(vasim_cuda_hold_streams)(1);
  ASSERT_EQ(code_of(streams_->free(whole, a_)), "ok");
  // There are 16 MiB that nobody had: the other stream needs no page of the first.
  const Address small = allocate(8_MiB, b_);
  EXPECT_GT(cuda_live(VASIM_CUDA_WORK), 0U);
  DRIVER(vasim_cuda_hold_streams)(0);
  const Address large = allocate(40_MiB, b_);  // waits, for there is no other way
  EXPECT_EQ(cuda_live(VASIM_CUDA_WORK), 0U);
  EXPECT_EQ(code_of(streams_->free(large, b_)), "ok");
  EXPECT_EQ(code_of(streams_->free(small, b_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(StreamOrder, EventsAreRecordedWhenAnotherStreamWantsTheMemory) {
  start_streams("small_memory");
  const Address first = allocate(32_MiB, a_);
  work_on(first, 32_MiB, a_);
  DRIVER(vasim_cuda_hold_streams)(1);
  ASSERT_EQ(code_of(streams_->free(first, a_)), "ok");
  EXPECT_EQ(cuda_calls("cuEventRecord"), 0U);
  const Address small = allocate(8_MiB, b_);
  EXPECT_EQ(cuda_calls("cuEventRecord"), 1U);
  EXPECT_EQ(streams_->report().physical, 40_MiB) << "nobody's memory was taken";
  DRIVER(vasim_cuda_hold_streams)(0);
  ASSERT_TRUE(backend_->wait_for(a_));
  const Address large = allocate(32_MiB, b_);
  EXPECT_EQ(cuda_calls("cuEventRecord"), 1U) << "it says enough";
  EXPECT_EQ(streams_->report().physical, 40_MiB) << "the pages have moved";
  EXPECT_EQ(code_of(streams_->free(small, b_)), "ok");
  EXPECT_EQ(code_of(streams_->free(large, b_)), "ok");
}

TEST_F(StreamOrder, WhatIsFreedOnAnotherStreamIsReusedThereAtOnceAndGoesHomeLater) {
  start_streams();
  const Address block = allocate(1_MiB, a_);
  work_on(block, 1_MiB, b_);
  DRIVER(vasim_cuda_hold_streams)(1);
  ASSERT_EQ(code_of(streams_->free(block, b_)), "ok");
  EXPECT_EQ(streams_->report().waiting, 1_MiB);
  const Address other = allocate(1_MiB, a_);
  EXPECT_NE(other, block) << "its owner's stream does not know when b is past it";
  const Address again = allocate(1_MiB, b_);
  EXPECT_EQ(again, block);
  ASSERT_EQ(code_of(streams_->free(again, b_)), "ok");
  DRIVER(vasim_cuda_hold_streams)(0);
  streams_->trim(true);
  EXPECT_EQ(streams_->report().waiting, Bytes{});
  EXPECT_EQ(code_of(streams_->free(other, a_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(StreamOrder, C13_WhatIsFreedOnABusyStreamDoesNotGoHomeBefore) {
  start_streams("small_memory");
  const Address block = allocate(1_MiB, a_);
  ASSERT_EQ(code_of(streams_->free(allocate(30_MiB, a_), a_)), "ok");
  DRIVER(vasim_cuda_hold_streams)(1);
  work_on(block, 1_MiB, b_);
  ASSERT_EQ(code_of(streams_->free(block, b_)), "ok");
  // Each of these wants pages, and asks who has passed.
  for (int i = 0; i < 3; ++i)
    (void)allocate(6_MiB, b_);
  EXPECT_EQ(streams_->report().waiting, 1_MiB);
  EXPECT_NE(allocate(1_MiB, a_), block);
  DRIVER(vasim_cuda_hold_streams)(0);
  ASSERT_TRUE(backend_->wait_for(b_));
  streams_->trim();
  EXPECT_EQ(streams_->report().waiting, Bytes{});
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(StreamOrder, AStreamThatIsReleasedLeavesItsMemoryToOthers) {
  start_streams("small_memory");
  const Address freed = allocate(40_MiB, a_);
  const Address kept = allocate(2_MiB, a_);
  work_on(freed, 40_MiB, a_);
  ASSERT_EQ(code_of(streams_->free(freed, a_)), "ok");
  ASSERT_EQ(code_of(streams_->release_stream(a_)), "ok");
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "wrong_state");
  EXPECT_EQ(streams_->allocate(1_KiB, a_).error().native, CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(code_of(streams_->free(kept, a_)), "wrong_state");
  EXPECT_EQ(streams_->free(kept, a_).error().native, CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(code_of(streams_->release_stream(a_)), "wrong_state");
  EXPECT_EQ(streams_->release_stream(a_).error().native, CUDA_ERROR_INVALID_HANDLE);
  const Address large = allocate(56_MiB, b_);
  EXPECT_EQ(code_of(streams_->free(kept, b_)), "ok");
  EXPECT_EQ(code_of(streams_->free(large, b_)), "ok");
  EXPECT_EQ(code_of(streams_->release_stream(reinterpret_cast<cuda::Stream>(std::uintptr_t{8}))),
            "unknown_handle");
  // The driver may give the number to another stream; so it is as if a were that one.
  EXPECT_EQ(code_of(streams_->add_stream(a_)), "ok");
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "ok");
}

TEST_F(StreamOrder, R6_BadFreesGetOneTypedErrorAndLoseNothing) {
  start_streams();
  const Address block = allocate(1_MiB, a_);
  const Address small = allocate(1_KiB, a_);
  EXPECT_EQ(code_of(streams_->free(Address{4096}, a_)), "unknown_address");
  EXPECT_EQ(code_of(streams_->free(block + 256_B, a_)), "interior_address");
  EXPECT_EQ(streams_->free(Address{4096}, a_).error().native, CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(code_of(streams_->free(Address{4096}, unknown_stream())), "unknown_address");
  for (const Address address : {block, small}) {
    EXPECT_EQ(code_of(streams_->size_of(address)), "ok");
    EXPECT_EQ(code_of(streams_->free(address, a_)), "ok");
    EXPECT_EQ(code_of(streams_->free(address, a_)), "unknown_address") << "twice";
    EXPECT_EQ(streams_->free(address, a_).error().native, CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(code_of(streams_->free(address, b_)), "unknown_address") << "twice, elsewhere";
    EXPECT_EQ(streams_->size_of(address).error().native, CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(code_of(streams_->size_of(address)), "unknown_address");
  }
  const Address crossed = allocate(1_MiB, a_);
  EXPECT_EQ(code_of(streams_->free(crossed, b_)), "ok");
  EXPECT_EQ(code_of(streams_->free(crossed, b_)), "unknown_address");
  EXPECT_EQ(code_of(streams_->free(crossed, a_)), "unknown_address");
  EXPECT_EQ(streams_->report().live_allocations, 0U);
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(StreamOrder, R8_BadRequestsGetOneTypedError) {
  start_streams("small_memory");
  EXPECT_EQ(code_of(streams_->allocate(Bytes{}, a_)), "invalid_size");
  EXPECT_EQ(code_of(streams_->allocate(kMaxBytes, a_)), "invalid_size");
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .alignment = Alignment{3}}, a_)), "invalid_alignment");
  EXPECT_EQ(code_of(streams_->allocate(65_MiB, a_)), "too_large");
  const Address most = allocate(60_MiB, a_);
  const Result<Address> refused = streams_->allocate(6_MiB, b_);
  EXPECT_EQ(code_of(refused), "out_of_device_memory");
  EXPECT_EQ(refused.error().native, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(code_of(streams_->free(most, a_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(StreamOrder, C2_R8_ExhaustedAddressesAreRefusedWithTheDriversCodeAndNothingIsLost) {
  start_streams(VASPACE_CUDA_PROFILES "/scarce_addresses.json");
  std::vector<Address> live;
  Result<Address> refused = fail(ErrorCode::malformed);
  for (int i = 0; i < 100; ++i) {
    // Small ones on many streams: each has addresses of its own, of which there are few.
    refused = streams_->allocate(1_KiB, stream());
    if (!refused) break;
    live.push_back(*refused);
  }
  ASSERT_FALSE(refused);
  EXPECT_EQ(code_of(refused), "out_of_address_space");
  EXPECT_EQ(refused.error().native, CUDA_ERROR_OUT_OF_MEMORY);
  ASSERT_FALSE(live.empty());
  EXPECT_EQ(streams_->report().live_allocations, live.size());
  for (const Address address : live)
    EXPECT_EQ(code_of(streams_->free(address, a_)), "ok");
  streams_->trim(true);
  EXPECT_EQ(streams_->report().physical, Bytes{});
  EXPECT_EQ(cuda_live(VASIM_CUDA_RESERVATIONS), 0U);
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, b_)), "ok") << "there is room again";
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(StreamOrder, NoDriverCallInAMillionPairsOfTheSteadyState) {
  start_streams();
  const std::vector<Bytes> sizes{512_B, 1_KiB, 70_KiB, 700_KiB, 5_MiB};
  for (const Bytes size : sizes)
    ASSERT_EQ(code_of(streams_->free(allocate(size, a_), a_)), "ok");
  const std::uint64_t before = cuda_calls();
  for (int i = 0; i < 1'000'000; ++i) {
    const Result<Address> got = streams_->allocate(sizes[static_cast<std::size_t>(i) % sizes.size()], a_);
    ASSERT_TRUE(got && streams_->free(*got, a_));
  }
  EXPECT_EQ(cuda_calls(), before);
}

// Of a released stream's number the driver may make a new stream while the old one's work is not over.
TEST_F(StreamOrder, C13_AStreamThatComesBackBeginsBehindWhatTheReleasedOneLeft) {
  start_streams("small_memory");
  const Address own = allocate(1_MiB, a_);
  const Address others = allocate(1_MiB, b_);
  work_on(own, 1_MiB, a_);
  work_on(others, 1_MiB, a_);
  DRIVER(vasim_cuda_hold_streams)(1);
  ASSERT_EQ(code_of(streams_->free(own, a_)), "ok");
  ASSERT_EQ(code_of(streams_->free(others, a_)), "ok");
  ASSERT_EQ(code_of(streams_->release_stream(a_)), "ok");
  EXPECT_EQ(streams_->report().waiting, 1_MiB);
  const std::uint64_t before = cuda_calls("cuStreamWaitEvent");
  ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuStreamWaitEvent", 1, 1, CUDA_ERROR_UNKNOWN), 0);
  EXPECT_EQ(code_of(streams_->add_stream(a_)), "driver_error");
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "wrong_state") << "it is as before";
  DRIVER(vasim_cuda_clear_failures)();
  ASSERT_EQ(code_of(streams_->add_stream(a_)), "ok");
  EXPECT_EQ(cuda_calls("cuStreamWaitEvent"), before + 3) << "behind the last event, and behind what waits";
  const std::set<Address> got{allocate(1_MiB, a_), allocate(1_MiB, a_)};
  EXPECT_EQ(got, (std::set<Address>{own, others})) << "in the new stream's order";
  EXPECT_GT(cuda_live(VASIM_CUDA_WORK), 0U);
  DRIVER(vasim_cuda_hold_streams)(0);
  for (const Address block : got)
    EXPECT_EQ(code_of(streams_->free(block, a_)), "ok");
  streams_->trim(true);
  EXPECT_EQ(streams_->report().physical, Bytes{});
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(StreamOrder, AReleasedStreamIsNoticedWhateverTagsItHad) {
  start_streams();
  const auto tagged = streams_->allocate({.size = 1_MiB, .tag = 3}, a_);
  const Address other = allocate(1_MiB, b_);
  ASSERT_TRUE(tagged);
  ASSERT_EQ(code_of(streams_->release_stream(a_)), "ok");
  const std::uint32_t pools = streams_->report().pools;
  EXPECT_EQ(code_of(streams_->free(*tagged, a_)), "wrong_state");
  EXPECT_EQ(code_of(streams_->free(other, a_)), "wrong_state");
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "wrong_state");
  EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = 4}, a_)), "wrong_state");
  EXPECT_EQ(code_of(streams_->release_stream(a_)), "wrong_state");
  EXPECT_EQ(streams_->report().pools, pools);
  ASSERT_EQ(code_of(streams_->add_stream(a_)), "ok");
  EXPECT_EQ(code_of(streams_->free(*tagged, a_)), "ok");
  EXPECT_EQ(code_of(streams_->free(other, a_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(StreamOrder, HandlesThatNameAnotherStreamAreOneOrRefused) {
  start_streams();
  auto* const legacy = reinterpret_cast<cuda::Stream>(std::uintptr_t{1});
  auto* const per_thread = reinterpret_cast<cuda::Stream>(std::uintptr_t{2});
  const Address block = allocate(1_MiB, nullptr);
  EXPECT_EQ(code_of(streams_->free(block, per_thread)), "not_supported");
  EXPECT_EQ(code_of(streams_->free(block, legacy)), "ok");
  EXPECT_EQ(allocate(1_MiB, legacy), block) << "one stream, two names";
  EXPECT_EQ(streams_->report().pools, 1U);
  const Result<Address> refused = streams_->allocate(1_KiB, per_thread);
  EXPECT_EQ(code_of(refused), "not_supported");
  EXPECT_EQ(refused.error().native, CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(code_of(streams_->release_stream(per_thread)), "not_supported");
  EXPECT_EQ(code_of(streams_->add_stream(per_thread)), "not_supported");
  EXPECT_EQ(code_of(streams_->release_stream(legacy)), "ok");
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, nullptr)), "wrong_state");
  EXPECT_EQ(code_of(backend_->mark(per_thread)), "not_supported");
  EXPECT_EQ(code_of(backend_->idle(per_thread)), "not_supported");
  EXPECT_EQ(code_of(backend_->order_after(per_thread, {})), "not_supported");
  const auto one = backend_->mark(legacy);
  const auto two = backend_->mark(nullptr);
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->timeline, two->timeline);
}

// A stream that captures has no events of its own, and must not be asked: it counts as not passed.
TEST_F(StreamOrder, WhatAStreamThatCapturesHasFreedIsNobodyElses) {
  start_streams("small_memory");
  const Address whole = allocate(48_MiB, a_);
  ASSERT_EQ(code_of(streams_->free(whole, a_)), "ok");
  ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuStreamIsCapturing", 1, 100'000, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT),
            0);
  const auto idle = backend_->idle(a_);
  ASSERT_TRUE(idle);
  EXPECT_FALSE(*idle);
  EXPECT_EQ(code_of(backend_->mark(a_)), "wrong_state");
  const std::uint64_t queries = cuda_calls("cuStreamQuery");
  const std::uint64_t records = cuda_calls("cuEventRecord");
  EXPECT_EQ(code_of(streams_->allocate(40_MiB, b_)), "out_of_device_memory");
  EXPECT_EQ(cuda_calls("cuStreamQuery"), queries);
  EXPECT_EQ(cuda_calls("cuEventRecord"), records);
  DRIVER(vasim_cuda_clear_failures)();
  EXPECT_EQ(code_of(streams_->allocate(40_MiB, b_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

// The host writes pinned memory when it likes: the copy that still reads the block is not in its order.
TEST_F(StreamOrder, PinnedMemoryIsNobodysBeforeItsStreamHasPassed) {
  cuda::StreamConfig config;
  config.kind = cuda::MemoryKind::pinned;
  start_streams("default", config);
  const Address busy = reserve(1).address;
  const PhysicalId page = create();
  ASSERT_TRUE(bind(busy, page));
  for (const Bytes size : {1_KiB, 100_KiB, 6_MiB}) {
    const Address block = allocate(size, a_);
    DRIVER(vasim_cuda_hold_streams)(1);
    work_on(busy, page_, a_);
    ASSERT_EQ(code_of(streams_->free(block, a_)), "ok");
    EXPECT_EQ(code_of(streams_->free(block, a_)), "unknown_address");
    std::vector<Address> meanwhile;
    for (int i = 0; i < 3; ++i)
      meanwhile.push_back(allocate(size, a_));
    for (const Address other : meanwhile)
      EXPECT_NE(other, block) << size.value;
    EXPECT_NE(allocate(size, b_), block) << size.value;
    EXPECT_GT(streams_->report().waiting, Bytes{});
    DRIVER(vasim_cuda_hold_streams)(0);
    ASSERT_TRUE(backend_->wait_for(a_));
    for (const Address other : meanwhile)
      ASSERT_EQ(code_of(streams_->free(other, a_)), "ok");
    streams_->trim(true);
    EXPECT_EQ(streams_->report().waiting, Bytes{}) << size.value;
  }
  EXPECT_EQ(streams_->validate(), nullptr);
}

// Blocks are aligned to more than their size; what is page-locked for that is little, or told.
TEST_F(StreamOrder, V16_PinnedMemoryIsPinnedForWhatIsUsed) {
  cuda::StreamConfig config;
  config.kind = cuda::MemoryKind::pinned;
  start_streams("default", config);
  (void)allocate(100_KiB, a_);
  EXPECT_GE(streams_->report().physical, 100_KiB);
  EXPECT_LE(streams_->report().physical, 8_MiB);
  // Where the device has registered memory at another address, there is no other way than more.
  ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuMemHostRegister", 1, 1000, CUDA_ERROR_NOT_SUPPORTED), 0);
  const auto wider = cuda::StreamAllocator::create(*backend_, config);
  ASSERT_TRUE(wider);
  ASSERT_TRUE((*wider)->allocate(100_KiB, a_));
  EXPECT_GT((*wider)->report().physical, 64_MiB) << "what is pinned around it is told";
  DRIVER(vasim_cuda_clear_failures)();
}

TEST_F(StreamOrder, PinnedMemoryComesByTheSameWay) {
  cuda::StreamConfig config;
  config.kind = cuda::MemoryKind::pinned;
  start_streams("default", config);
  const Address block = allocate(100_KiB, a_);
  auto* bytes = reinterpret_cast<std::byte*>(block.value);
  bytes[0] = std::byte{7};
  const Address device_side = block;
  EXPECT_EQ(std::to_integer<int>(bytes[0]), 7);
  ASSERT_EQ(code_of(streams_->free(device_side, a_)), "ok");
  EXPECT_EQ(allocate(100_KiB, a_), block);
  EXPECT_NE(allocate(100_KiB, b_), block);
  EXPECT_EQ(code_of(streams_->suspend(cuda::Suspend::offload)), "not_supported");
  EXPECT_GT(cuda_live(VASIM_CUDA_HOST_MEMORY), 0U);
  EXPECT_EQ(streams_->validate(), nullptr);
}

}  // namespace
}  // namespace vaspace::test
