// Fills.
#include <cuda.h>

#include "entry.hpp"
#include "transfer.hpp"

namespace vasim::cuda {
namespace {

// `width` in elements of `element` bytes; `pitch` 0 where there is one row.
CUresult fill_rows(const char* name, CUstream handle, CUdeviceptr address, std::size_t pitch, unsigned value,
                   unsigned element, std::size_t width, std::size_t height) {
  return call(name, Needs::context, [&](Call& made) {
    const auto stream = find_stream(made, handle);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    Fill what;
    what.address = address;
    what.device = side_at(made, address).device;
    what.pitch = pitch;
    what.value = value;
    what.element = element;
    what.box.height = height;
    if (__builtin_mul_overflow(width, std::uint64_t{element}, &what.box.width))
      return CUDA_ERROR_INVALID_VALUE;
    return fill(made, *stream, what);
  });
}

}  // namespace
}  // namespace vasim::cuda

using namespace vasim::cuda;  // NOLINT: the entry points below are the driver's own names

extern "C" {

CUresult CUDAAPI cuMemsetD8_v2(CUdeviceptr at, unsigned char value, size_t n) {
  return fill_rows("cuMemsetD8", nullptr, at, 0, value, 1, n, 1);
}
CUresult CUDAAPI cuMemsetD16_v2(CUdeviceptr at, unsigned short value, size_t n) {
  return fill_rows("cuMemsetD16", nullptr, at, 0, value, 2, n, 1);
}
CUresult CUDAAPI cuMemsetD32_v2(CUdeviceptr at, unsigned value, size_t n) {
  return fill_rows("cuMemsetD32", nullptr, at, 0, value, 4, n, 1);
}
CUresult CUDAAPI cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t n, CUstream stream) {
  return fill_rows("cuMemsetD8Async", stream, at, 0, value, 1, n, 1);
}
CUresult CUDAAPI cuMemsetD16Async(CUdeviceptr at, unsigned short value, size_t n, CUstream stream) {
  return fill_rows("cuMemsetD16Async", stream, at, 0, value, 2, n, 1);
}
CUresult CUDAAPI cuMemsetD32Async(CUdeviceptr at, unsigned value, size_t n, CUstream stream) {
  return fill_rows("cuMemsetD32Async", stream, at, 0, value, 4, n, 1);
}
CUresult CUDAAPI cuMemsetD2D8_v2(CUdeviceptr at, size_t pitch, unsigned char value, size_t width,
                                 size_t height) {
  return fill_rows("cuMemsetD2D8", nullptr, at, pitch, value, 1, width, height);
}
CUresult CUDAAPI cuMemsetD2D16_v2(CUdeviceptr at, size_t pitch, unsigned short value, size_t width,
                                  size_t height) {
  return fill_rows("cuMemsetD2D16", nullptr, at, pitch, value, 2, width, height);
}
CUresult CUDAAPI cuMemsetD2D32_v2(CUdeviceptr at, size_t pitch, unsigned value, size_t width, size_t height) {
  return fill_rows("cuMemsetD2D32", nullptr, at, pitch, value, 4, width, height);
}
CUresult CUDAAPI cuMemsetD2D8Async(CUdeviceptr at, size_t pitch, unsigned char value, size_t width,
                                   size_t height, CUstream stream) {
  return fill_rows("cuMemsetD2D8Async", stream, at, pitch, value, 1, width, height);
}
CUresult CUDAAPI cuMemsetD2D16Async(CUdeviceptr at, size_t pitch, unsigned short value, size_t width,
                                    size_t height, CUstream stream) {
  return fill_rows("cuMemsetD2D16Async", stream, at, pitch, value, 2, width, height);
}
CUresult CUDAAPI cuMemsetD2D32Async(CUdeviceptr at, size_t pitch, unsigned value, size_t width, size_t height,
                                    CUstream stream) {
  return fill_rows("cuMemsetD2D32Async", stream, at, pitch, value, 4, width, height);
}

}  // extern "C"
