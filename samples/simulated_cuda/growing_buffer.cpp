// A buffer that grows in place: one long reservation, memory mapped behind it piece by piece, contents kept.
//
//   reservation  |==== 1 ====|==== 2 ====|..........................|
//
// Plain driver API, no library. It runs on whatever libcuda.so.1 the loader finds:
//   LD_LIBRARY_PATH=build/lib/simulated_cuda VASIM_CUDA="profile=granularity_64k"
//   build/bin/sample_simulated_cuda
#include <cstdio>
#include <cstdlib>
#include <cuda.h>
#include <dlfcn.h>
#include <vector>

namespace {

#define NAME_TEXT(name) #name
#define NAME(name) NAME_TEXT(name)
#define DRIVER(name) (reinterpret_cast<decltype(&name)>(function(NAME(name))))

void* function(const char* name) {
  static void* const driver = dlopen("libcuda.so.1", RTLD_NOW);
  void* const found = driver != nullptr ? dlsym(driver, name) : nullptr;
  if (found == nullptr) {
    std::fprintf(stderr, "no libcuda.so.1 with %s\n", name);
    std::exit(1);
  }
  return found;
}

void check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  const char* name = nullptr;
  DRIVER(cuGetErrorName)(result, &name);
  std::fprintf(stderr, "%s: %s\n", what, name != nullptr ? name : "unknown error");
  std::exit(1);
}
#define CHECK(call) check(call, #call)

struct Buffer {
  CUdeviceptr address = 0;
  std::size_t reserved = 0, piece = 0;
  std::vector<CUmemGenericAllocationHandle> pieces;
};

CUmemAllocationProp properties() {
  CUmemAllocationProp wanted{};
  wanted.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  wanted.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  return wanted;
}

void grow(Buffer& buffer) {
  const CUmemAllocationProp wanted = properties();
  const CUdeviceptr end = buffer.address + buffer.pieces.size() * buffer.piece;
  CUmemGenericAllocationHandle memory = 0;
  CHECK(DRIVER(cuMemCreate)(&memory, buffer.piece, &wanted, 0));
  CHECK(DRIVER(cuMemMap)(end, buffer.piece, 0, memory, 0));
  CUmemAccessDesc access{};
  access.location = wanted.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  CHECK(DRIVER(cuMemSetAccess)(end, buffer.piece, &access, 1));
  buffer.pieces.push_back(memory);
}

void destroy(Buffer& buffer) {
  for (std::size_t i = 0; i != buffer.pieces.size(); ++i) {
    CHECK(DRIVER(cuMemUnmap)(buffer.address + i * buffer.piece, buffer.piece));
    CHECK(DRIVER(cuMemRelease)(buffer.pieces[i]));
  }
  CHECK(DRIVER(cuMemAddressFree)(buffer.address, buffer.reserved));
}

}  // namespace

int main() {
  CUdevice device = 0;
  CUcontext context = nullptr;
  CHECK(DRIVER(cuInit)(0));
  CHECK(DRIVER(cuDeviceGet)(&device, 0));
  CHECK(DRIVER(cuDevicePrimaryCtxRetain)(&context, device));
  CHECK(DRIVER(cuCtxSetCurrent)(context));

  Buffer buffer;
  const CUmemAllocationProp wanted = properties();
  CHECK(DRIVER(cuMemGetAllocationGranularity)(&buffer.piece, &wanted, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  buffer.reserved = 16 * buffer.piece;
  CHECK(DRIVER(cuMemAddressReserve)(&buffer.address, buffer.reserved, 0, 0, 0));

  grow(buffer);
  CHECK(DRIVER(cuMemsetD8)(buffer.address, 1, buffer.piece));
  grow(buffer);
  CHECK(DRIVER(cuMemsetD8)(buffer.address + buffer.piece, 2, buffer.piece));

  // Across the seam: addresses are contiguous, whatever lies behind them.
  unsigned char seam[2] = {};
  CHECK(DRIVER(cuMemcpyDtoH)(seam, buffer.address + buffer.piece - 1, sizeof seam));
  std::printf("%zu bytes, then %zu; at the seam: %d %d\n", buffer.piece, 2 * buffer.piece, seam[0], seam[1]);

  CHECK(DRIVER(cuCtxSynchronize)());
  destroy(buffer);
  CHECK(DRIVER(cuDevicePrimaryCtxRelease)(device));
  return seam[0] == 1 && seam[1] == 2 ? 0 : 1;
}
