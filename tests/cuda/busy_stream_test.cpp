// Streams that are never idle: their emptied pages are used again on the same stream at once, behind other
// addresses, and the old mappings go when the stream has passed (C13).
#include <vector>

#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

class BusyStreams : public StreamTest {
 protected:
  struct Block {
    Address address;
    Bytes size;
    int value;
  };
  // Allocated and written on the stream, which thereby stays busy.
  Block take(Bytes size, cuda::Stream on) {
    const Block block{allocate(size, on), size, 1 + static_cast<int>(taken_++ % 250)};
    // Its ends, so that a stream which is held has little to do later.
    work_on(block.address, std::min(size, 4_KiB), on, block.value);
    work_on(block.address + size - std::min(size, 4_KiB), std::min(size, 4_KiB), on, block.value);
    live_ += size;
    most_live_ = std::max(most_live_, live_);
    most_physical_ = std::max(most_physical_, streams_->report().physical);
    return block;
  }
  void give(const Block& block, cuda::Stream on) {
    EXPECT_EQ(code_of(streams_->free(block.address, on)), "ok");
    live_ -= block.size;
  }
  void expect_contents(const Block& block) {
    EXPECT_EQ(read(block.address), block.value);
    EXPECT_EQ(read(block.address + block.size - Bytes{1}), block.value);
  }
  // 24 MiB that are given back while the stream, which is held from now on, has them still to pass; and what
  // lies behind them.
  Block leave_a_hole(Bytes behind) {
    const Block first = take(24_MiB, a_);
    const Block wall = take(behind, a_);
    DRIVER(vasim_cuda_hold_streams)(1);
    work_on(first.address, first.size, a_);
    give(first, a_);
    return wall;
  }
  // Rounds of a training whose batches grow: activations that end with the round, and between them what
  // stays.
  std::vector<std::pair<Block, cuda::Stream>> grow(const std::vector<cuda::Stream>& on, int rounds,
                                                   const std::vector<Bytes>& firsts) {
    std::vector<std::pair<Block, cuda::Stream>> kept;
    for (int round = 0; round < rounds; ++round) {
      std::vector<std::vector<Block>> activations(on.size());
      for (std::size_t layer = 0; layer < firsts.size(); ++layer) {
        for (std::size_t s = 0; s < on.size(); ++s) {
          activations[s].push_back(take(firsts[layer] + 2_MiB * static_cast<std::uint64_t>(round), on[s]));
          kept.emplace_back(take(1_MiB, on[s]), on[s]);
        }
      }
      for (std::size_t s = 0; s < on.size(); ++s)
        for (const Block& block : activations[s])
          give(block, on[s]);
    }
    return kept;
  }

  int taken_ = 0;
  Bytes live_{};
  Bytes most_live_{};
  Bytes most_physical_{};
};

// Both streams are far behind the whole time.
TEST_F(BusyStreams, C13_PhysicalFollowsLiveWhileSizesGrowOnTwoStreams) {
  start_streams("default", {}, "delay_us=500..900");
  const auto kept = grow({a_, b_}, 6, {20_MiB, 34_MiB, 12_MiB, 26_MiB, 40_MiB, 18_MiB});
  const double ratio = static_cast<double>(most_physical_.value) / static_cast<double>(most_live_.value);
  std::printf(
      "peak live %.0f MiB, physical %.3f of it; the stream was waited for %llu times in %d allocations\n",
      static_cast<double>(most_live_.value) / 1048576.0, ratio,
      static_cast<unsigned long long>(cuda_calls("cuEventSynchronize")), taken_);
  EXPECT_LE(ratio, 1.1);
  EXPECT_GT(cuda_live(VASIM_CUDA_WORK), 0U) << "the streams were busy";
  for (const auto& [block, on] : kept)
    expect_contents(block);
  for (const auto& [block, on] : kept)
    give(block, on);
  EXPECT_EQ(streams_->validate(), nullptr);
  streams_->trim(true);
  EXPECT_EQ(streams_->report().physical, Bytes{});
  EXPECT_EQ(cuda_live(VASIM_CUDA_MAPPINGS), 0U);
}

// The smallest case: a hole of a busy stream is too small, and so its pages are needed at another address.
TEST_F(BusyStreams, C9_C13_AnEmptiedPageIsMappedTwiceUntilItsStreamHasPassed) {
  start_streams("small_memory");
  const Block wall = leave_a_hole(4_MiB);
  const std::uint64_t unmaps = cuda_calls("cuMemUnmap");
  const std::uint64_t mappings = cuda_live(VASIM_CUDA_MAPPINGS);
  const Block second = take(30_MiB, a_);
  EXPECT_EQ(cuda_calls("cuMemUnmap"), unmaps) << "the stream has not passed";
  EXPECT_EQ(cuda_live(VASIM_CUDA_MAPPINGS), mappings + 15);
  EXPECT_LE(streams_->report().physical, 50_MiB) << "24 of the 30 MiB were there";
  DRIVER(vasim_cuda_hold_streams)(0);
  expect_contents(second);
  expect_contents(wall);
  give(second, a_);
  give(wall, a_);
  streams_->trim(true);
  EXPECT_EQ(cuda_live(VASIM_CUDA_MAPPINGS), 0U);
  EXPECT_EQ(cuda_live(VASIM_CUDA_HANDLES), 0U);
  EXPECT_EQ(cuda_live(VASIM_CUDA_RESERVATIONS), 0U);
  EXPECT_EQ(streams_->validate(), nullptr);
}

// An unmap that the driver refuses is asked for again.
TEST_F(BusyStreams, C16_R7_WhatIsNotUnmappedAtOnceIsLater) {
  start_streams("small_memory");
  const Block wall = leave_a_hole(4_MiB);
  const Block second = take(30_MiB, a_);
  DRIVER(vasim_cuda_hold_streams)(0);
  ASSERT_TRUE(backend_->wait_for(a_));
  const std::uint64_t mappings = cuda_live(VASIM_CUDA_MAPPINGS);
  ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuMemUnmap", 1, 100, CUDA_ERROR_UNKNOWN), 0);
  streams_->trim();
  DRIVER(vasim_cuda_clear_failures)();
  EXPECT_EQ(cuda_live(VASIM_CUDA_MAPPINGS), mappings);
  streams_->trim();
  EXPECT_EQ(cuda_live(VASIM_CUDA_MAPPINGS), mappings - 12) << "the first block's";
  expect_contents(second);
  expect_contents(wall);
  EXPECT_EQ(streams_->validate(), nullptr);
}

// What lingers and is not used elsewhere yet comes back to its address without a driver call.
TEST_F(BusyStreams, WhatLingersUnusedIsTakenUpAgainInPlace) {
  start_streams("small_memory");
  const Block wall = leave_a_hole(2_MiB);
  const Block elsewhere = take(26_MiB, a_);  // needs 13 pages: 12 of them linger, one is new
  const Bytes physical = streams_->report().physical;
  give(elsewhere, a_);
  const std::uint64_t maps = cuda_calls("cuMemMap");
  const Block again = take(26_MiB, a_);
  EXPECT_EQ(again.address, elsewhere.address);
  EXPECT_EQ(cuda_calls("cuMemMap"), maps);
  EXPECT_EQ(streams_->report().physical, physical);
  DRIVER(vasim_cuda_hold_streams)(0);
  expect_contents(again);
  give(again, a_);
  give(wall, a_);
  EXPECT_EQ(streams_->validate(), nullptr);
}

// Where the hole itself is wanted again while its pages are used elsewhere, the stream is waited for: no
// longer than to where it was when they were taken away.
TEST_F(BusyStreams, C4_C13_AnAddressWhosePageIsElsewhereIsBoundWhenTheStreamHasPassed) {
  start_streams("small_memory");
  const Block first = take(24_MiB, a_);
  const Block wall = take(4_MiB, a_);
  work_on(first.address, first.size, a_);
  give(first, a_);
  const Block second = take(30_MiB, a_);
  const Block third = take(6_MiB, a_);
  for (const Block& block : {wall, second, third})
    expect_contents(block);
  for (const Block& block : {wall, second, third})
    give(block, a_);
  streams_->trim(true);
  EXPECT_EQ(streams_->report().physical, Bytes{});
  EXPECT_EQ(streams_->validate(), nullptr);
}

// Random sizes that come and go on two streams that are kept busy by long work.
TEST_F(BusyStreams, C13_ContentsSurviveWhatMovesUnderThem) {
  for (const char* profile : {"small_memory", VASPACE_CUDA_PROFILES "/small_64k.json"}) {
    start_streams(profile, {}, "delay_us=50..300");
    std::vector<std::pair<Block, cuda::Stream>> live;
    std::uint64_t state = 7;
    const auto below = [&](std::uint64_t n) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      return (state >> 33U) % n;
    };
    for (int i = 0; i < 600; ++i) {
      const cuda::Stream on = below(2) == 0 ? a_ : b_;
      if (live_ < 30_MiB && (live.empty() || below(5) < 3)) {
        live.emplace_back(take(Bytes{1 + below(below(4) == 0 ? 9'000'000 : 900'000)}, on), on);
      } else {
        std::swap(live[below(live.size())], live.back());
        if (below(20) == 0) expect_contents(live.back().first);
        give(live.back().first, live.back().second);
        live.pop_back();
      }
    }
    for (const auto& [block, on] : live) {
      expect_contents(block);
      give(block, on);
    }
    EXPECT_EQ(streams_->validate(), nullptr);
    streams_->trim(true);
    EXPECT_EQ(streams_->report().physical, Bytes{});
    streams_.reset();
    for (const cuda::Stream made : made_)
      (void)backend_->destroy_stream(made);
    made_.clear();
  }
}

TEST_F(BusyStreams, MemoryIsSuspendedWithWhatLingers) {
  start_streams("small_memory", {}, "delay_us=500..900");
  const Block first = take(24_MiB, a_);
  const Block wall = take(4_MiB, a_);
  work_on(first.address, first.size, a_);
  give(first, a_);
  const Block second = take(30_MiB, a_);
  ASSERT_EQ(code_of(streams_->suspend(cuda::Suspend::offload)), "ok");
  EXPECT_EQ(cuda_live(VASIM_CUDA_MAPPINGS), 0U);
  EXPECT_EQ(cuda_live(VASIM_CUDA_HANDLES), 0U);
  ASSERT_EQ(code_of(streams_->resume()), "ok");
  expect_contents(second);
  expect_contents(wall);
  give(second, a_);
  give(wall, a_);
}

}  // namespace
}  // namespace vaspace::test
