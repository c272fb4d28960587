// Failures on demand: every call of a scenario refused once, a thousand drawn ones, lost devices, memory
// taken. Nothing may be left behind: handles, mappings, descriptors, views of device memory.
#include <algorithm>
#include <dirent.h>
#include <fstream>
#include <functional>
#include <unistd.h>

#include "simulated.hpp"

namespace vasim::cuda::test {
namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr)
    ++count;
  closedir(folder);
  return count;
}

// Of device memory; the rest of the process may map what it likes.
std::size_t views() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.find("vasim-cuda") != std::string::npos ? 1 : 0;
  return count;
}

struct Footprint {
  std::size_t descriptors = open_descriptors(), mapped = views();
  std::uint64_t handles = live(VASIM_CUDA_HANDLES), mappings = live(VASIM_CUDA_MAPPINGS),
                reservations = live(VASIM_CUDA_RESERVATIONS), allocations = live(VASIM_CUDA_ALLOCATIONS),
                host = live(VASIM_CUDA_HOST_MEMORY), streams = live(VASIM_CUDA_STREAMS),
                events = live(VASIM_CUDA_EVENTS);

  bool operator==(const Footprint&) const = default;
};

// Does a step, and undoes it at the end if it was done. An undo that is refused is done again, as a careful
// program would.
class Steps {
 public:
  ~Steps() {
    while (!undo_.empty()) {
      CUresult result = undo_.back()();
      for (int again = 0; result != CUDA_SUCCESS && again != 100; ++again)
        result = undo_.back()();
      EXPECT_EQ(result, CUDA_SUCCESS);
      undo_.pop_back();
    }
  }
  bool step(CUresult result, std::function<CUresult()> undo = nullptr) {
    if (result != CUDA_SUCCESS) {
      ++refused;
      return false;
    }
    if (undo) undo_.push_back(std::move(undo));
    return true;
  }

  int refused = 0;

 private:
  std::vector<std::function<CUresult()>> undo_;
};

class CudaFailures : public Simulated {
 protected:
  // Shared memory mapped twice and used on a stream, beside plain and host memory; stops at the first
  // refusal.
  int scenario() const {
    const std::size_t size = piece_;
    const CUmemAllocationProp wanted = properties(0, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
    const CUmemAccessDesc access = access_of(0);
    CUstream queue = nullptr;
    CUevent event = nullptr;
    CUdeviceptr at = 0, plain = 0, ordered = 0;
    void* host = nullptr;
    CUmemGenericAllocationHandle handle = 0, imported = 0;
    int fd = -1;
    Steps steps;  // undone before what they name goes
    const bool whole =
        steps.step(DRIVER(cuStreamCreate)(&queue, CU_STREAM_NON_BLOCKING),
                   [&] { return DRIVER(cuStreamDestroy)(queue); }) &&
        steps.step(DRIVER(cuEventCreate)(&event, 0), [&] { return DRIVER(cuEventDestroy)(event); }) &&
        steps.step(DRIVER(cuMemAddressReserve)(&at, 2 * size, 0, 0, 0),
                   [&] { return DRIVER(cuMemAddressFree)(at, 2 * size); }) &&
        steps.step(DRIVER(cuMemCreate)(&handle, size, &wanted, 0),
                   [&] { return DRIVER(cuMemRelease)(handle); }) &&
        steps.step(
            DRIVER(cuMemExportToShareableHandle)(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
            [&] { return close(fd) == 0 ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN; }) &&
        steps.step(DRIVER(cuMemImportFromShareableHandle)(
                       &imported, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)),
                       CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
                   [&] { return DRIVER(cuMemRelease)(imported); }) &&
        steps.step(DRIVER(cuMemMap)(at, size, 0, handle, 0), [&] { return DRIVER(cuMemUnmap)(at, size); }) &&
        steps.step(DRIVER(cuMemMap)(at + size, size, 0, imported, 0),
                   [&] { return DRIVER(cuMemUnmap)(at + size, size); }) &&
        steps.step(DRIVER(cuMemSetAccess)(at, 2 * size, &access, 1)) &&
        steps.step(DRIVER(cuMemHostAlloc)(&host, 64, 0), [&] { return DRIVER(cuMemFreeHost)(host); }) &&
        steps.step(DRIVER(cuMemAlloc)(&plain, size), [&] { return DRIVER(cuMemFree)(plain); }) &&
        steps.step(DRIVER(cuMemAllocAsync)(&ordered, size, queue),
                   [&] { return DRIVER(cuMemFreeAsync)(ordered, queue); }) &&
        // Whatever was put on the stream is waited for before the memory goes.
        steps.step(CUDA_SUCCESS, [&] { return DRIVER(cuStreamSynchronize)(queue); }) &&
        steps.step(DRIVER(cuMemsetD8Async)(at, 1, size, queue)) &&
        steps.step(DRIVER(cuMemcpyDtoDAsync)(plain, at + size, size, queue)) &&
        steps.step(DRIVER(cuMemcpyDtoDAsync)(ordered, plain, size, queue)) &&
        steps.step(DRIVER(cuMemcpyDtoHAsync)(host, ordered, 64, queue)) &&
        steps.step(DRIVER(cuEventRecord)(event, queue)) && steps.step(DRIVER(cuEventSynchronize)(event));
    if (whole) {
      EXPECT_EQ(static_cast<unsigned char*>(host)[63], 1);
    }
    return steps.refused;
  }
};

TEST_F(CudaFailures, EveryCallOfAScenarioIsRefusedOnceAndNothingIsLeft) {
  start("default", "delay_us=0");
  EXPECT_EQ(scenario(), 0);
  EXPECT_OK(DRIVER(cuCtxSynchronize)());
  const std::size_t free = free_memory();
  const Footprint before;
  const std::uint64_t from = DRIVER(vasim_cuda_calls)(nullptr);
  EXPECT_EQ(scenario(), 0);
  const std::uint64_t calls = DRIVER(vasim_cuda_calls)(nullptr) - from;
  ASSERT_GT(calls, 25U);
  int refused = 0;
  for (std::uint64_t nth = 1; nth <= calls; ++nth) {
    ASSERT_EQ(DRIVER(vasim_cuda_fail)("*", nth, 1, CUDA_ERROR_OUT_OF_MEMORY), 0);
    refused += scenario();
    DRIVER(vasim_cuda_clear_failures)();
    EXPECT_OK(DRIVER(cuCtxSynchronize)());
    EXPECT_TRUE(Footprint() == before) << "call " << nth;
    EXPECT_EQ(free_memory(), free) << "call " << nth;
  }
  EXPECT_GT(refused, 15) << "the others are of the way back";
}

TEST_F(CudaFailures, AThousandDrawnFailuresLeaveNothing) {
  start("granularity_64k", "delay_us=0");
  (void)scenario();
  EXPECT_OK(DRIVER(cuCtxSynchronize)());
  const std::size_t free = free_memory();
  const Footprint before;
  int refused = 0, rounds = 0;
  for (std::uint64_t seed = 1; refused < 1000 && rounds < 5000; ++seed, ++rounds) {
    ASSERT_EQ(DRIVER(vasim_cuda_fail_share)("*", 50000, seed, CUDA_ERROR_OUT_OF_MEMORY), 0);
    refused += scenario();
    DRIVER(vasim_cuda_clear_failures)();
  }
  EXPECT_GE(refused, 1000);
  EXPECT_OK(DRIVER(cuCtxSynchronize)());
  EXPECT_TRUE(Footprint() == before);
  EXPECT_EQ(free_memory(), free);
}

TEST_F(CudaFailures, ARefusedCallIsCountedAndDoesNothing) {
  start("default", "fail=cuMemCreate:2:CUDA_ERROR_NOT_PERMITTED");
  EXPECT_OK(DRIVER(cuMemRelease)(create(piece_)));
  const CUmemAllocationProp wanted = properties();
  CUmemGenericAllocationHandle none = 0;
  EXPECT_EQ(DRIVER(cuMemCreate)(&none, piece_, &wanted, 0), CUDA_ERROR_NOT_PERMITTED);
  EXPECT_EQ(none, 0U);
  EXPECT_OK(DRIVER(cuMemRelease)(create(piece_)));
  EXPECT_EQ(DRIVER(vasim_cuda_calls)("cuMemCreate"), 3U);
  EXPECT_EQ(DRIVER(vasim_cuda_calls)("cuMemRelease"), 2U);
}

TEST_F(CudaFailures, AShareIsTheSameInEveryRun) {
  std::string drawn[2];
  for (std::string& text : drawn) {
    start("default", "share=cuMemGetInfo:300000:CUDA_ERROR_UNKNOWN;seed=7");
    std::size_t free = 0, total = 0;
    for (int i = 0; i != 100; ++i)
      text += DRIVER(cuMemGetInfo)(&free, &total) == CUDA_SUCCESS ? '.' : 'x';
  }
  EXPECT_EQ(drawn[0], drawn[1]);
  const auto struck = std::count(drawn[0].begin(), drawn[0].end(), 'x');
  EXPECT_GT(struck, 10);
  EXPECT_LT(struck, 50);
}

TEST_F(CudaFailures, ALateFailureTakesTheContext) {
  start();
  CUdeviceptr at = 0;
  ASSERT_OK(DRIVER(cuMemAlloc)(&at, 64));
  ASSERT_EQ(DRIVER(vasim_cuda_fail_late)("cuMemsetD8Async", 1, 1, CUDA_ERROR_ECC_UNCORRECTABLE), 0);
  const CUstream queue = stream();
  EXPECT_OK(DRIVER(cuMemsetD8Async)(at, 1, 64, queue)) << "the call itself is accepted";
  EXPECT_EQ(DRIVER(cuStreamSynchronize)(queue), CUDA_ERROR_ECC_UNCORRECTABLE);
  EXPECT_EQ(DRIVER(cuMemsetD8Async)(at, 1, 64, queue), CUDA_ERROR_ECC_UNCORRECTABLE);
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxReset)(0));
  CUcontext fresh = nullptr;
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxRetain)(&fresh, 0));
  EXPECT_OK(DRIVER(cuCtxSetCurrent)(fresh));
  EXPECT_OK(DRIVER(cuMemAlloc)(&at, 64)) << "a new context is sound";
}

TEST_F(CudaFailures, ALostDeviceFailsEverythingButTheBooks) {
  start("two_devices");
  const CUdeviceptr at = reserve(piece_);
  const CUmemGenericAllocationHandle handle = create(piece_);
  CUdeviceptr plain = 0;
  ASSERT_OK(DRIVER(cuMemAlloc)(&plain, 64));
  const CUstream queue = stream();
  DRIVER(vasim_cuda_hold_streams)(1);
  EXPECT_OK(DRIVER(cuMemsetD8Async)(plain, 1, 64, queue));
  ASSERT_EQ(DRIVER(vasim_cuda_lose_device)(0, CUDA_ERROR_ECC_UNCORRECTABLE), 0);
  DRIVER(vasim_cuda_hold_streams)(0);
  EXPECT_EQ(DRIVER(cuStreamSynchronize)(queue), CUDA_ERROR_ECC_UNCORRECTABLE);
  EXPECT_EQ(DRIVER(cuMemMap)(at, piece_, 0, handle, 0), CUDA_ERROR_ECC_UNCORRECTABLE);
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
  EXPECT_OK(DRIVER(cuMemAddressFree)(at, piece_));
  CUcontext second = nullptr;
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxRetain)(&second, 1));
  EXPECT_OK(DRIVER(cuCtxSetCurrent)(second)) << "the other device is well";
  EXPECT_OK(DRIVER(cuMemAlloc)(&plain, 64));
  const CUmemAllocationProp wanted = properties(0);
  CUmemGenericAllocationHandle none = 0;
  EXPECT_EQ(DRIVER(cuMemCreate)(&none, piece_, &wanted, 0), CUDA_ERROR_ECC_UNCORRECTABLE);
  EXPECT_EQ(DRIVER(vasim_cuda_lose_device)(0, CUDA_SUCCESS), 0);
  EXPECT_OK(DRIVER(cuMemRelease)(create(piece_)));
}

TEST_F(CudaFailures, AnotherProcessTakesMemoryAtAGivenCall) {
  // The calls before: cuInit, retain, set current, granularity; then get info, create, and again.
  start("small_memory", "take=0:63 MiB:7");
  EXPECT_EQ(free_memory(), std::size_t{64} << 20U);
  const CUmemGenericAllocationHandle handle = create(piece_);
  EXPECT_EQ(free_memory(), 0U) << "taken meanwhile; what is held already stays";
  const CUmemAllocationProp wanted = properties();
  CUmemGenericAllocationHandle none = 0;
  EXPECT_EQ(DRIVER(cuMemCreate)(&none, piece_, &wanted, 0), CUDA_ERROR_OUT_OF_MEMORY);
  ASSERT_EQ(DRIVER(vasim_cuda_take_memory)(0, 0), 0);
  EXPECT_OK(DRIVER(cuMemRelease)(create(piece_)));
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
}

TEST_F(CudaFailures, AWrongConfigurationIsNotPassedOver) {
  for (const char* text :
       {"profil=default", "profile=no_such_profile", "delay_us=9..1", "fail=cuMemCreate:0:2",
        "fail=cuMemCreate:1:CUDA_ERROR_NO_SUCH", "share=cuMemMap:0", "take=0:x", "abort=3"}) {
    EXPECT_EQ(DRIVER(vasim_cuda_restart)((std::string("quiet=1;") + text).c_str()), -1) << text;
    EXPECT_EQ(DRIVER(cuInit)(0), CUDA_ERROR_SYSTEM_NOT_READY) << text;
  }
  start();
}

TEST_F(CudaFailures, NothingWorksBeforeInit) {
  ASSERT_EQ(DRIVER(vasim_cuda_restart)("quiet=1"), 0);
  int count = 0;
  EXPECT_EQ(DRIVER(cuDeviceGetCount)(&count), CUDA_ERROR_NOT_INITIALIZED);
  CUdeviceptr none = 0;
  EXPECT_EQ(DRIVER(cuMemAddressReserve)(&none, 4096, 0, 0, 0), CUDA_ERROR_NOT_INITIALIZED);
  EXPECT_EQ(DRIVER(cuInit)(1), CUDA_ERROR_INVALID_VALUE);
  ASSERT_OK(DRIVER(cuInit)(0));
  std::size_t free = 0, total = 0;
  EXPECT_EQ(DRIVER(cuMemGetInfo)(&free, &total), CUDA_ERROR_INVALID_CONTEXT);
}

}  // namespace
}  // namespace vasim::cuda::test
