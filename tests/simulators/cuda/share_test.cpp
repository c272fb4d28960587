// Two processes share memory by a descriptor: the other one is a program of its own that is started by the
// test.
#include <cstring>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "simulated.hpp"

namespace vasim::cuda::test {
namespace {

class CudaSharing : public Simulated {
 protected:
  struct Shared {
    CUmemGenericAllocationHandle handle = 0;
    CUdeviceptr at = 0;
    int fd = -1;
  };
  // A piece of memory that is mapped and filled, and can be sent to another process.
  Shared share(unsigned char byte) {
    Shared made{create(piece_, 0, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR), reserve(piece_)};
    EXPECT_OK(DRIVER(cuMemMap)(made.at, piece_, 0, made.handle, 0));
    allow(made.at, piece_);
    EXPECT_OK(DRIVER(cuMemsetD8)(made.at, byte, piece_));
    EXPECT_OK(DRIVER(cuCtxSynchronize)());
    EXPECT_OK(DRIVER(cuMemExportToShareableHandle)(&made.fd, made.handle,
                                                   CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    return made;
  }
  // Runs the importer with this descriptor; its exit code.
  static int import_elsewhere(int fd, const char* expected_byte) {
    const pid_t child = fork();
    if (child == 0) {
      // Only what is safe between fork and exec. The descriptor is made to survive the exec under a fixed
      // number.
      if (dup2(fd, 100) != 100) _exit(120);
      execl(VASIM_CUDA_IMPORTER, VASIM_CUDA_IMPORTER, "100", expected_byte, static_cast<char*>(nullptr));
      _exit(121);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 122;
  }
};

TEST_F(CudaSharing, AnotherProcessSeesAndWritesTheMemory) {
  start();
  const auto [handle, at, fd] = share(42);
  EXPECT_EQ(import_elsewhere(fd, "42"), 0);
  unsigned char byte = 0;
  EXPECT_OK(DRIVER(cuMemcpyDtoH)(&byte, at + piece_ - 1, 1));
  EXPECT_EQ(byte, 43) << "what the other process wrote";
  EXPECT_EQ(close(fd), 0);
  unmap_piece(at);
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
  EXPECT_OK(DRIVER(cuMemAddressFree)(at, piece_));
  EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 0U);
}

TEST_F(CudaSharing, TheMemoryOutlivesItsExporter) {
  start();
  const auto [handle, at, fd] = share(7);
  unmap_piece(at);
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
  EXPECT_EQ(import_elsewhere(fd, "7"), 0);
  EXPECT_EQ(close(fd), 0);
}

TEST_F(CudaSharing, AForkedChildIsRefused) {
  start();
  const CUstream queue = stream();
  EXPECT_OK(DRIVER(cuStreamSynchronize)(queue));
  const pid_t child = fork();
  if (child == 0) _exit(DRIVER(cuStreamSynchronize)(queue) == CUDA_ERROR_NOT_INITIALIZED ? 0 : 1);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_F(CudaSharing, AForeignDescriptorIsRefused) {
  start();
  int ends[2] = {};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  for (const int fd : {ends[0], -1}) {
    CUmemGenericAllocationHandle none = 0;
    EXPECT_EQ(
        DRIVER(cuMemImportFromShareableHandle)(&none, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)),
                                               CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
        CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(none, 0U);
  }
  for (const int fd : ends)
    EXPECT_EQ(close(fd), 0);
}

}  // namespace
}  // namespace vasim::cuda::test
