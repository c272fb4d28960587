// The driver's functions, found at run time.
//
// Always true of a driver that was opened: every function of the list is there and has the meaning that it
// had in the version named beside it; the library stays loaded.
#pragma once

#include <cuda.h>

#include "vaspace/backends/cuda.hpp"

namespace vaspace::cuda {

// member, the driver's name, the version that brought the meaning used here.
#define VASPACE_CUDA_FUNCTIONS(each)                                                                         \
  each(init, cuInit, 2000) each(device_get, cuDeviceGet, 2000) each(                                         \
      device_count, cuDeviceGetCount, 2000) each(device_name, cuDeviceGetName, 2000)                         \
      each(device_memory, cuDeviceTotalMem, 3020) each(device_attribute, cuDeviceGetAttribute, 2000) each(   \
          can_access_peer, cuDeviceCanAccessPeer,                                                            \
          4000) each(retain_context, cuDevicePrimaryCtxRetain,                                               \
                     7000) each(release_context, cuDevicePrimaryCtxRelease,                                  \
                                7000) each(exchange_capture_mode, cuThreadExchangeStreamCaptureMode, 10010)  \
          each(push_context, cuCtxPushCurrent, 4000) each(pop_context, cuCtxPopCurrent, 4000) each(          \
              memory_info, cuMemGetInfo, 3020) each(granularity, cuMemGetAllocationGranularity, 10020)       \
              each(reserve, cuMemAddressReserve, 10020) each(free_addresses, cuMemAddressFree, 10020) each(  \
                  create, cuMemCreate, 10020) each(release, cuMemRelease, 10020) each(map, cuMemMap, 10020)  \
                  each(unmap, cuMemUnmap, 10020) each(set_access, cuMemSetAccess, 10020)                     \
                      each(export_handle, cuMemExportToShareableHandle, 10020) each(                         \
                          import_handle, cuMemImportFromShareableHandle, 10020) each(event_create,           \
                                                                                     cuEventCreate, 2000)    \
                          each(event_destroy, cuEventDestroy, 4000) each(event_record, cuEventRecord, 2000)  \
                              each(event_query, cuEventQuery, 2000) each(                                    \
                                  event_synchronize, cuEventSynchronize, 2000) each(stream_create,           \
                                                                                    cuStreamCreate, 2000)    \
                                  each(stream_destroy, cuStreamDestroy, 4000)                                \
                                      each(stream_context, cuStreamGetCtx, 9020)                             \
                                          each(stream_query, cuStreamQuery, 2000)                            \
                                              each(stream_synchronize, cuStreamSynchronize, 2000)            \
                                                  each(stream_wait_event, cuStreamWaitEvent, 3020) each(     \
                                                      context_synchronize, cuCtxSynchronize, 2000)           \
                                                      each(copy_device, cuMemcpyDtoDAsync, 3020)             \
                                                          each(copy_to_host, cuMemcpyDtoHAsync, 3020) each(  \
                                                              copy_from_host, cuMemcpyHtoDAsync, 3020)       \
                                                              each(fill, cuMemsetD8Async, 3020) each(        \
                                                                  pinned_allocate, cuMemHostAlloc, 2020)     \
                                                                  each(pinned_free, cuMemFreeHost, 2000)     \
                                                                      each(host_register, cuMemHostRegister, \
                                                                           6050)                             \
                                                                          each(host_unregister,              \
                                                                               cuMemHostUnregister, 4000)

class Driver {
 public:
  Driver() noexcept = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  ~Driver();

  // Once. `library` as in BackendConfig::driver. Errors: not_supported, driver_error.
  [[nodiscard]] Result<void> open(const char* library, Refusal& refusal) noexcept;
  [[nodiscard]] int version() const noexcept { return version_; }

#define VASPACE_CUDA_MEMBER(member, name, since) decltype(&::name) member = nullptr;
  VASPACE_CUDA_FUNCTIONS(VASPACE_CUDA_MEMBER)
#undef VASPACE_CUDA_MEMBER
  decltype(&::cuStreamIsCapturing) is_capturing = nullptr;  // asked only where it is there

 private:
  [[nodiscard]] Result<void> find_functions(Refusal& refusal) noexcept;
  [[nodiscard]] void* find(const char* name, int since) noexcept;
  [[nodiscard]] void* symbol(const char* name) noexcept;

  void* library_ = nullptr;
  void* finder_ = nullptr;         // cuGetProcAddress
  bool finder_tells_why_ = false;  // its second version, with one argument more
  int version_ = 0;
};

// Fills in a refusal and answers the error. `why` ends the sentence.
tl::unexpected<Error> refuse(Refusal& refusal, Error error, const char* function, const char* why) noexcept;

}  // namespace vaspace::cuda
