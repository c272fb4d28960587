// The entry points of programs that are built for per-thread default streams: the same functions, but the
// null stream is the calling thread's own.
#include <cuda.h>

#include "call.hpp"

namespace vasim::cuda {
namespace {

class OwnDefault {
 public:
  OwnDefault() { this_thread().own_default = true; }
  OwnDefault(const OwnDefault&) = delete;
  OwnDefault& operator=(const OwnDefault&) = delete;
  ~OwnDefault() { this_thread().own_default = false; }
};

}  // namespace
}  // namespace vasim::cuda

#define VASIM_OWN(name, suffix, parameters, arguments) \
  CUresult CUDAAPI name##suffix parameters {           \
    const vasim::cuda::OwnDefault own;                 \
    return name arguments;                             \
  }

extern "C" {

// clang-format off
VASIM_OWN(cuMemcpy, _ptds, (CUdeviceptr dst, CUdeviceptr src, size_t n), (dst, src, n))
VASIM_OWN(cuMemcpyAsync, _ptsz, (CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream), (dst, src, n, stream))
VASIM_OWN(cuMemcpyHtoD_v2, _ptds, (CUdeviceptr dst, const void* src, size_t n), (dst, src, n))
VASIM_OWN(cuMemcpyHtoDAsync_v2, _ptsz, (CUdeviceptr dst, const void* src, size_t n, CUstream stream), (dst, src, n, stream))
VASIM_OWN(cuMemcpyDtoH_v2, _ptds, (void* dst, CUdeviceptr src, size_t n), (dst, src, n))
VASIM_OWN(cuMemcpyDtoHAsync_v2, _ptsz, (void* dst, CUdeviceptr src, size_t n, CUstream stream), (dst, src, n, stream))
VASIM_OWN(cuMemcpyDtoD_v2, _ptds, (CUdeviceptr dst, CUdeviceptr src, size_t n), (dst, src, n))
VASIM_OWN(cuMemcpyDtoDAsync_v2, _ptsz, (CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream), (dst, src, n, stream))
VASIM_OWN(cuMemcpyPeer, _ptds, (CUdeviceptr dst, CUcontext to, CUdeviceptr src, CUcontext from, size_t n), (dst, to, src, from, n))
VASIM_OWN(cuMemcpyPeerAsync, _ptsz, (CUdeviceptr dst, CUcontext to, CUdeviceptr src, CUcontext from, size_t n, CUstream stream), (dst, to, src, from, n, stream))
VASIM_OWN(cuMemcpy2D_v2, _ptds, (const CUDA_MEMCPY2D* wanted), (wanted))
VASIM_OWN(cuMemcpy2DUnaligned_v2, _ptds, (const CUDA_MEMCPY2D* wanted), (wanted))
VASIM_OWN(cuMemcpy2DAsync_v2, _ptsz, (const CUDA_MEMCPY2D* wanted, CUstream stream), (wanted, stream))
VASIM_OWN(cuMemcpy3D_v2, _ptds, (const CUDA_MEMCPY3D* wanted), (wanted))
VASIM_OWN(cuMemcpy3DAsync_v2, _ptsz, (const CUDA_MEMCPY3D* wanted, CUstream stream), (wanted, stream))
VASIM_OWN(cuEventRecord, _ptsz, (CUevent event, CUstream stream), (event, stream))
VASIM_OWN(cuEventRecordWithFlags, _ptsz, (CUevent event, CUstream stream, unsigned flags), (event, stream, flags))
VASIM_OWN(cuMemsetD8_v2, _ptds, (CUdeviceptr at, unsigned char value, size_t n), (at, value, n))
VASIM_OWN(cuMemsetD16_v2, _ptds, (CUdeviceptr at, unsigned short value, size_t n), (at, value, n))
VASIM_OWN(cuMemsetD32_v2, _ptds, (CUdeviceptr at, unsigned value, size_t n), (at, value, n))
VASIM_OWN(cuMemsetD8Async, _ptsz, (CUdeviceptr at, unsigned char value, size_t n, CUstream stream), (at, value, n, stream))
VASIM_OWN(cuMemsetD16Async, _ptsz, (CUdeviceptr at, unsigned short value, size_t n, CUstream stream), (at, value, n, stream))
VASIM_OWN(cuMemsetD32Async, _ptsz, (CUdeviceptr at, unsigned value, size_t n, CUstream stream), (at, value, n, stream))
VASIM_OWN(cuMemsetD2D8_v2, _ptds, (CUdeviceptr at, size_t pitch, unsigned char value, size_t width, size_t height), (at, pitch, value, width, height))
VASIM_OWN(cuMemsetD2D16_v2, _ptds, (CUdeviceptr at, size_t pitch, unsigned short value, size_t width, size_t height), (at, pitch, value, width, height))
VASIM_OWN(cuMemsetD2D32_v2, _ptds, (CUdeviceptr at, size_t pitch, unsigned value, size_t width, size_t height), (at, pitch, value, width, height))
VASIM_OWN(cuMemsetD2D8Async, _ptsz, (CUdeviceptr at, size_t pitch, unsigned char value, size_t width, size_t height, CUstream stream), (at, pitch, value, width, height, stream))
VASIM_OWN(cuMemsetD2D16Async, _ptsz, (CUdeviceptr at, size_t pitch, unsigned short value, size_t width, size_t height, CUstream stream), (at, pitch, value, width, height, stream))
VASIM_OWN(cuMemsetD2D32Async, _ptsz, (CUdeviceptr at, size_t pitch, unsigned value, size_t width, size_t height, CUstream stream), (at, pitch, value, width, height, stream))
VASIM_OWN(cuMemAllocAsync, _ptsz, (CUdeviceptr* dptr, size_t bytesize, CUstream stream), (dptr, bytesize, stream))
VASIM_OWN(cuMemAllocFromPoolAsync, _ptsz, (CUdeviceptr* dptr, size_t bytesize, CUmemoryPool pool, CUstream stream), (dptr, bytesize, pool, stream))
VASIM_OWN(cuMemFreeAsync, _ptsz, (CUdeviceptr dptr, CUstream stream), (dptr, stream))
VASIM_OWN(cuStreamQuery, _ptsz, (CUstream stream), (stream))
VASIM_OWN(cuStreamSynchronize, _ptsz, (CUstream stream), (stream))
VASIM_OWN(cuStreamWaitEvent, _ptsz, (CUstream stream, CUevent event, unsigned flags), (stream, event, flags))
VASIM_OWN(cuLaunchHostFunc, _ptsz, (CUstream stream, CUhostFn fn, void* userData), (stream, fn, userData))
VASIM_OWN(cuStreamAddCallback, _ptsz, (CUstream stream, CUstreamCallback callback, void* userData, unsigned flags), (stream, callback, userData, flags))
VASIM_OWN(cuStreamGetFlags, _ptsz, (CUstream stream, unsigned* flags), (stream, flags))
VASIM_OWN(cuStreamGetPriority, _ptsz, (CUstream stream, int* priority), (stream, priority))
VASIM_OWN(cuStreamGetId, _ptsz, (CUstream stream, unsigned long long* id), (stream, id))
VASIM_OWN(cuStreamGetCtx, _ptsz, (CUstream stream, CUcontext* context), (stream, context))
VASIM_OWN(cuStreamGetDevice, _ptsz, (CUstream stream, CUdevice* device), (stream, device))
VASIM_OWN(cuStreamIsCapturing, _ptsz, (CUstream stream, CUstreamCaptureStatus* status), (stream, status))
// clang-format on

}  // extern "C"
