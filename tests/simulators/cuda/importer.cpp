// The other process of share_test: imports memory by the descriptor of its first argument, expects every byte
// to be its second, and adds one to the last byte. Exit code 0, or the line that failed.
#include <cstdint>
#include <cstdlib>
#include <unistd.h>
#include <vector>

#include "driver_api.hpp"

#define CHECK(condition) \
  if (!(condition)) return __LINE__

int main(int count, char** arguments) {
  CHECK(count == 3);
  const int fd = std::atoi(arguments[1]);
  const auto byte = static_cast<unsigned char>(std::atoi(arguments[2]));
  CUcontext context = nullptr;
  CHECK(DRIVER(cuInit)(0) == CUDA_SUCCESS);
  CHECK(DRIVER(cuDevicePrimaryCtxRetain)(&context, 0) == CUDA_SUCCESS);
  CHECK(DRIVER(cuCtxSetCurrent)(context) == CUDA_SUCCESS);

  CUmemGenericAllocationHandle handle = 0;
  CHECK(DRIVER(cuMemImportFromShareableHandle)(&handle,
                                               reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)),
                                               CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) == CUDA_SUCCESS);
  CHECK(close(fd) == 0);
  CUmemAllocationProp found{};
  CHECK(DRIVER(cuMemGetAllocationPropertiesFromHandle)(&found, handle) == CUDA_SUCCESS);
  std::size_t size = 0;
  CHECK(DRIVER(cuMemGetAllocationGranularity)(&size, &found, CU_MEM_ALLOC_GRANULARITY_MINIMUM) ==
        CUDA_SUCCESS);

  CUdeviceptr at = 0;
  CHECK(DRIVER(cuMemAddressReserve)(&at, size, 0, 0, 0) == CUDA_SUCCESS);
  CHECK(DRIVER(cuMemMap)(at, size, 0, handle, 0) == CUDA_SUCCESS);
  CUmemAccessDesc access{};
  access.location = found.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  CHECK(DRIVER(cuMemSetAccess)(at, size, &access, 1) == CUDA_SUCCESS);

  std::vector<unsigned char> bytes(size);
  CHECK(DRIVER(cuMemcpyDtoH)(bytes.data(), at, size) == CUDA_SUCCESS);
  CHECK(bytes == std::vector<unsigned char>(size, byte));
  CHECK(DRIVER(cuMemsetD8)(at + size - 1, static_cast<unsigned char>(byte + 1), 1) == CUDA_SUCCESS);
  CHECK(DRIVER(cuCtxSynchronize)() == CUDA_SUCCESS);

  CHECK(DRIVER(cuMemUnmap)(at, size) == CUDA_SUCCESS);
  CHECK(DRIVER(cuMemRelease)(handle) == CUDA_SUCCESS);
  CHECK(DRIVER(cuMemAddressFree)(at, size) == CUDA_SUCCESS);
  CHECK(DRIVER(vasim_cuda_report_leaks)() == 0);
  CHECK(DRIVER(vasim_cuda_reports)(nullptr) == 0);
  return 0;
}
