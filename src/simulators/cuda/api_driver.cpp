// The driver itself: start, version, errors by name.
#include <cuda.h>
#include <unistd.h>

#include "entry.hpp"
#include "entry_points.hpp"
#include "result_names.hpp"

using namespace vasim::cuda;  // NOLINT: the entry points below are the driver's own names

extern "C" {

CUresult CUDAAPI cuInit(unsigned Flags) {
  return call("cuInit", Needs::nothing, [&](Call& made) {
    if (Flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (!made.driver.fault.empty()) return CUDA_ERROR_SYSTEM_NOT_READY;
    if (made.driver.devices.empty()) return CUDA_ERROR_NO_DEVICE;
    made.driver.initialised = true;
    machine().process = getpid();
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDriverGetVersion(int* driverVersion) {
  return call("cuDriverGetVersion", Needs::nothing, [&](Call& made) {
    if (driverVersion == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *driverVersion = made.driver.profile.driver_version;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuGetErrorName(CUresult error, const char** pStr) {
  if (pStr == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *pStr = result_name(error);
  return *pStr != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult CUDAAPI cuGetErrorString(CUresult error, const char** pStr) {
  if (pStr == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *pStr = result_description(error);
  return *pStr != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult CUDAAPI cuGetProcAddress_v2(const char* symbol, void** pfn, int cudaVersion, cuuint64_t flags,
                                     CUdriverProcAddressQueryResult* symbolStatus) {
  int newest = 0;
  if (symbol == nullptr || pfn == nullptr || cuDriverGetVersion(&newest) != CUDA_SUCCESS ||
      cudaVersion > newest)
    return CUDA_ERROR_INVALID_VALUE;
  const bool own_stream = (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0;
  const Found found = find_entry_point(symbol, cudaVersion, own_stream);
  *pfn = found.function;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
  if (found.function == nullptr)
    status = found.known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  if (symbolStatus != nullptr) *symbolStatus = status;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuGetProcAddress(const char* symbol, void** pfn, int cudaVersion, cuuint64_t flags) {
  return cuGetProcAddress_v2(symbol, pfn, cudaVersion, flags, nullptr);
}

// Private tables of functions that the real driver has for its companions. None is played.
CUresult CUDAAPI cuGetExportTable(const void** ppExportTable, const CUuuid* pExportTableId) {
  if (ppExportTable == nullptr || pExportTableId == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *ppExportTable = nullptr;
  return CUDA_ERROR_NOT_FOUND;
}

}  // extern "C"
