// C16, R7: whatever driver call is refused in what streams do, what is live is as it was, nothing is lost,
// and the same call works when tried again.
#include <vector>

#include "cuda/failing_calls.hpp"

namespace vaspace::test {
namespace {

class CudaStreamFailures : public CudaFailures {
 protected:
  static constexpr const char* kPages64K = VASPACE_CUDA_PROFILES "/small_64k.json";

  // So many bytes are the device's to give, the rest is another process's.
  void leave(Bytes size) { EXPECT_EQ(DRIVER(vasim_cuda_take_memory)(0, (64_MiB - size).value), 0); }
  [[nodiscard]] bool try_allocate(Bytes size, cuda::Stream on) {
    return streams_->allocate(size, on).has_value();
  }
  // The calls that are refused may be this.
  void insist_on_work(Address at, int value) {
    const auto put = [&] { return backend_->fill(at, static_cast<std::byte>(value), 1_KiB, a_); };
    EXPECT_TRUE(put() || put() || put());
  }
  void expect_value(Address at, Bytes size, int value) {
    EXPECT_EQ(read(at), value);
    EXPECT_EQ(read(at + size - Bytes{1}), value);
  }
};

TEST_F(CudaStreamFailures, C16_R7_OfTheFirstAllocation) {
  for (const Bytes size : {1_KiB, 100_KiB, 5_MiB}) {
    at_every_refusal([&]() -> Attempt {
      start_streams(kPages64K, {}, "");
      return [this, size] { return try_allocate(size, a_); };
    });
  }
}

TEST_F(CudaStreamFailures, C16_R7_OfAStreamsAllocations) {
  memory_may_be_found_ = true;
  at_every_refusal(
      [&]() -> Attempt {
        start_streams(kPages64K, {}, "");
        leave(704_KiB);
        const Address on_a = allocate(192_KiB, a_);
        const Address on_b = allocate(192_KiB, b_);
        const Address kept = allocate(100_KiB, b_);
        work_on(kept, 100_KiB, b_, 9);
        EXPECT_TRUE(streams_->free(on_a, a_) && streams_->free(on_b, b_));
        return [this, kept] {
          // Of new pages, of the stream's own and of the other's.
          const bool done = streams_->allocate(512_KiB, a_).has_value();
          DRIVER(vasim_cuda_clear_failures)();
          EXPECT_EQ(read(kept + 99_KiB), 9);
          return done;
        };
      },
      Left::less);
}

TEST_F(CudaStreamFailures, C16_R7_OfSuspendAndResume) {
  at_every_refusal([&]() -> Attempt {
    start_streams(kPages64K, {}, "");
    const Address kept = allocate(200_KiB, a_);
    const Address other = allocate(100_KiB, b_);
    work_on(kept, 200_KiB, a_, 5);
    work_on(other, 100_KiB, b_, 6);
    EXPECT_TRUE(backend_->wait_idle());
    streams_->trim(true);
    return [this, kept, other] {
      if (!streams_->suspend(cuda::Suspend::offload)) {
        DRIVER(vasim_cuda_clear_failures)();
        EXPECT_EQ(read(kept + 199_KiB), 5);
        EXPECT_EQ(read(other), 6);
        return false;
      }
      const auto resumed = streams_->resume();
      DRIVER(vasim_cuda_clear_failures)();
      if (!resumed) {
        if (is_exact()) {
          EXPECT_EQ(streams_->report().physical, Bytes{});
        }
        EXPECT_TRUE(streams_->resume());
        EXPECT_EQ(read(kept + 199_KiB), 5);
        EXPECT_EQ(read(other), 6);
      }
      return resumed.has_value();
    };
  });
}

TEST_F(CudaStreamFailures, C16_R7_OfReleasingAStream) {
  at_every_refusal(
      [&]() -> Attempt {
        start_streams("small_memory");
        const Address mine = allocate(4_MiB, a_);
        const Address crossed = allocate(4_MiB, b_);
        EXPECT_TRUE(streams_->free(mine, a_) && streams_->free(crossed, a_));
        return [this] { return streams_->release_stream(a_).has_value(); };
      },
      Left::less);
}

TEST_F(CudaStreamFailures, C16_R7_OfDiscardingAndResuming) {
  at_every_refusal([&]() -> Attempt {
    start_streams(kPages64K, {}, "");
    const Address kept = allocate(200_KiB, a_);
    work_on(kept, 200_KiB, a_, 5);
    EXPECT_TRUE(backend_->wait_idle());
    streams_->trim(true);
    return [this, kept] {
      if (!streams_->suspend(cuda::Suspend::discard)) {
        DRIVER(vasim_cuda_clear_failures)();
        expect_value(kept, 200_KiB, 5);
        return false;
      }
      const auto resumed = streams_->resume();
      DRIVER(vasim_cuda_clear_failures)();
      if (!resumed) {
        if (is_exact()) {
          EXPECT_EQ(streams_->report().physical, Bytes{});
        }
        EXPECT_TRUE(streams_->resume());
      }
      if (is_exact()) expect_value(kept, 200_KiB, 0);  // pages that were kept back hold what they held
      return true;
    };
  });
}

// Pages that are scattered over one stream's holes come together behind one range, and all of it is needed.
TEST_F(CudaStreamFailures, C16_R7_OfStitching) {
  memory_may_be_found_ = true;
  at_every_refusal(
      [&]() -> Attempt {
        start_streams(kPages64K, {}, "");
        leave(1_MiB);
        std::vector<Address> blocks;
        for (int i = 0; i < 8; ++i) {
          blocks.push_back(allocate(128_KiB, i % 2 == 0 ? a_ : b_));
          work_on(blocks.back(), 128_KiB, i % 2 == 0 ? a_ : b_, i + 1);
        }
        EXPECT_TRUE(backend_->wait_idle());
        for (std::size_t i = 0; i < 8; ++i) {
          if (i % 4 < 2) {
            EXPECT_TRUE(streams_->free(blocks[i], i % 2 == 0 ? a_ : b_));
          }
        }
        return [this, blocks] {
          const auto got = streams_->allocate(512_KiB, b_);
          DRIVER(vasim_cuda_clear_failures)();
          for (std::size_t i = 0; i < 8; ++i) {
            if (i % 4 >= 2) expect_value(blocks[i], 128_KiB, static_cast<int>(i) + 1);
          }
          return got.has_value();
        };
      },
      Left::less);
}

// The same on a stream that is busy: the old mappings stay until it has passed (C13).
TEST_F(CudaStreamFailures, C13_C16_R7_OfReusingABusyStreamsPages) {
  memory_may_be_found_ = true;
  at_every_refusal(
      [&]() -> Attempt {
        start_streams(kPages64K, {}, "delay_us=300..400");
        const Address first = allocate(1_MiB, a_);
        const Address wall = allocate(64_KiB, a_);
        work_on(wall, 64_KiB, a_, 3);
        work_on(first, 1_MiB, a_);
        EXPECT_TRUE(streams_->free(first, a_));
        return [this, wall] {
          const auto second = streams_->allocate(1536_KiB, a_);
          if (second) insist_on_work(*second, 8);
          const auto third = second ? streams_->allocate(700_KiB, a_) : fail(second.error());
          DRIVER(vasim_cuda_clear_failures)();
          expect_value(wall, 64_KiB, 3);
          if (second) {
            EXPECT_EQ(read(*second), 8);
          }
          if (third) {
            EXPECT_TRUE(streams_->free(*third, a_));
          }
          if (second) {
            EXPECT_TRUE(streams_->free(*second, a_));
          }
          streams_->trim(true);
          EXPECT_LE(cuda_live(VASIM_CUDA_MAPPINGS), 2U) << "nothing lingers for ever";
          return third.has_value();
        };
      },
      Left::less);
}

// Freed on another stream than its own, and recorded for a third: an event for each, and home.
TEST_F(CudaStreamFailures, C16_R7_OfSettlingWhatWasFreedElsewhere) {
  for (const bool recorded : {false, true}) {
    at_every_refusal(
        [&]() -> Attempt {
          start_streams(kPages64K, {}, "delay_us=300..400");
          const Address block = allocate(300_KiB, a_);
          const Address kept = allocate(64_KiB, a_);
          work_on(kept, 64_KiB, a_, 4);
          const cuda::Stream third = stream();
          if (recorded) {
            EXPECT_TRUE(streams_->record_stream(block, third));
          }
          work_on(block, 300_KiB, b_);
          work_on(block, 300_KiB, third);
          EXPECT_TRUE(backend_->order_after(b_, *backend_->mark(third)));
          EXPECT_TRUE(streams_->free(block, b_));
          return [this, kept] {
            streams_->trim(true);
            const bool done = streams_->report().waiting == Bytes{} && streams_->report().physical <= 128_KiB;
            DRIVER(vasim_cuda_clear_failures)();
            expect_value(kept, 64_KiB, 4);
            return done;
          };
        },
        Left::less);
  }
}

TEST_F(CudaStreamFailures, C16_R7_OfTrimming) {
  at_every_refusal(
      [&]() -> Attempt {
        start_streams(kPages64K, {}, "");
        const Address block = allocate(1_MiB, a_);
        const Address small = allocate(1_KiB, b_);
        EXPECT_TRUE(streams_->free(block, a_) && streams_->free(small, b_));
        return [this] {
          streams_->trim(true);
          return streams_->report().physical == Bytes{} && cuda_live(VASIM_CUDA_RESERVATIONS) == 0;
        };
      },
      Left::less);
}

TEST_F(CudaStreamFailures, C16_R7_OfAddingAStreamAgain) {
  at_every_refusal([&]() -> Attempt {
    start_streams(kPages64K, {}, "delay_us=300..400");
    const Address block = allocate(1_MiB, a_);
    work_on(block, 1_MiB, a_);
    EXPECT_TRUE(streams_->free(block, a_) && streams_->release_stream(a_));
    return [this] {
      const bool added = streams_->add_stream(a_).has_value();
      DRIVER(vasim_cuda_clear_failures)();
      EXPECT_EQ(code_of(streams_->size_of(Address{4096})), "unknown_address");
      if (!added) {
        EXPECT_EQ(code_of(streams_->allocate(1_KiB, a_)), "wrong_state");
      }
      return added;
    };
  });
}

TEST_F(CudaStreamFailures, C16_R7_OfAnotherStreamThatTakesAReleasedOnesPool) {
  at_every_refusal(
      [&]() -> Attempt {
        cuda::StreamConfig config;
        config.max_pools = 1;
        start_streams(kPages64K, config, "delay_us=300..400");
        const Address block = allocate(1_MiB, a_);
        work_on(block, 1_MiB, a_);
        EXPECT_TRUE(streams_->free(block, a_) && streams_->release_stream(a_));
        return [this] { return try_allocate(512_KiB, b_); };
      },
      Left::less);
}

TEST_F(CudaStreamFailures, C2_C16_R7_WhereReservationsAreChains) {
  at_every_refusal([&]() -> Attempt {
    start_streams(VASPACE_CUDA_PROFILES "/scarce_addresses.json", {}, "");
    // The arena asks for more, as chains, and makes do with what can be had side by side.
    return [this] { return try_allocate(12_MiB, a_); };
  });
}

TEST_F(CudaStreamFailures, C16_R7_OfPinnedMemory) {
  at_every_refusal(
      [&]() -> Attempt {
        cuda::StreamConfig config;
        config.kind = cuda::MemoryKind::pinned;
        start_streams("small_memory", config, "");
        const Address kept = allocate(100_KiB, a_);
        reinterpret_cast<std::byte*>(kept.value)[0] = std::byte{9};
        return [this, kept] {
          const auto more = streams_->allocate(8_MiB, a_);
          if (!more) return false;
          EXPECT_TRUE(streams_->free(*more, b_));
          streams_->trim(true);
          EXPECT_EQ(reinterpret_cast<std::byte*>(kept.value)[0], std::byte{9});
          const bool done = streams_->report().waiting == Bytes{};
          DRIVER(vasim_cuda_clear_failures)();
          if (!done) streams_->trim(true);
          return done;
        };
      },
      Left::less);
}

// A refused unbind, destroy or release is tried again: nothing is lost over many of them.
TEST_F(CudaStreamFailures, C15_C16_NothingIsLostWhereAShareOfAllCallsFails) {
  start_streams("small_memory");
  ASSERT_EQ(DRIVER(vasim_cuda_fail_share)("*", 50'000, 3, CUDA_ERROR_UNKNOWN), 0);
  std::vector<std::pair<Address, cuda::Stream>> live;
  std::uint64_t state = 1;
  const auto below = [&](std::uint64_t n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33U) % n;
  };
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    const cuda::Stream stream = below(2) == 0 ? a_ : b_;
    if (below(2) == 0 || live.empty()) {
      const Bytes size{1 + below(below(4) == 0 ? 12'000'000 : 300'000)};
      const auto got = streams_->allocate(size, stream);
      if (got) live.emplace_back(*got, stream);
      refused += got ? 0 : 1;
    } else {
      std::swap(live[below(live.size())], live.back());
      ASSERT_TRUE(streams_->free(live.back().first, below(4) == 0 ? stream : live.back().second));
      live.pop_back();
    }
    if (i % 50 == 0) streams_->trim();
  }
  DRIVER(vasim_cuda_clear_failures)();
  EXPECT_GT(refused, 0);
  EXPECT_EQ(streams_->validate(), nullptr);
  EXPECT_EQ(streams_->report().live_allocations, live.size());
  for (const auto& [address, stream] : live)
    EXPECT_TRUE(streams_->free(address, stream));
  streams_->trim(true);
  EXPECT_EQ(streams_->report().physical, Bytes{});
  EXPECT_EQ(cuda_live(VASIM_CUDA_HANDLES), 0U);
}

}  // namespace
}  // namespace vaspace::test
