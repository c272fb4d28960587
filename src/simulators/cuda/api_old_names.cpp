// Names that newer versions have replaced and that mean the same: old binaries, and programs that look
// functions up without a version.
#include <cuda.h>

extern "C" {

CUresult CUDAAPI cuCtxCreate(CUcontext* pctx, unsigned flags, CUdevice dev) {
  return cuCtxCreate_v2(pctx, flags, dev);
}
CUresult CUDAAPI cuCtxCreate_v3(CUcontext* pctx, CUexecAffinityParam*, int numParams, unsigned flags,
                                CUdevice dev) {
  return numParams == 0 ? cuCtxCreate_v2(pctx, flags, dev) : CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
}
CUresult CUDAAPI cuCtxDestroy(CUcontext ctx) {
  return cuCtxDestroy_v2(ctx);
}
CUresult CUDAAPI cuCtxPushCurrent(CUcontext ctx) {
  return cuCtxPushCurrent_v2(ctx);
}
CUresult CUDAAPI cuCtxPopCurrent(CUcontext* pctx) {
  return cuCtxPopCurrent_v2(pctx);
}
CUresult CUDAAPI cuStreamDestroy(CUstream stream) {
  return cuStreamDestroy_v2(stream);
}
CUresult CUDAAPI cuEventDestroy(CUevent event) {
  return cuEventDestroy_v2(event);
}
CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice dev) {
  return cuDevicePrimaryCtxRelease_v2(dev);
}
CUresult CUDAAPI cuDevicePrimaryCtxReset(CUdevice dev) {
  return cuDevicePrimaryCtxReset_v2(dev);
}
CUresult CUDAAPI cuDevicePrimaryCtxSetFlags(CUdevice dev, unsigned flags) {
  return cuDevicePrimaryCtxSetFlags_v2(dev, flags);
}
CUresult CUDAAPI cuMemHostRegister(void* p, size_t bytesize, unsigned flags) {
  return cuMemHostRegister_v2(p, bytesize, flags);
}

}  // extern "C"
