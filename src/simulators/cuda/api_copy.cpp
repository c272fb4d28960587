// Copies.
#include <cuda.h>

#include "entry.hpp"
#include "transfer.hpp"

namespace vasim::cuda {
namespace {

enum class Kind { unknown, host, device };

Side side_of(Call& call, std::uint64_t address, Kind kind) {
  Side side = side_at(call, address);
  if (kind != Kind::unknown) side.on_host = kind == Kind::host;
  return side;
}

template <class Pointer>
std::uint64_t address_of(Pointer* pointer) {
  return reinterpret_cast<std::uint64_t>(pointer);
}

CUresult copy_line(Call& call, CUstream handle, Side to, Side from, std::size_t size, bool waits) {
  const auto stream = find_stream(call, handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  return copy(call, *stream, {to, from, {size, 1, 1}}, waits);
}

CUresult line(const char* name, CUstream stream, std::uint64_t to, Kind to_kind, std::uint64_t from,
              Kind from_kind, std::size_t size, bool waits) {
  return call(name, Needs::context, [&](Call& made) {
    return copy_line(made, stream, side_of(made, to, to_kind), side_of(made, from, from_kind), size, waits);
  });
}

// Between contexts: each side is accessed by the device of its own.
CUresult peer(const char* name, CUstream stream, CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
              CUcontext from_context, std::size_t size) {
  return call(name, Needs::context, [&](Call& made) {
    const Context* to_owner = find_context(made.driver, to_context);
    const Context* from_owner = find_context(made.driver, from_context);
    if (to_owner == nullptr || from_owner == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    Side to_side = side_of(made, to, Kind::device);
    Side from_side = side_of(made, from, Kind::device);
    to_side.device = to_owner->device;
    from_side.device = from_owner->device;
    return copy_line(made, stream, to_side, from_side, size, false);
  });
}

// One side of a 2D or 3D copy; false where it is an array, which are not played.
bool box_side(Call& call, Side& side, CUmemorytype type, const void* host, CUdeviceptr device,
              std::size_t pitch, std::size_t rows, std::size_t x, std::size_t y, std::size_t z,
              const Box& box) {
  if (type == CU_MEMORYTYPE_HOST)
    side = side_of(call, address_of(host), Kind::host);
  else if (type == CU_MEMORYTYPE_DEVICE)
    side = side_of(call, device, Kind::device);
  else if (type == CU_MEMORYTYPE_UNIFIED)
    side = side_of(call, device, Kind::unknown);
  else
    return false;
  side.pitch = pitch != 0 ? pitch : box.width;
  side.rows = rows != 0 ? rows : box.height;
  side.address += (z * side.rows + y) * side.pitch + x;
  return true;
}

template <class Parameters>
CUresult box(const char* name, CUstream handle, const Parameters* wanted, Box size, std::size_t to_rows,
             std::size_t from_rows, std::size_t to_z, std::size_t from_z, bool waits) {
  return call(name, Needs::context, [&](Call& made) {
    const auto stream = find_stream(made, handle);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    Copy what;
    what.box = size;
    if (!box_side(made, what.to, wanted->dstMemoryType, wanted->dstHost, wanted->dstDevice, wanted->dstPitch,
                  to_rows, wanted->dstXInBytes, wanted->dstY, to_z, size) ||
        !box_side(made, what.from, wanted->srcMemoryType, wanted->srcHost, wanted->srcDevice,
                  wanted->srcPitch, from_rows, wanted->srcXInBytes, wanted->srcY, from_z, size))
      return CUDA_ERROR_NOT_SUPPORTED;
    return copy(made, *stream, what, waits);
  });
}

CUresult box_2d(const char* name, CUstream stream, const CUDA_MEMCPY2D* wanted, bool waits) {
  if (wanted == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return box(name, stream, wanted, {wanted->WidthInBytes, wanted->Height, 1}, 0, 0, 0, 0, waits);
}

CUresult box_3d(const char* name, CUstream stream, const CUDA_MEMCPY3D* wanted, bool waits) {
  if (wanted == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return box(name, stream, wanted, {wanted->WidthInBytes, wanted->Height, wanted->Depth}, wanted->dstHeight,
             wanted->srcHeight, wanted->dstZ, wanted->srcZ, waits);
}

}  // namespace
}  // namespace vasim::cuda

using namespace vasim::cuda;  // NOLINT: the entry points below are the driver's own names

extern "C" {

CUresult CUDAAPI cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t n) {
  return line("cuMemcpy", nullptr, dst, Kind::unknown, src, Kind::unknown, n, true);
}
CUresult CUDAAPI cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream) {
  return line("cuMemcpyAsync", stream, dst, Kind::unknown, src, Kind::unknown, n, false);
}
CUresult CUDAAPI cuMemcpyHtoD_v2(CUdeviceptr dst, const void* src, size_t n) {
  return line("cuMemcpyHtoD", nullptr, dst, Kind::device, address_of(src), Kind::host, n, true);
}
CUresult CUDAAPI cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void* src, size_t n, CUstream stream) {
  return line("cuMemcpyHtoDAsync", stream, dst, Kind::device, address_of(src), Kind::host, n, false);
}
CUresult CUDAAPI cuMemcpyDtoH_v2(void* dst, CUdeviceptr src, size_t n) {
  return line("cuMemcpyDtoH", nullptr, address_of(dst), Kind::host, src, Kind::device, n, true);
}
CUresult CUDAAPI cuMemcpyDtoHAsync_v2(void* dst, CUdeviceptr src, size_t n, CUstream stream) {
  return line("cuMemcpyDtoHAsync", stream, address_of(dst), Kind::host, src, Kind::device, n, false);
}
CUresult CUDAAPI cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t n) {
  return line("cuMemcpyDtoD", nullptr, dst, Kind::device, src, Kind::device, n, true);
}
CUresult CUDAAPI cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream) {
  return line("cuMemcpyDtoDAsync", stream, dst, Kind::device, src, Kind::device, n, false);
}
CUresult CUDAAPI cuMemcpyPeer(CUdeviceptr dst, CUcontext to, CUdeviceptr src, CUcontext from, size_t n) {
  return peer("cuMemcpyPeer", nullptr, dst, to, src, from, n);
}
CUresult CUDAAPI cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext to, CUdeviceptr src, CUcontext from, size_t n,
                                   CUstream stream) {
  return peer("cuMemcpyPeerAsync", stream, dst, to, src, from, n);
}
CUresult CUDAAPI cuMemcpy2D_v2(const CUDA_MEMCPY2D* wanted) {
  return box_2d("cuMemcpy2D", nullptr, wanted, true);
}
CUresult CUDAAPI cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* wanted) {
  return box_2d("cuMemcpy2DUnaligned", nullptr, wanted, true);
}
CUresult CUDAAPI cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* wanted, CUstream stream) {
  return box_2d("cuMemcpy2DAsync", stream, wanted, false);
}
CUresult CUDAAPI cuMemcpy3D_v2(const CUDA_MEMCPY3D* wanted) {
  return box_3d("cuMemcpy3D", nullptr, wanted, true);
}
CUresult CUDAAPI cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D* wanted, CUstream stream) {
  return box_3d("cuMemcpy3DAsync", stream, wanted, false);
}

}  // extern "C"
