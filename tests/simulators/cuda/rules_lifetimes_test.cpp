// C10 to C18: how long memory, handles, descriptors and reservations live. Each test keeps the rule, and then
// breaks only it.
#include <fcntl.h>
#include <thread>
#include <unistd.h>

#include "simulated.hpp"

namespace vasim::cuda::test {
namespace {

class CudaLifetimeRules : public Simulated {
 protected:
  static int export_fd(CUmemGenericAllocationHandle handle) {
    int fd = -1;
    EXPECT_OK(DRIVER(cuMemExportToShareableHandle)(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    return fd;
  }

  static CUmemGenericAllocationHandle import_fd(int fd) {
    CUmemGenericAllocationHandle handle = 0;
    EXPECT_OK(DRIVER(cuMemImportFromShareableHandle)(&handle,
                                                     reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)),
                                                     CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    return handle;
  }

  CUmemGenericAllocationHandle create_shared() const {
    return create(piece_, 0, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
  }
};

TEST_F(CudaLifetimeRules, C10_AHandleCanBeReleasedBeforeItsUnmap) {
  start();
  const std::size_t before = free_memory();
  const CUdeviceptr at = reserve(piece_);
  map_piece(at);
  EXPECT_EQ(free_memory(), before - piece_) << "the mapping keeps the memory";
  EXPECT_OK(DRIVER(cuMemsetD8)(at, 5, piece_));
  unsigned char byte = 0;
  EXPECT_OK(DRIVER(cuMemcpyDtoH)(&byte, at + piece_ - 1, 1));
  EXPECT_EQ(byte, 5);
  unmap_piece(at);
  EXPECT_EQ(free_memory(), before);
  EXPECT_EQ(live(VASIM_CUDA_HANDLES), 0U);
  EXPECT_OK(DRIVER(cuMemAddressFree)(at, piece_));
  EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 0U);

  // Both must be gone: an unmap alone frees nothing.
  breaks("C10");
  const CUdeviceptr again = reserve(piece_);
  EXPECT_OK(DRIVER(cuMemMap)(again, piece_, 0, create(piece_), 0));
  EXPECT_OK(DRIVER(cuMemUnmap)(again, piece_));
  EXPECT_OK(DRIVER(cuMemAddressFree)(again, piece_));
  EXPECT_EQ(free_memory(), before - piece_);
  EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 1U);
}

TEST_F(CudaLifetimeRules, C11_EveryImportIsPairedWithARelease) {
  start();
  const std::size_t before = free_memory();
  const CUmemGenericAllocationHandle handle = create_shared();
  const int fd = export_fd(handle);
  const CUmemGenericAllocationHandle first = import_fd(fd), second = import_fd(fd);
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(free_memory(), before - piece_) << "one memory, whatever the handles";
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
  EXPECT_OK(DRIVER(cuMemRelease)(first));
  EXPECT_EQ(free_memory(), before - piece_);
  EXPECT_OK(DRIVER(cuMemRelease)(second));
  EXPECT_EQ(free_memory(), before);
  EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 0U);

  breaks("C11");
  const CUmemGenericAllocationHandle other = create_shared();
  const int other_fd = export_fd(other);
  (void)import_fd(other_fd);
  EXPECT_EQ(close(other_fd), 0);
  EXPECT_OK(DRIVER(cuMemRelease)(other));
  EXPECT_EQ(free_memory(), before - piece_);
  EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 1U);
}

TEST_F(CudaLifetimeRules, C11_ARetainedHandleIsTheOneOfTheMap) {
  start();
  const CUdeviceptr at = reserve(piece_);
  const CUmemGenericAllocationHandle handle = create(piece_);
  EXPECT_OK(DRIVER(cuMemMap)(at, piece_, 0, handle, 0));
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
  CUmemGenericAllocationHandle retained = 0;
  EXPECT_OK(DRIVER(cuMemRetainAllocationHandle)(&retained, reinterpret_cast<void*>(at + piece_ / 2)));
  EXPECT_EQ(retained, handle);
  EXPECT_OK(DRIVER(cuMemUnmap)(at, piece_));
  EXPECT_EQ(live(VASIM_CUDA_HANDLES), 1U);
  CUmemAllocationProp found{};
  EXPECT_OK(DRIVER(cuMemGetAllocationPropertiesFromHandle)(&found, retained));
  EXPECT_EQ(found.type, CU_MEM_ALLOCATION_TYPE_PINNED);
  EXPECT_OK(DRIVER(cuMemRelease)(retained));
  EXPECT_EQ(live(VASIM_CUDA_HANDLES), 0U);
}

TEST_F(CudaLifetimeRules, C12_AReleasedHandleIsDead) {
  start();
  const CUmemGenericAllocationHandle handle = create(piece_);
  EXPECT_OK(DRIVER(cuMemRelease)(handle));

  breaks("C12");
  EXPECT_NE(DRIVER(cuMemRelease)(handle), CUDA_SUCCESS);
  const CUdeviceptr at = reserve(piece_);
  EXPECT_NE(DRIVER(cuMemMap)(at, piece_, 0, handle, 0), CUDA_SUCCESS);
  // Also where a mapping keeps the memory: the handle is gone, the memory is not.
  const CUmemGenericAllocationHandle mapped = create(piece_);
  EXPECT_OK(DRIVER(cuMemMap)(at, piece_, 0, mapped, 0));
  EXPECT_OK(DRIVER(cuMemRelease)(mapped));
  EXPECT_NE(DRIVER(cuMemRelease)(mapped), CUDA_SUCCESS);
  EXPECT_EQ(DRIVER(vasim_cuda_reports)("C12"), 3U);
  EXPECT_EQ(live(VASIM_CUDA_MAPPINGS), 1U);
  unmap_piece(at);
}

TEST_F(CudaLifetimeRules, C13_AnUnmapDoesNotWaitForRunningWork) {
  start();
  const CUdeviceptr at = reserve(piece_);
  const CUstream queue = stream();
  map_piece(at);
  EXPECT_OK(DRIVER(cuMemsetD8Async)(at, 1, piece_, queue));
  EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
  unmap_piece(at);
  map_piece(at);

  // The work has not begun when its memory goes: it fails.
  breaks("C13");
  DRIVER(vasim_cuda_hold_streams)(1);
  EXPECT_OK(DRIVER(cuMemsetD8Async)(at, 1, piece_, queue));
  unmap_piece(at);
  EXPECT_EQ(DRIVER(vasim_cuda_reports)("C13"), 1U);
  map_piece(at);  // or it writes to memory that is another's by now
  DRIVER(vasim_cuda_hold_streams)(0);
  EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
  unsigned char byte = 0;
  EXPECT_OK(DRIVER(cuMemcpyDtoH)(&byte, at, 1));
  EXPECT_EQ(byte, 1) << "the new mapping was written by old work";
  unmap_piece(at);
}

TEST_F(CudaLifetimeRules, C13_AMissingWaitIsSeenThoughTheWorkIsOver) {
  start("default", "delay_us=0");
  const CUdeviceptr at = reserve(piece_);
  const CUstream queue = stream(), other = stream();
  map_piece(at);
  EXPECT_OK(DRIVER(cuMemsetD8Async)(at, 1, piece_, queue));
  // A wait for another stream that waits for this one is a wait.
  CUevent event = nullptr;
  EXPECT_OK(DRIVER(cuEventCreate)(&event, 0));
  EXPECT_OK(DRIVER(cuEventRecord)(event, queue));
  EXPECT_OK(DRIVER(cuStreamWaitEvent)(other, event, 0));
  EXPECT_OK(DRIVER(cuStreamSynchronize)(other));
  unmap_piece(at);
  map_piece(at);

  breaks("C13");
  EXPECT_OK(DRIVER(cuMemsetD8Async)(at, 1, piece_, queue));
  EXPECT_OK(DRIVER(cuStreamSynchronize)(other)) << "the wrong stream";
  while (live(VASIM_CUDA_WORK) != 0)
    std::this_thread::yield();
  EXPECT_EQ(DRIVER(vasim_cuda_reports)("C13"), 0U);
  unmap_piece(at);
  EXPECT_EQ(DRIVER(vasim_cuda_reports)("C13"), 1U);
}

TEST_F(CudaLifetimeRules, C14_AHandleTypeMayBeAcceptedAndYetNotExportable) {
  start("not_exportable");
  // Tried once, the program knows: no rule is broken by trying.
  const CUmemGenericAllocationHandle tried = create_shared();
  int fd = -1;
  EXPECT_EQ(DRIVER(cuMemExportToShareableHandle)(&fd, tried, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
            CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(fd, -1);
  EXPECT_OK(DRIVER(cuMemRelease)(tried));

  breaks("C14");
  const CUmemGenericAllocationHandle plain = create(piece_);
  EXPECT_EQ(DRIVER(cuMemExportToShareableHandle)(&fd, plain, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
            CUDA_ERROR_INVALID_VALUE)
      << "the types are fixed at creation";
  EXPECT_OK(DRIVER(cuMemRelease)(plain));
}

TEST_F(CudaLifetimeRules, C14_ATypeThatTheDeviceDoesNotKnowIsRefusedAtCreation) {
  start();
  CUmemGenericAllocationHandle none = 0;
  const CUmemAllocationProp fabric = properties(0, CU_MEM_HANDLE_TYPE_FABRIC);
  EXPECT_EQ(DRIVER(cuMemCreate)(&none, piece_, &fabric, 0), CUDA_ERROR_NOT_SUPPORTED);
}

TEST_F(CudaLifetimeRules, C15_EveryDescriptorIsClosed) {
  start();
  const CUmemGenericAllocationHandle handle = create_shared();
  const int first = export_fd(handle);
  EXPECT_EQ(fcntl(first, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_EQ(close(first), 0);
  for (int i = 0; i != 100000; ++i) {
    const int fd = export_fd(handle);
    ASSERT_EQ(fd, first) << "cycle " << i << ": a descriptor was left open";
    EXPECT_OK(DRIVER(cuMemRelease)(import_fd(fd)));
    EXPECT_EQ(close(fd), 0);
  }
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
  EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 0U);

  breaks("C15");
  const CUmemGenericAllocationHandle other = create_shared();
  const int open = export_fd(other);
  EXPECT_OK(DRIVER(cuMemRelease)(other));
  EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 1U);
  EXPECT_EQ(close(open), 0);
}

TEST_F(CudaLifetimeRules, C16_AFailureInTheMiddleLeavesWhatWasBefore) {
  start();
  const std::size_t before = free_memory();
  const CUdeviceptr at = reserve(piece_);
  // Created, mapped, access refused: the program takes both back.
  ASSERT_EQ(DRIVER(vasim_cuda_fail)("cuMemSetAccess", 1, 2, CUDA_ERROR_OUT_OF_MEMORY), 0);
  const CUmemAccessDesc access = access_of(0);
  CUmemGenericAllocationHandle handle = create(piece_);
  EXPECT_OK(DRIVER(cuMemMap)(at, piece_, 0, handle, 0));
  EXPECT_EQ(DRIVER(cuMemSetAccess)(at, piece_, &access, 1), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_OK(DRIVER(cuMemUnmap)(at, piece_));
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
  EXPECT_EQ(free_memory(), before);
  EXPECT_EQ(live(VASIM_CUDA_HANDLES), 0U);

  // This one forgets the mapping.
  breaks("C16");
  also_reports("C17");  // what is around it
  handle = create(piece_);
  EXPECT_OK(DRIVER(cuMemMap)(at, piece_, 0, handle, 0));
  EXPECT_EQ(DRIVER(cuMemSetAccess)(at, piece_, &access, 1), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
  EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 2U) << "the mapping, and the reservation around it";
  EXPECT_EQ(DRIVER(vasim_cuda_reports)("C16"), 1U) << all_reports();
  unmap_piece(at);
  EXPECT_OK(DRIVER(cuMemAddressFree)(at, piece_));
}

TEST_F(CudaLifetimeRules, C17_AReservationIsFreedAsItWasMadeAndEmpty) {
  start();
  const CUdeviceptr at = reserve(2 * piece_);
  map_piece(at);
  unmap_piece(at);
  EXPECT_OK(DRIVER(cuMemAddressFree)(at, 2 * piece_));

  breaks("C17");
  EXPECT_EQ(DRIVER(cuMemAddressFree)(at, 2 * piece_), CUDA_ERROR_INVALID_VALUE) << "twice";
  const CUdeviceptr again = reserve(2 * piece_);
  EXPECT_EQ(DRIVER(cuMemAddressFree)(again, piece_), CUDA_ERROR_INVALID_VALUE) << "another size";
  EXPECT_EQ(DRIVER(cuMemAddressFree)(again + piece_, piece_), CUDA_ERROR_INVALID_VALUE) << "another address";
  map_piece(again);
  EXPECT_EQ(DRIVER(cuMemAddressFree)(again, 2 * piece_), CUDA_ERROR_INVALID_VALUE) << "something is mapped";
  EXPECT_EQ(live(VASIM_CUDA_RESERVATIONS), 1U);
  unmap_piece(again);
  EXPECT_OK(DRIVER(cuMemAddressFree)(again, 2 * piece_));
}

TEST_F(CudaLifetimeRules, C18_AHintIsTakenWhereTheRangeIsFree) {
  start();
  const CUdeviceptr free = reserve(8 * piece_);
  EXPECT_OK(DRIVER(cuMemAddressFree)(free, 8 * piece_));
  CUdeviceptr first = 0, next = 0, elsewhere = 0;
  EXPECT_OK(DRIVER(cuMemAddressReserve)(&first, 4 * piece_, 0, free, 0));
  EXPECT_EQ(first, free);
  EXPECT_OK(DRIVER(cuMemAddressReserve)(&next, 4 * piece_, 0, first + 4 * piece_, 0));
  EXPECT_EQ(next, first + 4 * piece_);
  EXPECT_OK(DRIVER(cuMemAddressReserve)(&elsewhere, 4 * piece_, 0, first, 0));
  EXPECT_NE(elsewhere, first);
}

TEST_F(CudaLifetimeRules, C18_AHintedReservationMayLieElsewhere) {
  start("hint_elsewhere");
  const CUdeviceptr free = reserve(4 * piece_);
  EXPECT_OK(DRIVER(cuMemAddressFree)(free, 4 * piece_));
  CUdeviceptr at = 0;
  EXPECT_OK(DRIVER(cuMemAddressReserve)(&at, 4 * piece_, 0, free, 0));
  EXPECT_NE(at, free) << "though it was free";
  map_piece(at);  // that path works too
  unmap_piece(at);

  breaks("C18");
  const CUmemGenericAllocationHandle handle = create(piece_);
  EXPECT_EQ(DRIVER(cuMemMap)(free, piece_, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
}

}  // namespace
}  // namespace vasim::cuda::test
