// Stream-ordered allocation.
#include <atomic>
#include <thread>
#include <vector>

#include "simulated.hpp"

namespace vasim::cuda::test {
namespace {

class CudaPools : public Simulated {
 protected:
  static CUmemoryPool default_pool() {
    CUmemoryPool pool = nullptr;
    EXPECT_OK(DRIVER(cuDeviceGetDefaultMemPool)(&pool, 0));
    return pool;
  }

  static std::uint64_t figure(CUmemoryPool pool, CUmemPool_attribute which) {
    cuuint64_t value = 0;
    EXPECT_OK(DRIVER(cuMemPoolGetAttribute)(pool, which, &value));
    return value;
  }

  static CUdeviceptr allocate(std::size_t size, CUstream queue) {
    CUdeviceptr at = 0;
    EXPECT_OK(DRIVER(cuMemAllocAsync)(&at, size, queue));
    return at;
  }
};

constexpr std::size_t kSize = 1U << 16U;

TEST_F(CudaPools, MemoryIsUsedAndFreedInStreamOrder) {
  start();
  const CUstream queue = stream();
  DRIVER(vasim_cuda_hold_streams)(1);
  const CUdeviceptr at = allocate(kSize, queue);
  EXPECT_OK(DRIVER(cuMemsetD8Async)(at, 3, kSize, queue));
  void* seen = nullptr;
  EXPECT_OK(DRIVER(cuMemHostAlloc)(&seen, 1, 0));
  EXPECT_OK(DRIVER(cuMemcpyDtoHAsync)(seen, at + kSize - 1, 1, queue));
  EXPECT_OK(DRIVER(cuMemFreeAsync)(at, queue));
  DRIVER(vasim_cuda_hold_streams)(0);
  EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
  EXPECT_EQ(*static_cast<unsigned char*>(seen), 3);
  EXPECT_EQ(live(VASIM_CUDA_ALLOCATIONS), 0U);
}

TEST_F(CudaPools, UseAfterTheFreeIsRefused) {
  start();
  const CUstream queue = stream();
  const CUdeviceptr at = allocate(kSize, queue);
  DRIVER(vasim_cuda_hold_streams)(1);
  EXPECT_OK(DRIVER(cuMemFreeAsync)(at, queue));
  breaks("freed-range");
  EXPECT_EQ(DRIVER(cuMemsetD8Async)(at, 3, kSize, queue), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(DRIVER(cuMemFreeAsync)(at, queue), CUDA_ERROR_INVALID_VALUE);
  DRIVER(vasim_cuda_hold_streams)(0);
  EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
  EXPECT_EQ(DRIVER(cuMemFree)(at), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(CudaPools, C13_AFreeWaitsForOtherStreams) {
  start();
  const CUstream owner = stream(), other = stream();
  CUevent ready = nullptr, done = nullptr;
  ASSERT_OK(DRIVER(cuEventCreate)(&ready, 0));
  ASSERT_OK(DRIVER(cuEventCreate)(&done, 0));
  CUdeviceptr at = allocate(kSize, owner);
  EXPECT_OK(DRIVER(cuEventRecord)(ready, owner));
  EXPECT_OK(DRIVER(cuStreamWaitEvent)(other, ready, 0));
  EXPECT_OK(DRIVER(cuMemsetD8Async)(at, 1, kSize, other));
  EXPECT_OK(DRIVER(cuEventRecord)(done, other));
  EXPECT_OK(DRIVER(cuStreamWaitEvent)(owner, done, 0));
  EXPECT_OK(DRIVER(cuMemFreeAsync)(at, owner));
  EXPECT_OK(DRIVER(cuCtxSynchronize)());

  breaks("C13");
  also_reports("freed-range");  // what comes of it, when `other` is as late as here
  at = allocate(kSize, owner);
  EXPECT_OK(DRIVER(cuStreamSynchronize)(owner));
  std::atomic<bool> go{false};
  EXPECT_OK(DRIVER(cuLaunchHostFunc)(
      other,
      [](void* flag) {
        while (!static_cast<std::atomic<bool>*>(flag)->load())
          std::this_thread::yield();
      },
      &go));
  EXPECT_OK(DRIVER(cuMemsetD8Async)(at, 1, kSize, other));
  EXPECT_OK(DRIVER(cuMemFreeAsync)(at, owner)) << "`other` is still to write";
  EXPECT_EQ(DRIVER(vasim_cuda_reports)("C13"), 1U);
  EXPECT_OK(DRIVER(cuStreamSynchronize)(owner));
  go = true;
  EXPECT_EQ(DRIVER(cuStreamSynchronize)(other), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(CudaPools, C13_AUseWaitsForTheAllocation) {
  start();
  const CUstream owner = stream(), other = stream();
  const CUdeviceptr at = allocate(kSize, owner);
  breaks("C13");
  EXPECT_OK(DRIVER(cuMemsetD8Async)(at, 1, kSize, other));
  EXPECT_OK(DRIVER(cuStreamSynchronize)(other));
  EXPECT_EQ(DRIVER(vasim_cuda_reports)("C13"), 1U);
  EXPECT_OK(DRIVER(cuMemFree)(at));
}

TEST_F(CudaPools, AThresholdKeepsMemoryAtSynchronisation) {
  start();
  const CUmemoryPool pool = default_pool();
  const CUstream queue = stream();
  const std::size_t before = free_memory();
  EXPECT_OK(DRIVER(cuMemFreeAsync)(allocate(kSize, queue), queue));
  EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
  EXPECT_EQ(free_memory(), before) << "nothing is kept";
  EXPECT_EQ(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0U);

  cuuint64_t keep = 2 * kSize;
  EXPECT_OK(DRIVER(cuMemPoolSetAttribute)(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep));
  std::vector<CUdeviceptr> all;
  for (int i = 0; i != 4; ++i)
    all.push_back(allocate(kSize, queue));
  EXPECT_EQ(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 4 * kSize);
  for (const CUdeviceptr at : all)
    EXPECT_OK(DRIVER(cuMemFreeAsync)(at, queue));
  EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
  EXPECT_EQ(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 2 * kSize);
  EXPECT_EQ(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0U);
  EXPECT_EQ(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH), 4 * kSize);
  cuuint64_t zero = 0;
  EXPECT_OK(DRIVER(cuMemPoolSetAttribute)(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &zero));
  EXPECT_EQ(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH), 0U);
  EXPECT_EQ(free_memory(), before - 2 * kSize);
  EXPECT_OK(DRIVER(cuMemPoolTrimTo)(pool, kSize));
  EXPECT_EQ(free_memory(), before - kSize);
  EXPECT_OK(DRIVER(cuMemPoolTrimTo)(pool, 0));
  EXPECT_EQ(free_memory(), before);
}

TEST_F(CudaPools, AFreedBlockIsReusedOnlyByWhoIsOrderedAfterIt) {
  start();
  const CUmemoryPool pool = default_pool();
  int off = 0;
  EXPECT_OK(DRIVER(cuMemPoolSetAttribute)(pool, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &off));
  const CUstream first = stream(), second = stream();
  const CUdeviceptr at = allocate(kSize, first);
  EXPECT_OK(DRIVER(cuMemFreeAsync)(at, first));
  // The free has to have run for the block to be anywhere; nobody waits for `first` on the host.
  CUevent freed = nullptr;
  ASSERT_OK(DRIVER(cuEventCreate)(&freed, 0));
  EXPECT_OK(DRIVER(cuEventRecord)(freed, first));
  while (live(VASIM_CUDA_ALLOCATIONS) != 0 || figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) != 0) {
  }
  const CUdeviceptr unordered = allocate(kSize, second);
  EXPECT_NE(unordered, at);
  EXPECT_OK(DRIVER(cuStreamWaitEvent)(second, freed, 0));
  const CUdeviceptr ordered = allocate(kSize, second);
  EXPECT_EQ(ordered, at);
  for (const CUdeviceptr each : {unordered, ordered})
    EXPECT_OK(DRIVER(cuMemFreeAsync)(each, second));
  EXPECT_OK(DRIVER(cuCtxSynchronize)());
}

TEST_F(CudaPools, OwnPoolsHaveALimit) {
  start();
  CUmemPoolProps wanted{};
  wanted.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  wanted.location = properties().location;
  wanted.maxSize = 2 * kSize;
  CUmemoryPool pool = nullptr;
  ASSERT_OK(DRIVER(cuMemPoolCreate)(&pool, &wanted));
  EXPECT_OK(DRIVER(cuDeviceSetMemPool)(0, pool));
  CUmemoryPool current = nullptr;
  EXPECT_OK(DRIVER(cuDeviceGetMemPool)(&current, 0));
  EXPECT_EQ(current, pool);
  const CUstream queue = stream();
  const CUdeviceptr at = allocate(2 * kSize, queue);
  CUdeviceptr none = 0;
  EXPECT_EQ(DRIVER(cuMemAllocAsync)(&none, kSize, queue), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_OK(DRIVER(cuMemAllocFromPoolAsync)(&none, kSize, default_pool(), queue));
  EXPECT_OK(DRIVER(cuMemFreeAsync)(none, queue));
  EXPECT_OK(DRIVER(cuMemFreeAsync)(at, queue));
  EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
  EXPECT_OK(DRIVER(cuMemPoolDestroy)(pool));
  EXPECT_EQ(DRIVER(cuMemPoolDestroy)(default_pool()), CUDA_ERROR_INVALID_VALUE);
  EXPECT_OK(DRIVER(cuDeviceGetMemPool)(&current, 0));
  EXPECT_EQ(current, default_pool());
}

TEST_F(CudaPools, C7_APeerNeedsAccessToThePool) {
  start("two_devices");
  const CUmemoryPool pool = default_pool();
  const CUstream queue = stream();
  const CUdeviceptr at = allocate(kSize, queue);
  EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
  const CUmemAccessDesc peer = access_of(1);
  EXPECT_OK(DRIVER(cuMemPoolSetAccess)(pool, &peer, 1));
  CUcontext second = nullptr;
  ASSERT_OK(DRIVER(cuDevicePrimaryCtxRetain)(&second, 1));
  ASSERT_OK(DRIVER(cuCtxSetCurrent)(second));
  EXPECT_OK(DRIVER(cuMemsetD8)(at, 1, kSize));
  EXPECT_OK(DRIVER(cuCtxSynchronize)());

  breaks("C7");
  const CUmemAccessDesc none = access_of(1, CU_MEM_ACCESS_FLAGS_PROT_NONE);
  EXPECT_OK(DRIVER(cuMemPoolSetAccess)(pool, &none, 1));
  EXPECT_OK(DRIVER(cuMemsetD8)(at, 1, kSize));
  EXPECT_EQ(DRIVER(cuCtxSynchronize)(), CUDA_ERROR_ILLEGAL_ADDRESS);
  ASSERT_OK(DRIVER(cuCtxSetCurrent)(context_));
  EXPECT_OK(DRIVER(cuMemFree)(at));
}

}  // namespace
}  // namespace vasim::cuda::test
