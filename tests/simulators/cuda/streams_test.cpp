// Streams and events: nothing happens at the call, order is what was asked for and nothing more.
#include <atomic>
#include <thread>
#include <vector>

#include "simulated.hpp"

namespace vasim::cuda::test {
namespace {

class CudaStreams : public Simulated {
 protected:
  template <class Value = unsigned char>
  static Value* pinned(std::size_t count = 1) {
    void* memory = nullptr;
    EXPECT_OK(DRIVER(cuMemHostAlloc)(&memory, count * sizeof(Value), 0));
    return static_cast<Value*>(memory);
  }

  // Keeps a stream busy until it is opened.
  struct Gate {
    std::atomic<bool> open{false};

    explicit Gate(CUstream queue) {
      EXPECT_OK(DRIVER(cuLaunchHostFunc)(
          queue,
          [](void* gate) {
            while (!static_cast<Gate*>(gate)->open)
              std::this_thread::yield();
          },
          this));
    }
  };

  // Long enough for a driver that runs it wrongly to be found out; a right one never fails.
  static void expect_it_stays_busy(CUstream queue) {
    for (int i = 0; i != 2000; ++i) {
      ASSERT_EQ(DRIVER(cuStreamQuery)(queue), CUDA_ERROR_NOT_READY);
      std::this_thread::yield();
    }
  }

  static void hold(bool held) { DRIVER(vasim_cuda_hold_streams)(held ? 1 : 0); }
};

TEST_F(CudaStreams, NothingHappensAtTheCall) {
  start("default", "delay_us=0");
  const CUdeviceptr memory = allocate(4096);
  unsigned char* const seen = pinned();
  *seen = 1;
  const CUstream queue = stream();
  hold(true);
  EXPECT_OK(DRIVER(cuMemsetD8Async)(memory, 9, 4096, queue));
  EXPECT_OK(DRIVER(cuMemcpyDtoHAsync)(seen, memory, 1, queue));
  expect_it_stays_busy(queue);
  EXPECT_EQ(*seen, 1);
  hold(false);
  EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
  EXPECT_EQ(*seen, 9);
  EXPECT_OK(DRIVER(cuStreamQuery)(queue));
}

TEST_F(CudaStreams, StreamsAreNotOrderedAgainstEachOther) {
  start();
  const CUdeviceptr memory = allocate(1);
  unsigned char* const seen = pinned();
  const CUstream stuck = stream(), free = stream();
  Gate gate(stuck);
  EXPECT_OK(DRIVER(cuMemsetD8Async)(memory, 3, 1, stuck));
  EXPECT_OK(DRIVER(cuMemsetD8Async)(memory, 2, 1, free));
  EXPECT_OK(DRIVER(cuMemcpyDtoHAsync)(seen, memory, 1, free));
  EXPECT_OK(DRIVER(cuStreamSynchronize)(free)) << "while the other is stuck";
  EXPECT_EQ(*seen, 2);
  EXPECT_EQ(DRIVER(cuStreamQuery)(stuck), CUDA_ERROR_NOT_READY);
  gate.open = true;
  EXPECT_OK(DRIVER(cuStreamSynchronize)(stuck));
}

TEST_F(CudaStreams, AnEventOrdersTwoStreams) {
  start("default", "delay_us=0..300");
  const CUdeviceptr memory = allocate(4);
  const CUstream first = stream(), second = stream();
  CUevent event = nullptr;
  ASSERT_OK(DRIVER(cuEventCreate)(&event, CU_EVENT_DISABLE_TIMING));
  EXPECT_OK(DRIVER(cuStreamWaitEvent)(second, event, 0)) << "never recorded: no wait";
  for (unsigned round = 1; round != 50; ++round) {
    EXPECT_OK(DRIVER(cuMemsetD32Async)(memory, round, 1, first));
    EXPECT_OK(DRIVER(cuEventRecord)(event, first));
    EXPECT_OK(DRIVER(cuStreamWaitEvent)(second, event, 0));
    unsigned value = 0;
    EXPECT_OK(DRIVER(cuMemcpyDtoHAsync)(&value, memory, 4, second)) << "pageable: returns when it is over";
    EXPECT_EQ(value, round);
    // What `second` has read may be overwritten: its copy is over.
  }
  EXPECT_OK(DRIVER(cuEventSynchronize)(event));
  EXPECT_OK(DRIVER(cuEventDestroy)(event));
  EXPECT_EQ(DRIVER(cuEventQuery)(event), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(CudaStreams, TheDefaultStreamOrdersBlockingStreams) {
  start("default", "delay_us=0");
  const CUdeviceptr memory = allocate(4);
  const CUstream blocking = stream(CU_STREAM_DEFAULT), apart = stream();
  {
    Gate gate(blocking);
    EXPECT_OK(DRIVER(cuMemsetD32Async)(memory, 1, 1, nullptr));
    expect_it_stays_busy(nullptr);
    EXPECT_OK(DRIVER(cuMemsetD32Async)(memory, 2, 1, apart));
    EXPECT_OK(DRIVER(cuStreamSynchronize)(apart)) << "it is none of the ordered ones";
    gate.open = true;
    EXPECT_OK(DRIVER(cuStreamSynchronize)(nullptr));
  }
  {
    Gate gate(nullptr);
    EXPECT_OK(DRIVER(cuMemsetD32Async)(memory, 3, 1, blocking));
    expect_it_stays_busy(blocking);
    gate.open = true;
    EXPECT_OK(DRIVER(cuStreamSynchronize)(blocking));
  }
  Gate gate(apart);
  unsigned value = 0;
  EXPECT_OK(DRIVER(cuMemcpyDtoH)(&value, memory, 4)) << "the default stream does not wait for it";
  EXPECT_EQ(value, 3U);
  gate.open = true;
  EXPECT_OK(DRIVER(cuCtxSynchronize)());
}

TEST_F(CudaStreams, PageableMemoryMayBeReusedAfterTheCall) {
  start();
  const CUdeviceptr memory = allocate(4096);
  std::vector<unsigned char> source(4096, 7);
  const CUstream queue = stream();
  hold(true);
  EXPECT_OK(DRIVER(cuMemcpyHtoDAsync)(memory, source.data(), source.size(), queue));
  source.assign(4096, 8);
  hold(false);
  std::vector<unsigned char> back(4096);
  EXPECT_OK(DRIVER(cuMemcpyDtoHAsync)(back.data(), memory, back.size(), queue));
  EXPECT_EQ(back, std::vector<unsigned char>(4096, 7));
  // Pinned memory is read when the copy runs.
  unsigned char* const pinned_source = pinned();
  *pinned_source = 7;
  hold(true);
  EXPECT_OK(DRIVER(cuMemcpyHtoDAsync)(memory, pinned_source, 1, queue));
  *pinned_source = 8;
  hold(false);
  EXPECT_OK(DRIVER(cuMemcpyDtoHAsync)(back.data(), memory, 1, queue));
  EXPECT_EQ(back[0], 8);
}

TEST_F(CudaStreams, EventsMeasureTime) {
  start("default", "delay_us=1000");
  const CUdeviceptr memory = allocate(1);
  CUevent begin = nullptr, end = nullptr, silent = nullptr;
  ASSERT_OK(DRIVER(cuEventCreate)(&begin, 0));
  ASSERT_OK(DRIVER(cuEventCreate)(&end, 0));
  ASSERT_OK(DRIVER(cuEventCreate)(&silent, CU_EVENT_DISABLE_TIMING));
  float milliseconds = -1;
  EXPECT_EQ(DRIVER(cuEventElapsedTime)(&milliseconds, begin, end), CUDA_ERROR_INVALID_HANDLE)
      << "not recorded";
  const CUstream queue = stream();
  hold(true);
  EXPECT_OK(DRIVER(cuEventRecord)(begin, queue));
  EXPECT_OK(DRIVER(cuMemsetD8Async)(memory, 1, 1, queue));
  EXPECT_OK(DRIVER(cuEventRecord)(end, queue));
  EXPECT_OK(DRIVER(cuEventRecord)(silent, queue));
  EXPECT_EQ(DRIVER(cuEventQuery)(end), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(DRIVER(cuEventElapsedTime)(&milliseconds, begin, end), CUDA_ERROR_NOT_READY);
  hold(false);
  EXPECT_OK(DRIVER(cuEventSynchronize)(end));
  EXPECT_OK(DRIVER(cuEventElapsedTime)(&milliseconds, begin, end));
  EXPECT_GE(milliseconds, 2.0F) << "two pieces of work began a millisecond late each";
  EXPECT_EQ(DRIVER(cuEventElapsedTime)(&milliseconds, begin, silent), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(CudaStreams, ADestroyedStreamFinishesItsWork) {
  start();
  const CUdeviceptr memory = allocate(1);
  unsigned char* const seen = pinned();
  CUevent event = nullptr;
  ASSERT_OK(DRIVER(cuEventCreate)(&event, 0));
  const CUstream queue = stream();
  hold(true);
  EXPECT_OK(DRIVER(cuMemsetD8Async)(memory, 5, 1, queue));
  EXPECT_OK(DRIVER(cuMemcpyDtoHAsync)(seen, memory, 1, queue));
  EXPECT_OK(DRIVER(cuEventRecord)(event, queue));
  EXPECT_OK(DRIVER(cuStreamDestroy)(queue));
  EXPECT_EQ(DRIVER(cuStreamQuery)(queue), CUDA_ERROR_INVALID_HANDLE);
  hold(false);
  EXPECT_OK(DRIVER(cuEventSynchronize)(event));
  EXPECT_EQ(*seen, 5);
}

TEST_F(CudaStreams, AWaitForTheContextCoversStreamsThatAreGone) {
  start("default", "delay_us=0");
  const CUdeviceptr at = reserve(piece_);
  for (const unsigned flags : {CU_STREAM_NON_BLOCKING, CU_STREAM_DEFAULT}) {
    map_piece(at);
    const CUstream queue = stream(flags);
    EXPECT_OK(DRIVER(cuMemsetD8Async)(at, 1, piece_, queue));
    EXPECT_OK(DRIVER(cuStreamDestroy)(queue));
    EXPECT_OK(DRIVER(cuCtxSynchronize)());
    unmap_piece(at);
  }
}

TEST_F(CudaStreams, ManyShortLivedStreams) {
  start("default", "delay_us=0");
  const CUdeviceptr memory = allocate(4 * 1000);
  const CUdeviceptr at = reserve(piece_);
  map_piece(at);
  for (unsigned i = 0; i != 1000; ++i) {
    const CUstream queue = stream();
    EXPECT_OK(DRIVER(cuMemcpyDtoDAsync)(memory + 4 * i, at, 4, queue));
    if (i % 2 == 0) {
      EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
    }
    EXPECT_OK(DRIVER(cuStreamDestroy)(queue));
  }
  EXPECT_OK(DRIVER(cuCtxSynchronize)());
  unmap_piece(at);
}

TEST_F(CudaStreams, HostFunctionsRunInOrderAndMayNotCallTheDriver) {
  start();
  struct Seen {
    std::vector<int> order;
    CUresult inside = CUDA_SUCCESS;
  } seen;
  const CUstream queue = stream();
  for (int i = 0; i != 3; ++i)
    EXPECT_OK(DRIVER(cuLaunchHostFunc)(
        queue, [](void* data) { static_cast<Seen*>(data)->order.push_back(0); }, &seen));
  breaks("host-function");
  EXPECT_OK(DRIVER(cuStreamAddCallback)(
      queue,
      [](CUstream, CUresult status, void* data) {
        EXPECT_EQ(status, CUDA_SUCCESS);
        CUdeviceptr none = 0;
        static_cast<Seen*>(data)->inside = DRIVER(cuMemAlloc)(&none, 1);
      },
      &seen, 0));
  EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
  EXPECT_EQ(seen.order.size(), 3U);
  EXPECT_EQ(seen.inside, CUDA_ERROR_NOT_PERMITTED);
}

TEST_F(CudaStreams, AHostFunctionThatHasRunIsAWait) {
  start();
  const CUdeviceptr at = reserve(piece_);
  map_piece(at);
  const CUstream queue = stream();
  std::atomic<bool> done{false};
  EXPECT_OK(DRIVER(cuMemsetD8Async)(at, 1, piece_, queue));
  EXPECT_OK(DRIVER(cuLaunchHostFunc)(
      queue, [](void* flag) { static_cast<std::atomic<bool>*>(flag)->store(true); }, &done));
  while (!done)
    std::this_thread::yield();
  unmap_piece(at);
}

TEST_F(CudaStreams, EveryThreadHasADefaultStreamOfItsOwn) {
  start();
  const CUdeviceptr memory = allocate(1);
  hold(true);
  EXPECT_OK(DRIVER(cuMemsetD8Async)(memory, 1, 1, CU_STREAM_PER_THREAD));
  EXPECT_EQ(DRIVER(cuStreamQuery)(CU_STREAM_PER_THREAD), CUDA_ERROR_NOT_READY);
  std::thread([&] {
    EXPECT_OK(DRIVER(cuCtxSetCurrent)(context_));
    EXPECT_OK(DRIVER(cuStreamQuery)(CU_STREAM_PER_THREAD)) << "another one, with nothing to do";
  }).join();
  hold(false);
  EXPECT_OK(DRIVER(cuStreamSynchronize)(CU_STREAM_PER_THREAD));
}

TEST_F(CudaStreams, ManyThreadsUseManyStreams) {
  start("default", "delay_us=0..20");
  constexpr int kThreads = 4, kRounds = 40;
  std::vector<std::thread> threads;
  for (int t = 0; t != kThreads; ++t)
    threads.emplace_back([&, t] {
      ASSERT_OK(DRIVER(cuCtxSetCurrent)(context_));
      const CUstream queue = stream();
      for (int round = 0; round != kRounds; ++round) {
        const auto byte = static_cast<unsigned char>(t * kRounds + round);
        const CUdeviceptr at = reserve(piece_);
        map_piece(at);
        std::vector<unsigned char> back(64);
        EXPECT_OK(DRIVER(cuMemsetD8Async)(at, byte, back.size(), queue));
        EXPECT_OK(DRIVER(cuMemcpyDtoHAsync)(back.data(), at, back.size(), queue));
        EXPECT_EQ(back, std::vector<unsigned char>(back.size(), byte));
        unmap_piece(at);
        EXPECT_OK(DRIVER(cuMemAddressFree)(at, piece_));
      }
      EXPECT_OK(DRIVER(cuStreamDestroy)(queue));
    });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(live(VASIM_CUDA_HANDLES), 0U);
}

}  // namespace
}  // namespace vasim::cuda::test
