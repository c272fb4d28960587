// T1, T2: eight threads on four streams. The simulated driver reports whatever touches memory out of order.
#include <atomic>
#include <thread>
#include <vector>

#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

#ifdef VASPACE_TEST_SANITIZED
constexpr int kRounds = 400;
#else
constexpr int kRounds = 3000;
#endif

class CudaThreads : public StreamTest {
 protected:
  struct Live {
    Address address;
    Bytes size;
    int value;
    std::size_t stream;
  };

  // A thread's work: blocks of its own, each filled on its stream and read back there before it is freed.
  void churn(unsigned seed, const std::vector<cuda::Stream>& streams, std::atomic<int>& wrong,
             bool crossing) {
    std::uint64_t state = seed * 7919 + 1;
    const auto below = [&](std::uint64_t n) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      return (state >> 33U) % n;
    };
    std::vector<Live> live;
    const auto give = [&](std::size_t i) {
      const Live gone = live[i];
      live[i] = live.back();
      live.pop_back();
      const cuda::Stream stream = streams[gone.stream];
      if (below(16) == 0) {
        std::byte byte{};
        if (!backend_->wait_for(stream) ||
            !backend_->copy_to_host(&byte, gone.address + gone.size - Bytes{1}, Bytes{1}) ||
            std::to_integer<int>(byte) != gone.value)
          ++wrong;
      }
      // Freed elsewhere: the other stream is ordered behind the block's own first.
      std::size_t on = gone.stream;
      if (crossing && below(8) == 0) {
        on = below(streams.size());
        const auto point = backend_->mark(stream);
        if (!point || !backend_->order_after(streams[on], *point)) ++wrong;
      }
      if (!streams_->free(gone.address, streams[on])) ++wrong;
    };
    for (int i = 0; i < kRounds; ++i) {
      if (live.size() < 12 && below(5) < 3) {
        Live one{{},
                 Bytes{1 + below(below(10) == 0 ? 3'000'000 : 40'000)},
                 static_cast<int>(1 + below(250)),
                 below(streams.size())};
        const auto got = streams_->allocate(one.size, streams[one.stream]);
        if (!got) {
          ++wrong;
          continue;
        }
        one.address = *got;
        if (!backend_->fill(one.address, static_cast<std::byte>(one.value), one.size, streams[one.stream]))
          ++wrong;
        live.push_back(one);
      } else if (!live.empty()) {
        give(below(live.size()));
      }
      if (seed == 0 && i % 200 == 0) streams_->trim(i % 400 == 0);
    }
    while (!live.empty())
      give(0);
  }
  void run(bool crossing) {
    start_streams("default", {}, "delay_us=0..20");
    std::vector<cuda::Stream> streams{a_, b_, stream(), stream()};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 8; ++i)
      threads.emplace_back([&, i] { churn(i, streams, wrong, crossing); });
    for (std::thread& thread : threads)
      thread.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(streams_->validate(), nullptr);
    EXPECT_EQ(streams_->report().live_allocations, 0U);
    streams_->trim(true);
    EXPECT_EQ(streams_->report().physical, Bytes{});
  }
};

TEST_F(CudaThreads, T1_EightThreadsOnFourStreams) {
  run(false);
}

TEST_F(CudaThreads, T1_EightThreadsThatFreeOnOtherStreams) {
  run(true);
}

// Somebody waits for a stream that does not get on: the others free, allocate and mark all the same.
TEST_F(CudaThreads, T2_AFreeReturnsWhileAnotherThreadWaitsForTheStream) {
  start_streams("small_memory", {}, "delay_us=0..20");
  const Address first = allocate(30_MiB, a_);
  const Address second = allocate(1_MiB, a_);
  const Address copied = allocate(1_MiB, b_);
  const cuda::Stream idle = stream();
  work_on(first, 30_MiB, b_);
  DRIVER(vasim_cuda_hold_streams)(1);
  ASSERT_EQ(code_of(streams_->free(first, b_)), "ok");
  std::vector<std::byte> bytes(1024);
  std::thread waiting([&] { streams_->trim(true); });
  std::thread copying([&] { (void)backend_->copy_to_host(bytes.data(), copied, Bytes{1024}); });
  const auto begun = [](const char* function) {
    while (cuda_calls(function) == 0)
      std::this_thread::yield();
  };
  begun("cuEventSynchronize");
  begun("cuMemcpyDtoHAsync");
  EXPECT_EQ(code_of(streams_->free(second, b_)), "ok");
  const auto again = streams_->allocate(1_MiB, b_);
  EXPECT_EQ(again.value_or(Address{}), second) << "freed on b, in b's order";
  EXPECT_EQ(code_of(backend_->mark(idle)), "ok");
  const auto page = streams_->allocate(20_MiB, idle);
  EXPECT_EQ(code_of(page), "ok") << "maps pages";
  EXPECT_GT(cuda_live(VASIM_CUDA_WORK), 0U);
  DRIVER(vasim_cuda_hold_streams)(0);
  waiting.join();
  copying.join();
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(CudaThreads, T1_SuspendingWhileThreadsAllocateAndFree) {
  start_streams("default", {}, "delay_us=0..20");
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      while (!stop) {
        const auto got = streams_->allocate(Bytes{1000 + i * 100'000}, i % 2 == 0 ? a_ : b_);
        if (!got && got.error().code != ErrorCode::wrong_state) ++wrong;
        if (got && !streams_->free(*got, i % 2 == 0 ? a_ : b_)) ++wrong;
        if (!got) std::this_thread::yield();
      }
    });
  }
  for (int i = 0; i < 30; ++i) {
    const auto suspended = streams_->suspend(cuda::Suspend::offload);
    if (suspended) {
      EXPECT_EQ(code_of(streams_->resume()), "ok");
    }
  }
  stop = true;
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(streams_->validate(), nullptr);
}

// Each thread's stream ends and begins again, while the others' look for pools, and memory is recorded for
// one that all of them use.
TEST_F(CudaThreads, T1_StreamsThatComeAndGoWhileOthersAllocate) {
  cuda::StreamConfig config;
  config.max_pools = 12;
  start_streams("default", config, "delay_us=0..20");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 8; ++i) {
    threads.emplace_back([&, on = stream(), i] {
      for (int round = 0; round < kRounds / 8; ++round) {
        const Bytes size{1000 + (i + static_cast<unsigned>(round)) % 7 * 700'000};
        if (!streams_->add_stream(on)) ++wrong;
        const auto block = streams_->allocate(size, on);
        if (!block || !backend_->fill(*block, std::byte{1}, Bytes{64}, on)) ++wrong;
        if (!streams_->record_stream(*block, b_)) ++wrong;
        const auto point = backend_->mark(on);
        if (!point || !backend_->order_after(b_, *point) ||
            !backend_->fill(*block, std::byte{2}, Bytes{64}, b_))
          ++wrong;
        if (!streams_->free(*block, on) || !streams_->release_stream(on)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(streams_->validate(), nullptr);
  streams_->trim(true);
  EXPECT_EQ(streams_->report().waiting, Bytes{});
  EXPECT_EQ(streams_->report().physical, Bytes{});
}

// Two threads on each of two busy streams, whose sizes never fit where the last ones were: pages are taken
// from under addresses that are still mapped, and the addresses are wanted again.
TEST_F(CudaThreads, C13_T1_BusyStreamsThatShareLittleMemory) {
  start_streams("small_memory", {}, "delay_us=20..200");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const cuda::Stream on = i % 2 == 0 ? a_ : b_;
      std::vector<Address> live;
      for (unsigned round = 0; round < unsigned{kRounds} / 20; ++round) {
        const Bytes size{500'000 + (round * 37 + i * 11) % 40 * 150'000};
        const auto block = streams_->allocate(size, on);
        if (!block) {
          // Four of them may be too much at a time; then there is nothing of ours left to wait for.
          if (block.error().code != ErrorCode::out_of_device_memory) ++wrong;
        } else {
          live.push_back(*block);
          if (!backend_->fill(*block + size - Bytes{64}, std::byte{1}, Bytes{64}, on)) ++wrong;
        }
        if (live.size() < 3 && block) continue;
        for (const Address address : live)
          if (!streams_->free(address, on)) ++wrong;
        live.clear();
      }
      for (const Address address : live)
        if (!streams_->free(address, on)) ++wrong;
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(streams_->validate(), nullptr);
  streams_->trim(true);
  EXPECT_EQ(streams_->report().physical, Bytes{});
  EXPECT_EQ(cuda_live(VASIM_CUDA_MAPPINGS), 0U);
}

}  // namespace
}  // namespace vaspace::test
