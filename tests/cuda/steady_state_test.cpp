// The way of a steady state: the thread that uses a stream most passes the lock and whatever is asked under
// it. So each thing that is asked there is tried by a thread that has made so many pairs that it is not.
#include <array>
#include <utility>
#include <vector>

#include "vaspace/frontends/cuda.hpp"

#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

constexpr int kManyPairs = 3000;

class SteadyState : public StreamTest {
 protected:
  // Then the stream's lock leans to this thread.
  void settle_in(cuda::Stream on, Bytes size = 1_KiB, cuda::Tag tag = 0) {
    for (int i = 0; i < kManyPairs; ++i)
      ASSERT_EQ(code_of(streams_->free(allocate(size, on, tag), on)), "ok");
  }
};

TEST_F(SteadyState, AReleasedStreamIsRefusedToWhoUsedItMost) {
  start_streams();
  const Address live = allocate(1_KiB, a_);
  settle_in(a_);
  ASSERT_EQ(code_of(streams_->release_stream(a_)), "ok");
  EXPECT_EQ(code_of(streams_->free(live, a_)), "wrong_state");
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "wrong_state");
  EXPECT_EQ(streams_->report().live_allocations, 1U);
  ASSERT_EQ(code_of(streams_->add_stream(a_)), "ok");
  settle_in(a_);
  EXPECT_EQ(code_of(streams_->free(live, a_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

// What one stream leaves is another's: a pool that leaned for the first does not serve the first's number.
TEST_F(SteadyState, WhatAReleasedStreamLeavesIsAnothers) {
  start_streams();
  settle_in(a_);
  ASSERT_EQ(code_of(streams_->release_stream(a_)), "ok");
  settle_in(b_);
  EXPECT_EQ(streams_->report().pools, 1U);
  EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "wrong_state");
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(SteadyState, WhatIsFreedWhileSuspendedIsNotGivenOut) {
  start_streams();
  for (const bool tagged : {false, true}) {
    const cuda::Tag tag = tagged ? 5 : 0;
    const Address live = allocate(1_KiB, a_, tag);
    const Address kept = allocate(1_KiB, a_, tag);
    settle_in(a_, 1_KiB, tag);
    ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::discard, tag)), "ok");
    ASSERT_EQ(code_of(streams_->free(live, a_)), "ok");
    EXPECT_EQ(code_of(streams_->allocate({.size = 1_KiB, .tag = tag}, a_)), "wrong_state");
    ASSERT_EQ(code_of(streams_->resume(tag)), "ok");
    settle_in(a_, 1_KiB, tag);
    EXPECT_EQ(code_of(streams_->free(kept, a_)), "ok");
  }
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(SteadyState, R6_ABlockIsFreedOnce) {
  start_streams();
  settle_in(a_);
  const Address block = allocate(1_KiB, a_);
  ASSERT_EQ(code_of(streams_->free(block, a_)), "ok");
  EXPECT_EQ(code_of(streams_->free(block, a_)), "unknown_address") << "it is parked";
  EXPECT_EQ(code_of(streams_->free(block + 256_B, a_)), "interior_address");
  EXPECT_EQ(code_of(streams_->free(Address{}, a_)), "unknown_address");
  EXPECT_EQ(streams_->report().live_allocations, 0U);
  const Address again = allocate(1_KiB, a_);
  EXPECT_EQ(code_of(streams_->free(again + 256_B, a_)), "interior_address");
  EXPECT_EQ(code_of(streams_->free(again, b_)), "ok");
  EXPECT_EQ(code_of(streams_->free(again, a_)), "unknown_address") << "it waits";
  EXPECT_EQ(streams_->report().waiting, 1_KiB);
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(SteadyState, R8_BadRequestsGetOneTypedErrorThoughAParkedBlockWouldDo) {
  start_streams();
  settle_in(a_, 256_B);
  EXPECT_EQ(code_of(streams_->allocate(Bytes{}, a_)), "invalid_size");
  EXPECT_EQ(code_of(streams_->allocate(kMaxBytes, a_)), "invalid_size");
  EXPECT_EQ(code_of(streams_->allocate(kMaxBytes - 254_B, a_)), "invalid_size");
  for (const std::uint64_t bad : {0ULL, 3ULL, 384ULL})
    EXPECT_EQ(code_of(streams_->allocate({.size = 256_B, .alignment = Alignment{bad}}, a_)),
              "invalid_alignment");
  // Slots lie side by side: not all of them are so aligned.
  std::vector<Address> live;
  for (int i = 0; i < 4; ++i)
    live.push_back(allocate(256_B, a_));
  for (const Address one : live)
    ASSERT_EQ(code_of(streams_->free(one, a_)), "ok");
  for (int i = 0; i < 4; ++i) {
    const auto aligned = streams_->allocate({.size = 256_B, .alignment = Alignment{4_KiB}}, a_);
    ASSERT_TRUE(aligned);
    EXPECT_TRUE(is_aligned(*aligned, Alignment{4_KiB}));
  }
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(SteadyState, WhatAnotherStreamHasUsedIsNobodysAtOnce) {
  start_streams();
  settle_in(a_);
  const Address shared = allocate(1_KiB, a_);
  work_on(shared, 1_KiB, b_);
  ASSERT_EQ(code_of(streams_->record_stream(shared, b_)), "ok");
  DRIVER(vasim_cuda_hold_streams)(1);
  work_on(shared, 1_KiB, b_);
  ASSERT_EQ(code_of(streams_->free(shared, a_)), "ok");
  EXPECT_NE(allocate(1_KiB, a_), shared);
  EXPECT_EQ(streams_->report().waiting, 1_KiB);
  DRIVER(vasim_cuda_hold_streams)(0);
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(SteadyState, PinnedMemoryIsNobodysAtOnceHoweverMuchAThreadUsesIt) {
  cuda::StreamConfig config;
  config.kind = cuda::MemoryKind::pinned;
  start_streams("default", config);
  for (int i = 0; i < kManyPairs; ++i)
    (void)streams_->size_of(allocate(1_KiB, a_));
  const Address page = reserve(1).address;
  const PhysicalId physical = create();
  ASSERT_TRUE(bind(page, physical));
  DRIVER(vasim_cuda_hold_streams)(1);
  work_on(page, page_, a_);
  const Address block = allocate(1_KiB, a_);
  ASSERT_EQ(code_of(streams_->free(block, a_)), "ok");
  EXPECT_EQ(streams_->report().parked, Bytes{});
  EXPECT_EQ(streams_->report().waiting, 1_KiB);
  EXPECT_NE(allocate(1_KiB, a_), block);
  DRIVER(vasim_cuda_hold_streams)(0);
  EXPECT_EQ(streams_->validate(), nullptr);
}

// 512 B, 1 KiB and 2 KiB are slots.
TEST_F(SteadyState, SizesOfOneSlotServeEachOther) {
  start_streams();
  struct {
    Bytes freed, wanted, parked;
    bool same;
  } const cases[] = {{64_B, 512_B, 512_B, true},     {300_B, 64_B, 512_B, true},
                     {1100_B, 2_KiB, 2_KiB, true},   {512_B, 513_B, 512_B, false},
                     {1025_B, 1_KiB, 2_KiB, false},  {2_KiB, 2049_B, 2_KiB, false},
                     {2049_B, 2304_B, 2304_B, true}, {2304_B, 2305_B, 2304_B, false}};
  for (const auto& one : cases) {
    const Address first = allocate(one.freed, a_);
    ASSERT_EQ(code_of(streams_->free(first, a_)), "ok");
    EXPECT_EQ(streams_->report().parked, one.parked) << one.freed.value;
    const Address second = allocate(one.wanted, a_);
    EXPECT_EQ(second == first, one.same) << one.freed.value << ' ' << one.wanted.value;
    EXPECT_EQ(streams_->report().live, one.wanted);
    EXPECT_EQ(streams_->size_of(second).value_or(Bytes{}), one.wanted);
    ASSERT_EQ(code_of(streams_->free(second, a_)), "ok");
    streams_->trim(true);
  }
  EXPECT_EQ(streams_->validate(), nullptr);
}

// Slots of the caller's own table, or the multiples of 256 B in them; of ranges, what is asked for.
TEST_F(SteadyState, SlotsAreThoseOfTheTable) {
  constexpr std::array<SizeClass, 3> kOwn{{{1000_B, 2_MiB, Strategy::slab},
                                           {3_KiB, 2_MiB, Strategy::slab},
                                           {kMaxBytes, 64_MiB, Strategy::object}}};
  cuda::StreamConfig config;
  config.classes = kOwn;
  start_streams("default", config);
  const auto parked_of = [&](Bytes size) {
    streams_->trim(true);
    EXPECT_EQ(code_of(streams_->free(allocate(size, a_), a_)), "ok");
    return streams_->report().parked;
  };
  EXPECT_EQ(parked_of(200_B), 768_B);
  EXPECT_EQ(parked_of(768_B), 768_B);
  EXPECT_EQ(parked_of(769_B), 3_KiB);
  EXPECT_EQ(parked_of(3_KiB), 3_KiB);
  EXPECT_EQ(parked_of(3073_B), 3328_B);
  EXPECT_EQ(parked_of(70'000_B), 70'144_B);
  EXPECT_EQ(streams_->validate(), nullptr);
}

// There are more small sizes than blocks could be kept of each.
TEST_F(SteadyState, ASmallSizeTakesABlockThatIsAnEighthLarger) {
  start_streams();
  struct {
    Bytes freed, wanted;
    bool same;
  } const cases[] = {{11_KiB, 10_KiB, true}, {45_KiB, 40_KiB, true},    {45'056_B, 40_KiB, true},
                     {11_KiB, 9_KiB, false}, {46'081_B, 40_KiB, false}, {10_KiB, 11_KiB, false},
                     {64_KiB, 57_KiB, true}, {66_KiB, 64_KiB, false},   {70_KiB, 68_KiB, false}};
  for (const auto& one : cases) {
    const Address first = allocate(one.freed, a_);
    ASSERT_EQ(code_of(streams_->free(first, a_)), "ok");
    const Bytes parked = streams_->report().parked;
    const Address second = allocate(one.wanted, a_);
    EXPECT_EQ(second == first, one.same) << one.freed.value << ' ' << one.wanted.value;
    EXPECT_EQ(streams_->report().parked, one.same ? Bytes{} : parked);
    EXPECT_EQ(streams_->size_of(second).value_or(Bytes{}), one.wanted);
    ASSERT_EQ(code_of(streams_->free(second, a_)), "ok");
    EXPECT_EQ(streams_->validate(), nullptr);
    if (one.same) {
      EXPECT_EQ(allocate(one.freed, a_), first) << "it is as large as it was";
      ASSERT_EQ(code_of(streams_->free(first, a_)), "ok");
    }
    streams_->trim(true);
  }
}

// Many sizes that take turns in a cache too small for them: each makes way, and is found when all is given
// back.
TEST_F(SteadyState, EverySizeThatIsParkedMakesWay) {
  start_streams();
  const Address stays = allocate(1_KiB, a_);
  Bytes most{};
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const Bytes size{(i * 7919 % 700 + 1) * 256};
    ASSERT_EQ(code_of(streams_->free(allocate(size, a_), a_)), "ok");
    const Bytes parked = streams_->report().parked;
    if (parked > most) most = parked;
    if (i % 100 == 0) {
      ASSERT_EQ(streams_->validate(), nullptr);
    }
  }
  EXPECT_GT(most, 900_KiB);
  EXPECT_LE(most, Bytes{page_.value / 2 + 4}) << "half a page, and 1/256 of 1 KiB";
  streams_->trim(true);
  EXPECT_EQ(streams_->report().parked, Bytes{});
  EXPECT_LE(streams_->report().physical, page_);
  EXPECT_EQ(code_of(streams_->free(stays, a_)), "ok");
  EXPECT_EQ(streams_->validate(), nullptr);
}

// 2 KiB and 512 KiB are the same to a hash of 256 places.
TEST_F(SteadyState, NoLargeSizeTakesASmallOnesPlace) {
  start_streams();
  std::vector<Address> live;
  for (const Bytes size : {2_KiB, 512_KiB})
    live.push_back(allocate(size, a_));
  for (const Address one : live)
    ASSERT_EQ(code_of(streams_->free(one, a_)), "ok");
  EXPECT_EQ(streams_->report().parked, 2_KiB + 512_KiB);
  EXPECT_EQ(allocate(2_KiB, a_), live[0]);
  EXPECT_EQ(allocate(512_KiB, a_), live[1]);
}

// What a model says that is live, is; in a cache that fills up and is emptied, by a thread that never waits.
TEST_F(SteadyState, R2_FiguresAreExactWhateverWayACallGoes) {
  start_streams();
  settle_in(a_);
  std::vector<std::pair<Address, Bytes>> live;
  Bytes sum{};
  std::uint64_t state = 1;
  const auto below = [&](std::uint64_t n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33U) % n;
  };
  for (int i = 0; i < cuda_cycles(40'000); ++i) {
    if (live.size() < 60 && below(2) == 0) {
      const Bytes size{1 + (below(8) == 0 ? below(200'000) : below(3000))};
      live.emplace_back(allocate(size, a_), size);
      sum += size;
    } else if (!live.empty()) {
      std::swap(live[below(live.size())], live.back());
      ASSERT_EQ(streams_->size_of(live.back().first).value_or(Bytes{}), live.back().second);
      ASSERT_EQ(code_of(streams_->free(live.back().first, a_)), "ok");
      sum -= live.back().second;
      live.pop_back();
    }
    if (i % 997 != 0) continue;
    ASSERT_EQ(streams_->report().live, sum);
    ASSERT_EQ(streams_->report().live_allocations, live.size());
    ASSERT_EQ(streams_->validate(), nullptr);
  }
}

}  // namespace
}  // namespace vaspace::test
