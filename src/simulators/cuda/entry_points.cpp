#include "entry_points.hpp"

#include <cuda.h>
#include <string_view>

namespace vasim::cuda {
namespace {

// By name; where a name has several, the oldest first.
struct EntryPoint {
  std::string_view name;
  int since;  // the CUDA version that brought it, as in 12050
  void* function;
  void* own;  // for per-thread default streams; null where that makes no difference
};

template <class Function>
void* entry(Function* function) {
  return reinterpret_cast<void*>(function);
}

const auto& table() {
  // clang-format off
  static const EntryPoint kTable[] = {
    {"cuCtxCreate", 2000, entry(cuCtxCreate), nullptr},
    {"cuCtxCreate", 3020, entry(cuCtxCreate_v2), nullptr},
    {"cuCtxCreate", 11040, entry(cuCtxCreate_v3), nullptr},
    {"cuCtxCreate", 12050, entry(cuCtxCreate_v4), nullptr},
    {"cuCtxDestroy", 2000, entry(cuCtxDestroy), nullptr},
    {"cuCtxDestroy", 4000, entry(cuCtxDestroy_v2), nullptr},
    {"cuCtxDisablePeerAccess", 4000, entry(cuCtxDisablePeerAccess), nullptr},
    {"cuCtxEnablePeerAccess", 4000, entry(cuCtxEnablePeerAccess), nullptr},
    {"cuCtxGetApiVersion", 3020, entry(cuCtxGetApiVersion), nullptr},
    {"cuCtxGetCurrent", 4000, entry(cuCtxGetCurrent), nullptr},
    {"cuCtxGetDevice", 2000, entry(cuCtxGetDevice), nullptr},
    {"cuCtxGetDevice", 13000, entry(cuCtxGetDevice_v2), nullptr},
    {"cuCtxGetFlags", 7000, entry(cuCtxGetFlags), nullptr},
    {"cuCtxGetId", 12000, entry(cuCtxGetId), nullptr},
    {"cuCtxGetLimit", 3010, entry(cuCtxGetLimit), nullptr},
    {"cuCtxGetStreamPriorityRange", 5050, entry(cuCtxGetStreamPriorityRange), nullptr},
    {"cuCtxPopCurrent", 2000, entry(cuCtxPopCurrent), nullptr},
    {"cuCtxPopCurrent", 4000, entry(cuCtxPopCurrent_v2), nullptr},
    {"cuCtxPushCurrent", 2000, entry(cuCtxPushCurrent), nullptr},
    {"cuCtxPushCurrent", 4000, entry(cuCtxPushCurrent_v2), nullptr},
    {"cuCtxSetCurrent", 4000, entry(cuCtxSetCurrent), nullptr},
    {"cuCtxSetLimit", 3010, entry(cuCtxSetLimit), nullptr},
    {"cuCtxSynchronize", 2000, entry(cuCtxSynchronize), nullptr},
    {"cuCtxSynchronize", 13000, entry(cuCtxSynchronize_v2), nullptr},
    {"cuDeviceCanAccessPeer", 4000, entry(cuDeviceCanAccessPeer), nullptr},
    {"cuDeviceComputeCapability", 2000, entry(cuDeviceComputeCapability), nullptr},
    {"cuDeviceGet", 2000, entry(cuDeviceGet), nullptr},
    {"cuDeviceGetAttribute", 2000, entry(cuDeviceGetAttribute), nullptr},
    {"cuDeviceGetByPCIBusId", 4010, entry(cuDeviceGetByPCIBusId), nullptr},
    {"cuDeviceGetCount", 2000, entry(cuDeviceGetCount), nullptr},
    {"cuDeviceGetDefaultMemPool", 11020, entry(cuDeviceGetDefaultMemPool), nullptr},
    {"cuDeviceGetMemPool", 11020, entry(cuDeviceGetMemPool), nullptr},
    {"cuDeviceGetName", 2000, entry(cuDeviceGetName), nullptr},
    {"cuDeviceGetP2PAttribute", 8000, entry(cuDeviceGetP2PAttribute), nullptr},
    {"cuDeviceGetPCIBusId", 4010, entry(cuDeviceGetPCIBusId), nullptr},
    {"cuDeviceGetUuid", 9020, entry(cuDeviceGetUuid), nullptr},
    {"cuDeviceGetUuid", 11040, entry(cuDeviceGetUuid_v2), nullptr},
    {"cuDevicePrimaryCtxGetState", 7000, entry(cuDevicePrimaryCtxGetState), nullptr},
    {"cuDevicePrimaryCtxRelease", 7000, entry(cuDevicePrimaryCtxRelease), nullptr},
    {"cuDevicePrimaryCtxRelease", 11000, entry(cuDevicePrimaryCtxRelease_v2), nullptr},
    {"cuDevicePrimaryCtxReset", 7000, entry(cuDevicePrimaryCtxReset), nullptr},
    {"cuDevicePrimaryCtxReset", 11000, entry(cuDevicePrimaryCtxReset_v2), nullptr},
    {"cuDevicePrimaryCtxRetain", 7000, entry(cuDevicePrimaryCtxRetain), nullptr},
    {"cuDevicePrimaryCtxSetFlags", 7000, entry(cuDevicePrimaryCtxSetFlags), nullptr},
    {"cuDevicePrimaryCtxSetFlags", 11000, entry(cuDevicePrimaryCtxSetFlags_v2), nullptr},
    {"cuDeviceSetMemPool", 11020, entry(cuDeviceSetMemPool), nullptr},
    {"cuDeviceTotalMem", 3020, entry(cuDeviceTotalMem_v2), nullptr},
    {"cuDriverGetVersion", 2020, entry(cuDriverGetVersion), nullptr},
    {"cuEventCreate", 2000, entry(cuEventCreate), nullptr},
    {"cuEventDestroy", 2000, entry(cuEventDestroy), nullptr},
    {"cuEventDestroy", 4000, entry(cuEventDestroy_v2), nullptr},
    {"cuEventElapsedTime", 2000, entry(cuEventElapsedTime), nullptr},
    {"cuEventElapsedTime", 12080, entry(cuEventElapsedTime_v2), nullptr},
    {"cuEventQuery", 2000, entry(cuEventQuery), nullptr},
    {"cuEventRecord", 2000, entry(cuEventRecord), entry(cuEventRecord_ptsz)},
    {"cuEventRecordWithFlags", 11010, entry(cuEventRecordWithFlags), entry(cuEventRecordWithFlags_ptsz)},
    {"cuEventSynchronize", 2000, entry(cuEventSynchronize), nullptr},
    {"cuGetErrorName", 6000, entry(cuGetErrorName), nullptr},
    {"cuGetErrorString", 6000, entry(cuGetErrorString), nullptr},
    {"cuGetExportTable", 3000, entry(cuGetExportTable), nullptr},
    {"cuGetExportTable", 3000, entry(cuGetExportTable), nullptr},
    {"cuGetProcAddress", 11030, entry(cuGetProcAddress), nullptr},
    {"cuGetProcAddress", 11030, entry(cuGetProcAddress), nullptr},
    {"cuGetProcAddress", 12000, entry(cuGetProcAddress_v2), nullptr},
    {"cuGetProcAddress", 12000, entry(cuGetProcAddress_v2), nullptr},
    {"cuInit", 2000, entry(cuInit), nullptr},
    {"cuLaunchHostFunc", 10000, entry(cuLaunchHostFunc), entry(cuLaunchHostFunc_ptsz)},
    {"cuMemAddressFree", 10020, entry(cuMemAddressFree), nullptr},
    {"cuMemAddressReserve", 10020, entry(cuMemAddressReserve), nullptr},
    {"cuMemAlloc", 3020, entry(cuMemAlloc_v2), nullptr},
    {"cuMemAllocAsync", 11020, entry(cuMemAllocAsync), entry(cuMemAllocAsync_ptsz)},
    {"cuMemAllocFromPoolAsync", 11020, entry(cuMemAllocFromPoolAsync), entry(cuMemAllocFromPoolAsync_ptsz)},
    {"cuMemAllocHost", 3020, entry(cuMemAllocHost_v2), nullptr},
    {"cuMemAllocPitch", 3020, entry(cuMemAllocPitch_v2), nullptr},
    {"cuMemCreate", 10020, entry(cuMemCreate), nullptr},
    {"cuMemExportToShareableHandle", 10020, entry(cuMemExportToShareableHandle), nullptr},
    {"cuMemFree", 3020, entry(cuMemFree_v2), nullptr},
    {"cuMemFreeAsync", 11020, entry(cuMemFreeAsync), entry(cuMemFreeAsync_ptsz)},
    {"cuMemFreeHost", 2000, entry(cuMemFreeHost), nullptr},
    {"cuMemGetAccess", 10020, entry(cuMemGetAccess), nullptr},
    {"cuMemGetAddressRange", 3020, entry(cuMemGetAddressRange_v2), nullptr},
    {"cuMemGetAllocationGranularity", 10020, entry(cuMemGetAllocationGranularity), nullptr},
    {"cuMemGetAllocationPropertiesFromHandle", 10020, entry(cuMemGetAllocationPropertiesFromHandle), nullptr},
    {"cuMemGetInfo", 3020, entry(cuMemGetInfo_v2), nullptr},
    {"cuMemHostAlloc", 2020, entry(cuMemHostAlloc), nullptr},
    {"cuMemHostGetDevicePointer", 3020, entry(cuMemHostGetDevicePointer_v2), nullptr},
    {"cuMemHostGetFlags", 2030, entry(cuMemHostGetFlags), nullptr},
    {"cuMemHostRegister", 4000, entry(cuMemHostRegister), nullptr},
    {"cuMemHostRegister", 6050, entry(cuMemHostRegister_v2), nullptr},
    {"cuMemHostUnregister", 4000, entry(cuMemHostUnregister), nullptr},
    {"cuMemImportFromShareableHandle", 10020, entry(cuMemImportFromShareableHandle), nullptr},
    {"cuMemMap", 10020, entry(cuMemMap), nullptr},
    {"cuMemPoolCreate", 11020, entry(cuMemPoolCreate), nullptr},
    {"cuMemPoolDestroy", 11020, entry(cuMemPoolDestroy), nullptr},
    {"cuMemPoolGetAccess", 11020, entry(cuMemPoolGetAccess), nullptr},
    {"cuMemPoolGetAttribute", 11020, entry(cuMemPoolGetAttribute), nullptr},
    {"cuMemPoolSetAccess", 11020, entry(cuMemPoolSetAccess), nullptr},
    {"cuMemPoolSetAttribute", 11020, entry(cuMemPoolSetAttribute), nullptr},
    {"cuMemPoolTrimTo", 11020, entry(cuMemPoolTrimTo), nullptr},
    {"cuMemRelease", 10020, entry(cuMemRelease), nullptr},
    {"cuMemRetainAllocationHandle", 11000, entry(cuMemRetainAllocationHandle), nullptr},
    {"cuMemSetAccess", 10020, entry(cuMemSetAccess), nullptr},
    {"cuMemUnmap", 10020, entry(cuMemUnmap), nullptr},
    {"cuMemcpy", 4000, entry(cuMemcpy), entry(cuMemcpy_ptds)},
    {"cuMemcpy2D", 3020, entry(cuMemcpy2D_v2), entry(cuMemcpy2D_v2_ptds)},
    {"cuMemcpy2DAsync", 3020, entry(cuMemcpy2DAsync_v2), entry(cuMemcpy2DAsync_v2_ptsz)},
    {"cuMemcpy2DUnaligned", 3020, entry(cuMemcpy2DUnaligned_v2), entry(cuMemcpy2DUnaligned_v2_ptds)},
    {"cuMemcpy3D", 3020, entry(cuMemcpy3D_v2), entry(cuMemcpy3D_v2_ptds)},
    {"cuMemcpy3DAsync", 3020, entry(cuMemcpy3DAsync_v2), entry(cuMemcpy3DAsync_v2_ptsz)},
    {"cuMemcpyAsync", 4000, entry(cuMemcpyAsync), entry(cuMemcpyAsync_ptsz)},
    {"cuMemcpyDtoD", 3020, entry(cuMemcpyDtoD_v2), entry(cuMemcpyDtoD_v2_ptds)},
    {"cuMemcpyDtoDAsync", 3020, entry(cuMemcpyDtoDAsync_v2), entry(cuMemcpyDtoDAsync_v2_ptsz)},
    {"cuMemcpyDtoH", 3020, entry(cuMemcpyDtoH_v2), entry(cuMemcpyDtoH_v2_ptds)},
    {"cuMemcpyDtoHAsync", 3020, entry(cuMemcpyDtoHAsync_v2), entry(cuMemcpyDtoHAsync_v2_ptsz)},
    {"cuMemcpyHtoD", 3020, entry(cuMemcpyHtoD_v2), entry(cuMemcpyHtoD_v2_ptds)},
    {"cuMemcpyHtoDAsync", 3020, entry(cuMemcpyHtoDAsync_v2), entry(cuMemcpyHtoDAsync_v2_ptsz)},
    {"cuMemcpyPeer", 4000, entry(cuMemcpyPeer), entry(cuMemcpyPeer_ptds)},
    {"cuMemcpyPeerAsync", 4000, entry(cuMemcpyPeerAsync), entry(cuMemcpyPeerAsync_ptsz)},
    {"cuMemsetD16", 3020, entry(cuMemsetD16_v2), entry(cuMemsetD16_v2_ptds)},
    {"cuMemsetD16Async", 3020, entry(cuMemsetD16Async), entry(cuMemsetD16Async_ptsz)},
    {"cuMemsetD2D16", 3020, entry(cuMemsetD2D16_v2), entry(cuMemsetD2D16_v2_ptds)},
    {"cuMemsetD2D16Async", 3020, entry(cuMemsetD2D16Async), entry(cuMemsetD2D16Async_ptsz)},
    {"cuMemsetD2D32", 3020, entry(cuMemsetD2D32_v2), entry(cuMemsetD2D32_v2_ptds)},
    {"cuMemsetD2D32Async", 3020, entry(cuMemsetD2D32Async), entry(cuMemsetD2D32Async_ptsz)},
    {"cuMemsetD2D8", 3020, entry(cuMemsetD2D8_v2), entry(cuMemsetD2D8_v2_ptds)},
    {"cuMemsetD2D8Async", 3020, entry(cuMemsetD2D8Async), entry(cuMemsetD2D8Async_ptsz)},
    {"cuMemsetD32", 3020, entry(cuMemsetD32_v2), entry(cuMemsetD32_v2_ptds)},
    {"cuMemsetD32Async", 3020, entry(cuMemsetD32Async), entry(cuMemsetD32Async_ptsz)},
    {"cuMemsetD8", 3020, entry(cuMemsetD8_v2), entry(cuMemsetD8_v2_ptds)},
    {"cuMemsetD8Async", 3020, entry(cuMemsetD8Async), entry(cuMemsetD8Async_ptsz)},
    {"cuPointerGetAttribute", 4000, entry(cuPointerGetAttribute), nullptr},
    {"cuPointerGetAttributes", 7000, entry(cuPointerGetAttributes), nullptr},
    {"cuStreamAddCallback", 5000, entry(cuStreamAddCallback), entry(cuStreamAddCallback_ptsz)},
    {"cuStreamCreate", 2000, entry(cuStreamCreate), nullptr},
    {"cuStreamCreateWithPriority", 5050, entry(cuStreamCreateWithPriority), nullptr},
    {"cuStreamDestroy", 2000, entry(cuStreamDestroy), nullptr},
    {"cuStreamDestroy", 4000, entry(cuStreamDestroy_v2), nullptr},
    {"cuStreamGetCtx", 9020, entry(cuStreamGetCtx), entry(cuStreamGetCtx_ptsz)},
    {"cuStreamGetDevice", 12080, entry(cuStreamGetDevice), entry(cuStreamGetDevice_ptsz)},
    {"cuStreamGetFlags", 5050, entry(cuStreamGetFlags), entry(cuStreamGetFlags_ptsz)},
    {"cuStreamGetId", 12000, entry(cuStreamGetId), entry(cuStreamGetId_ptsz)},
    {"cuStreamGetPriority", 5050, entry(cuStreamGetPriority), entry(cuStreamGetPriority_ptsz)},
    {"cuStreamIsCapturing", 10000, entry(cuStreamIsCapturing), entry(cuStreamIsCapturing_ptsz)},
    {"cuStreamQuery", 2000, entry(cuStreamQuery), entry(cuStreamQuery_ptsz)},
    {"cuStreamSynchronize", 2000, entry(cuStreamSynchronize), entry(cuStreamSynchronize_ptsz)},
    {"cuStreamWaitEvent", 3020, entry(cuStreamWaitEvent), entry(cuStreamWaitEvent_ptsz)},
    {"cuThreadExchangeStreamCaptureMode", 10010, entry(cuThreadExchangeStreamCaptureMode), nullptr},
  };
  // clang-format on
  return kTable;
}

}  // namespace

Found find_entry_point(std::string_view name, int version, bool own_stream) {
  Found found;
  for (const EntryPoint& row : table()) {
    if (row.name != name) continue;
    found.known = true;
    if (row.since <= version) found.function = own_stream && row.own != nullptr ? row.own : row.function;
  }
  return found;
}

}  // namespace vasim::cuda
