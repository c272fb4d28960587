// Memory that is not mapped by hand: plain and host memory, copies and fills of all shapes, what an address
// is.
#include <cstring>
#include <numeric>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

#include "simulated.hpp"

namespace vasim::cuda::test {
namespace {

class CudaMemory : public Simulated {};

std::vector<unsigned char> counted(std::size_t size) {
  std::vector<unsigned char> bytes(size);
  std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(1));
  return bytes;
}

TEST_F(CudaMemory, CopiesCrossTheSeamsOfMappings) {
  start("granularity_64k");
  const CUdeviceptr at = reserve(8 * piece_);
  for (int i = 7; i >= 0; --i)
    map_piece(at + static_cast<std::size_t>(i) * piece_);
  const std::vector<unsigned char> out = counted(2 * piece_ + 100);
  const CUdeviceptr first = at + piece_ / 2, second = at + 4 * piece_ + 10;
  EXPECT_OK(DRIVER(cuMemcpyHtoD)(first, out.data(), out.size()));
  EXPECT_OK(DRIVER(cuMemcpyDtoD)(second, first, out.size()));
  std::vector<unsigned char> back(out.size());
  EXPECT_OK(DRIVER(cuMemcpyDtoH)(back.data(), second, back.size()));
  EXPECT_EQ(back, out);
  EXPECT_OK(DRIVER(cuMemUnmap)(at, 8 * piece_));
}

TEST_F(CudaMemory, TwoMappingsOfOneMemoryShowTheSame) {
  start();
  const CUdeviceptr at = reserve(2 * piece_);
  const CUmemGenericAllocationHandle handle = create(piece_);
  for (const CUdeviceptr place : {at, at + piece_}) {
    EXPECT_OK(DRIVER(cuMemMap)(place, piece_, 0, handle, 0));
    allow(place, piece_);
  }
  EXPECT_OK(DRIVER(cuMemsetD32)(at, 0x01020304, piece_ / 4));
  unsigned word = 0;
  EXPECT_OK(DRIVER(cuMemcpyDtoH)(&word, at + 2 * piece_ - 4, 4));
  EXPECT_EQ(word, 0x01020304U);
  EXPECT_OK(DRIVER(cuMemUnmap)(at, 2 * piece_));
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
}

TEST_F(CudaMemory, AllocationsAreCountedAndFreed) {
  start("small_memory");
  const std::size_t all = free_memory();
  EXPECT_EQ(all, std::size_t{64} << 20U);
  const CUdeviceptr first = allocate(all / 2), second = allocate(1);
  EXPECT_LT(free_memory(), all / 2);
  CUdeviceptr none = 0;
  EXPECT_EQ(DRIVER(cuMemAlloc)(&none, all / 2), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(DRIVER(cuMemAlloc)(&none, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(DRIVER(cuMemAlloc)(&none, SIZE_MAX), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_OK(DRIVER(cuMemFree)(second));
  EXPECT_OK(DRIVER(cuMemFree)(first));
  EXPECT_OK(DRIVER(cuMemFree)(0));
  EXPECT_EQ(free_memory(), all);
}

TEST_F(CudaMemory, FragmentedMemoryServesOneLargeAllocation) {
  start("small_memory");
  std::vector<CUdeviceptr> pieces;
  for (int i = 0; i != 32; ++i)
    pieces.push_back(allocate(std::size_t{2} << 20U));
  for (std::size_t i = 0; i != 32; i += 2)
    EXPECT_OK(DRIVER(cuMemFree)(pieces[i]));
  const std::size_t half = std::size_t{32} << 20U;
  const CUdeviceptr large = allocate(half);
  const std::vector<unsigned char> out = counted(half);
  std::vector<unsigned char> back(half);
  EXPECT_OK(DRIVER(cuMemcpyHtoD)(large, out.data(), half));
  EXPECT_OK(DRIVER(cuMemcpyDtoH)(back.data(), large, half));
  EXPECT_EQ(back, out);
}

TEST_F(CudaMemory, AFreedAddressIsRefused) {
  start();
  const CUdeviceptr at = allocate(4096);
  EXPECT_OK(DRIVER(cuMemFree)(at));
  breaks("freed-range");
  char byte = 0;
  EXPECT_EQ(DRIVER(cuMemcpyHtoD)(at, &byte, 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(DRIVER(cuMemFree)(at), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(DRIVER(vasim_cuda_reports)("freed-range"), 2U);
}

TEST_F(CudaMemory, ACopyBeyondAnAllocationIsRefused) {
  start();
  const CUdeviceptr at = allocate(4096);
  std::vector<char> bytes(8192);
  EXPECT_EQ(DRIVER(cuMemcpyHtoD)(at, bytes.data(), 4097), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(DRIVER(cuMemcpyHtoD)(at + 4096, bytes.data(), 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(DRIVER(cuMemcpyHtoD)(at - 1, bytes.data(), 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(DRIVER(cuMemcpyDtoH)(bytes.data(), reinterpret_cast<CUdeviceptr>(bytes.data()), 1),
            CUDA_ERROR_INVALID_VALUE)
      << "a host address is no device address";
  EXPECT_OK(DRIVER(cuMemcpyHtoD)(at, bytes.data(), 0));
}

TEST_F(CudaMemory, FillsHaveElementsAndRows) {
  start();
  const CUdeviceptr at = allocate(4096);
  EXPECT_OK(DRIVER(cuMemsetD8)(at, 0, 4096));
  EXPECT_OK(DRIVER(cuMemsetD16)(at + 2, 0x0102, 2));
  EXPECT_OK(DRIVER(cuMemsetD2D8)(at + 16, 8, 9, 3, 2));
  EXPECT_OK(DRIVER(cuMemsetD2D32)(at + 64, 16, 0x0a0b0c0d, 1, 2));
  unsigned char back[96] = {};
  EXPECT_OK(DRIVER(cuMemcpyDtoH)(back, at, sizeof back));
  unsigned char want[96] = {};
  for (const std::size_t i : {2U, 4U})
    want[i] = 2, want[i + 1] = 1;
  for (const std::size_t row : {16U, 24U})
    std::memset(want + row, 9, 3);
  for (const std::size_t row : {64U, 80U})
    want[row] = 0x0d, want[row + 1] = 0x0c, want[row + 2] = 0x0b, want[row + 3] = 0x0a;
  EXPECT_EQ(std::memcmp(back, want, sizeof back), 0);
  EXPECT_EQ(DRIVER(cuMemsetD32)(at + 2, 1, 1), CUDA_ERROR_INVALID_VALUE) << "not aligned";
  EXPECT_EQ(DRIVER(cuMemsetD2D8)(at, 2, 1, 3, 2), CUDA_ERROR_INVALID_VALUE) << "the pitch is below the width";
}

TEST_F(CudaMemory, BoxesAreCopiedByRows) {
  start();
  std::size_t pitch = 0;
  CUdeviceptr at = 0;
  ASSERT_OK(DRIVER(cuMemAllocPitch)(&at, &pitch, 10, 6, 4));
  const std::vector<unsigned char> out = counted(60);
  CUDA_MEMCPY2D box{};
  box.srcMemoryType = CU_MEMORYTYPE_HOST;
  box.srcHost = out.data();
  box.srcPitch = 10;
  box.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  box.dstDevice = at;
  box.dstPitch = pitch;
  box.WidthInBytes = 10;
  box.Height = 6;
  EXPECT_OK(DRIVER(cuMemcpy2D)(&box));
  // Back: the middle 4 by 2.
  unsigned char back[8] = {};
  CUDA_MEMCPY2D part{};
  part.srcMemoryType = CU_MEMORYTYPE_UNIFIED;
  part.srcDevice = at;
  part.srcPitch = pitch;
  part.srcXInBytes = 3;
  part.srcY = 2;
  part.dstMemoryType = CU_MEMORYTYPE_HOST;
  part.dstHost = back;
  part.dstPitch = 4;
  part.WidthInBytes = 4;
  part.Height = 2;
  EXPECT_OK(DRIVER(cuMemcpy2DAsync)(&part, nullptr));
  for (std::size_t i = 0; i != 8; ++i)
    EXPECT_EQ(back[i], out[(2 + i / 4) * 10 + 3 + i % 4]) << i;
  part.srcMemoryType = CU_MEMORYTYPE_ARRAY;
  EXPECT_EQ(DRIVER(cuMemcpy2D)(&part), CUDA_ERROR_NOT_SUPPORTED);
}

TEST_F(CudaMemory, PinnedMemoryIsReachedAtItsHostAddress) {
  start();
  void* memory = nullptr;
  ASSERT_OK(DRIVER(cuMemHostAlloc)(&memory, 100, CU_MEMHOSTALLOC_DEVICEMAP));
  CUdeviceptr device = 0;
  EXPECT_OK(DRIVER(cuMemHostGetDevicePointer)(&device, memory, 0));
  EXPECT_EQ(device, reinterpret_cast<CUdeviceptr>(memory));
  EXPECT_OK(DRIVER(cuMemsetD8)(device, 4, 100));
  EXPECT_OK(DRIVER(cuCtxSynchronize)());
  EXPECT_EQ(static_cast<unsigned char*>(memory)[99], 4);
  EXPECT_OK(DRIVER(cuMemFreeHost)(memory));
  EXPECT_EQ(DRIVER(cuMemFreeHost)(memory), CUDA_ERROR_INVALID_VALUE);

  std::vector<unsigned char> own(64);
  EXPECT_OK(DRIVER(cuMemHostRegister)(own.data(), own.size(), 0));
  EXPECT_EQ(DRIVER(cuMemHostRegister)(own.data(), 1, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  EXPECT_OK(DRIVER(cuMemHostUnregister)(own.data()));
  EXPECT_EQ(DRIVER(cuMemHostUnregister)(own.data()), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  EXPECT_EQ(live(VASIM_CUDA_HOST_MEMORY), 0U);
}

TEST_F(CudaMemory, AnAddressSaysWhatItIs) {
  start();
  const CUdeviceptr mapped = reserve(piece_), plain = allocate(4096);
  map_piece(mapped);
  for (const CUdeviceptr at : {mapped, plain}) {
    unsigned type = 0;
    int device = -1;
    CUdeviceptr begin = 0;
    std::size_t size = 0;
    CUpointer_attribute names[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                   CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, CU_POINTER_ATTRIBUTE_RANGE_SIZE};
    void* values[] = {&type, &device, &begin, &size};
    EXPECT_OK(DRIVER(cuPointerGetAttributes)(4, names, values, at + 100));
    EXPECT_EQ(type, static_cast<unsigned>(CU_MEMORYTYPE_DEVICE));
    EXPECT_EQ(device, 0);
    EXPECT_EQ(begin, at);
    EXPECT_EQ(size, at == mapped ? piece_ : 4096U);
    void* host = nullptr;
    EXPECT_EQ(DRIVER(cuPointerGetAttribute)(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, at),
              CUDA_ERROR_INVALID_VALUE);
  }
  int local = 0, device = 0;
  EXPECT_EQ(DRIVER(cuPointerGetAttribute)(&device, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                          reinterpret_cast<CUdeviceptr>(&local)),
            CUDA_ERROR_INVALID_VALUE);
  unmap_piece(mapped);
}

// Whether the host could read the byte: what an access would meet, asked of the kernel.
bool host_reads(CUdeviceptr at) {
  char byte = 0;
  const iovec here{&byte, 1}, there{reinterpret_cast<void*>(at), 1};
  return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}

TEST_F(CudaMemory, ADeviceAddressIsNoHostAddress) {
  start();
  const CUdeviceptr mapped = reserve(piece_), plain = allocate(4096);
  map_piece(mapped);
  EXPECT_FALSE(host_reads(mapped));
  EXPECT_FALSE(host_reads(plain));
  unmap_piece(mapped);
}

TEST_F(CudaMemory, UnlessTheProfileIsUnified) {
  start("unified");
  const CUdeviceptr mapped = reserve(2 * piece_), plain = allocate(4096);
  map_piece(mapped);
  EXPECT_FALSE(host_reads(mapped + piece_)) << "not mapped";
  auto* const bytes = reinterpret_cast<volatile unsigned char*>(mapped);
  bytes[5] = 77;
  *reinterpret_cast<volatile char*>(plain) = 1;
  unsigned char seen = 0;
  EXPECT_OK(DRIVER(cuMemcpyDtoH)(&seen, mapped + 5, 1));
  EXPECT_EQ(seen, 77);
  EXPECT_OK(DRIVER(cuMemsetD8)(mapped, 3, piece_));
  EXPECT_OK(DRIVER(cuCtxSynchronize)());
  EXPECT_EQ(bytes[piece_ - 1], 3);
  unmap_piece(mapped);
  EXPECT_FALSE(host_reads(mapped));
}

TEST_F(CudaMemory, PeersCopyToEachOther) {
  start("two_devices");
  const CUdeviceptr here = allocate(4096);
  CUcontext second = nullptr;
  ASSERT_OK(DRIVER(cuDevicePrimaryCtxRetain)(&second, 1));
  ASSERT_OK(DRIVER(cuCtxSetCurrent)(second));
  const CUdeviceptr there = allocate(4096);
  ASSERT_OK(DRIVER(cuCtxSetCurrent)(context_));
  EXPECT_OK(DRIVER(cuMemsetD8)(here, 6, 4096));
  EXPECT_OK(DRIVER(cuMemcpyPeerAsync)(there, second, here, context_, 4096, nullptr));
  unsigned char byte = 0;
  EXPECT_OK(DRIVER(cuMemcpy)(reinterpret_cast<CUdeviceptr>(&byte), there + 4095, 1));
  EXPECT_EQ(byte, 6);
  EXPECT_OK(DRIVER(cuCtxEnablePeerAccess)(second, 0));
  EXPECT_EQ(DRIVER(cuCtxEnablePeerAccess)(second, 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
  EXPECT_OK(DRIVER(cuCtxDisablePeerAccess)(second));
  EXPECT_EQ(DRIVER(cuCtxDisablePeerAccess)(second), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
}

}  // namespace
}  // namespace vasim::cuda::test
