// Virtual memory management: memory as file descriptors, for other processes.
#include <cuda.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.hpp"
#include "vmm.hpp"

namespace vasim::cuda {
namespace {

CUresult export_fd(Call& call, int* fd, CUmemGenericAllocationHandle id, CUmemAllocationHandleType type) {
  const MemoryHandle* handle = usable_handle(call, id);
  if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto asked = static_cast<unsigned>(handle->properties.requestedHandleTypes);
  if ((asked & static_cast<unsigned>(type)) == 0)
    return call.broken("C14", "handle type " + std::to_string(type),
                       "not requested when the memory was created", CUDA_ERROR_INVALID_VALUE);
  const Device& device = *find_device(call.driver, handle->physical->device());
  // The type was accepted at creation, and yet it may not be exportable here: a program has to try.
  if ((device.profile->exportable & static_cast<unsigned>(type)) == 0) return CUDA_ERROR_NOT_SUPPORTED;
  const int copy = fcntl(handle->physical->file().fd(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  *fd = copy;
  return CUDA_SUCCESS;
}

// The memory behind a descriptor where this process has it already, so that both see the same pages and they
// are counted once.
std::shared_ptr<Physical> known_memory(const Driver& driver, int fd) {
  struct stat wanted {};
  if (fstat(fd, &wanted) != 0) return nullptr;
  for (const auto& [id, handle] : driver.handles) {
    struct stat status {};
    if (handle.physical->shareable() && fstat(handle.physical->file().fd(), &status) == 0 &&
        status.st_ino == wanted.st_ino && status.st_dev == wanted.st_dev)
      return handle.physical;
  }
  return nullptr;
}

CUresult import_fd(Call& call, CUmemGenericAllocationHandle* out, int fd) {
  MemoryHandle handle;
  handle.physical = known_memory(call.driver, fd);
  if (handle.physical == nullptr) handle.physical = import_physical(fd);
  if (handle.physical == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const Device* device = find_device(call.driver, handle.physical->device());
  if (device == nullptr) return CUDA_ERROR_NOT_SUPPORTED;  // the exporter played another machine
  handle.imported = true;
  handle.properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  handle.properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  handle.properties.location = {};
  handle.properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  handle.properties.location.id = device->ordinal;
  const std::uint64_t id = new_id();
  call.driver.handles.emplace(id, std::move(handle));
  *out = id;
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace vasim::cuda

using vasim::cuda::Call;
using vasim::cuda::call;
using vasim::cuda::Needs;

extern "C" {

CUresult CUDAAPI cuMemExportToShareableHandle(void* shareableHandle, CUmemGenericAllocationHandle handle,
                                              CUmemAllocationHandleType handleType,
                                              unsigned long long flags) {
  return call("cuMemExportToShareableHandle", Needs::device, [&](Call& made) {
    if (shareableHandle == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    return vasim::cuda::export_fd(made, static_cast<int*>(shareableHandle), handle, handleType);
  });
}

CUresult CUDAAPI cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle, void* osHandle,
                                                CUmemAllocationHandleType shHandleType) {
  return call("cuMemImportFromShareableHandle", Needs::device, [&](Call& made) {
    if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (shHandleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_NOT_SUPPORTED;
    return vasim::cuda::import_fd(made, handle, static_cast<int>(reinterpret_cast<std::intptr_t>(osHandle)));
  });
}

}  // extern "C"
