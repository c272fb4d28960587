// C1 to C9: reservations, sizes, mappings, access. Each test keeps the rule, and then breaks only it.
#include <sys/mman.h>
#include <vector>

#include "simulated.hpp"

namespace vasim::cuda::test {
namespace {

class CudaRangeRules : public Simulated {};

TEST_F(CudaRangeRules, C1_ReservationsAreInHostPagesAndTheAddressIsAHint) {
  start();
  const std::size_t page = 4096;
  CUdeviceptr first = 0, second = 0;
  ASSERT_OK(DRIVER(cuMemAddressReserve)(&first, 64 * page, 0, 0, 0));
  // The hint is taken: the result is what counts, wherever it lies.
  ASSERT_OK(DRIVER(cuMemAddressReserve)(&second, 64 * page, 0, first, 0));
  EXPECT_NE(second, first);
  EXPECT_EQ(second % page, 0U);
  EXPECT_OK(DRIVER(cuMemAddressFree)(first, 64 * page));
  EXPECT_OK(DRIVER(cuMemAddressFree)(second, 64 * page));

  breaks("C1");
  CUdeviceptr none = 0;
  EXPECT_EQ(DRIVER(cuMemAddressReserve)(&none, page + 1, 0, 0, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(DRIVER(cuMemAddressReserve)(&none, page, 0, page + 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(DRIVER(cuMemAddressReserve)(&none, page, 3 * page, 0, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(none, 0U);
  EXPECT_EQ(live(VASIM_CUDA_RESERVATIONS), 0U);
}

// A driver cuts reservations from a range of its own: what else the process maps meanwhile moves none of
// them.
TEST_F(CudaRangeRules, R9_ReservationsLieSideBySideWhateverElseIsMapped) {
  start("default");
  const std::size_t size = std::size_t{16} << 20U;
  std::vector<CUdeviceptr> first;
  std::vector<void*> others;
  for (int i = 0; i < 8; ++i) {
    first.push_back(reserve(size));
    others.push_back(mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  for (std::size_t i = 1; i < first.size(); ++i)
    EXPECT_EQ(first[i], first[0] + size * i);
  EXPECT_OK(DRIVER(cuMemAddressFree)(first[2], size));
  EXPECT_OK(DRIVER(cuMemAddressFree)(first[3], size));
  EXPECT_EQ(reserve(2 * size), first[2]) << "one gap, not two";
  start("default");
  EXPECT_EQ(reserve(size), first[0]) << "the same places again";
  for (void* other : others)
    munmap(other, 4096);
}

TEST_F(CudaRangeRules, C2_AReservationCanFailWhileMemoryIsFree) {
  start("small_reservations");
  const std::size_t largest = std::size_t{256} << 20U;
  ASSERT_GT(free_memory(), 2 * largest);
  CUdeviceptr none = 0, chain[2] = {};
  EXPECT_EQ(DRIVER(cuMemAddressReserve)(&none, 2 * largest, 0, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
  for (CUdeviceptr& link : chain)
    link = reserve(largest);
  map_piece(chain[1]);
  unmap_piece(chain[1]);

  // A program that does not look at the result goes on with an offset from nothing.
  breaks("C2");
  const CUmemGenericAllocationHandle handle = create(piece_);
  EXPECT_EQ(DRIVER(cuMemMap)(none + piece_, piece_, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
}

TEST_F(CudaRangeRules, C2_AllReservationsTogetherHaveALimit) {
  start("small_reservations");
  const std::size_t largest = std::size_t{256} << 20U;
  for (int i = 0; i != 4; ++i)
    (void)reserve(largest);
  CUdeviceptr none = 0;
  EXPECT_EQ(DRIVER(cuMemAddressReserve)(&none, 4096, 0, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
}

TEST_F(CudaRangeRules, C3_SizesAreMultiplesOfTheMinimumForTheseProperties) {
  start("granularity_by_properties");
  const std::size_t plain = granularity(properties());
  const CUmemAllocationProp shared = properties(0, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
  ASSERT_EQ(granularity(shared), 8 * plain);
  std::size_t recommended = 0;
  ASSERT_OK(
      DRIVER(cuMemGetAllocationGranularity)(&recommended, &shared, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED));
  EXPECT_GT(recommended, granularity(shared));
  EXPECT_OK(DRIVER(cuMemRelease)(create(3 * plain)));
  EXPECT_OK(DRIVER(cuMemRelease)(create(8 * plain, 0, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)));

  // The granularity of other properties.
  breaks("C3");
  CUmemGenericAllocationHandle none = 0;
  EXPECT_EQ(DRIVER(cuMemCreate)(&none, 3 * plain, &shared, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(none, 0U);
  EXPECT_EQ(live(VASIM_CUDA_HANDLES), 0U);
}

TEST_F(CudaRangeRules, C4_AMapLiesInOneReservationIsFreshAndStartsAtOffset0) {
  start();
  const CUdeviceptr at = reserve(4 * piece_);
  const CUmemGenericAllocationHandle handle = create(2 * piece_);
  EXPECT_OK(DRIVER(cuMemMap)(at, 2 * piece_, 0, handle, 0));
  // The same memory at a second place is another mapping.
  EXPECT_OK(DRIVER(cuMemMap)(at + 2 * piece_, piece_, 0, handle, 0));

  breaks("C4");
  EXPECT_EQ(DRIVER(cuMemMap)(at + 3 * piece_, piece_, piece_, handle, 0), CUDA_ERROR_INVALID_VALUE)
      << "offset";
  EXPECT_EQ(DRIVER(cuMemMap)(at, piece_, 0, handle, 0), CUDA_ERROR_INVALID_VALUE) << "mapped";
  EXPECT_EQ(DRIVER(cuMemMap)(at + 3 * piece_, 2 * piece_, 0, handle, 0), CUDA_ERROR_INVALID_VALUE)
      << "outside";
  EXPECT_EQ(DRIVER(cuMemMap)(at + 3 * piece_, 4 * piece_, 0, handle, 0), CUDA_ERROR_INVALID_VALUE)
      << "too long";
  EXPECT_EQ(live(VASIM_CUDA_MAPPINGS), 2U);
  EXPECT_OK(DRIVER(cuMemUnmap)(at, 3 * piece_));
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
}

TEST_F(CudaRangeRules, C5_EveryNewMappingNeedsAccess) {
  start();
  const CUdeviceptr at = reserve(piece_);
  map_piece(at);
  EXPECT_OK(DRIVER(cuMemsetD8)(at, 1, piece_));
  EXPECT_OK(DRIVER(cuCtxSynchronize)());
  unmap_piece(at);

  // The address had access before; the new mapping has none.
  breaks("C5");
  const CUmemGenericAllocationHandle handle = create(piece_);
  EXPECT_OK(DRIVER(cuMemMap)(at, piece_, 0, handle, 0));
  unsigned long long flags = 7;
  const CUmemLocation location = properties().location;
  EXPECT_OK(DRIVER(cuMemGetAccess)(&flags, &location, at));
  EXPECT_EQ(flags, static_cast<unsigned long long>(CU_MEM_ACCESS_FLAGS_PROT_NONE));
  char byte = 0;
  EXPECT_EQ(DRIVER(cuMemcpyDtoH)(&byte, at, 1), CUDA_ERROR_ILLEGAL_ADDRESS);
  // And the context is lost with it.
  EXPECT_EQ(DRIVER(cuCtxSynchronize)(), CUDA_ERROR_ILLEGAL_ADDRESS);
  CUdeviceptr none = 0;
  EXPECT_EQ(DRIVER(cuMemAlloc)(&none, 1), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(CudaRangeRules, C5_ReadAccessIsNoWriteAccess) {
  start();
  const CUdeviceptr at = reserve(piece_);
  map_piece(at);
  const CUmemAccessDesc read = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READ);
  EXPECT_OK(DRIVER(cuMemSetAccess)(at, piece_, &read, 1));
  char byte = 0;
  EXPECT_OK(DRIVER(cuMemcpyDtoH)(&byte, at, 1));

  breaks("C7");  // others may, this one may not
  EXPECT_EQ(DRIVER(cuMemcpyHtoD)(at, &byte, 1), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(CudaRangeRules, C6_AccessIsSetOnWhatIsFullyMapped) {
  start();
  const CUdeviceptr at = reserve(3 * piece_);
  map_piece(at);
  map_piece(at + piece_);
  allow(at, 2 * piece_);

  breaks("C6");
  const CUmemAccessDesc access = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_NONE);
  EXPECT_EQ(DRIVER(cuMemSetAccess)(at, 3 * piece_, &access, 1), CUDA_ERROR_INVALID_VALUE) << "a hole";
  EXPECT_EQ(DRIVER(cuMemSetAccess)(at + piece_ / 2, piece_, &access, 1), CUDA_ERROR_INVALID_VALUE) << "parts";
  // Nothing has changed.
  char byte = 0;
  EXPECT_OK(DRIVER(cuMemcpyDtoH)(&byte, at, 1));
  EXPECT_OK(DRIVER(cuMemUnmap)(at, 2 * piece_));
}

TEST_F(CudaRangeRules, C7_AccessIsPerDevice) {
  start("two_devices");
  const CUdeviceptr at = reserve(2 * piece_);
  map_piece(at);
  map_piece(at + piece_);
  CUcontext second = nullptr;
  ASSERT_OK(DRIVER(cuDevicePrimaryCtxRetain)(&second, 1));
  ASSERT_OK(DRIVER(cuCtxSetCurrent)(second));
  // The peer is added at every live mapping.
  allow(at, piece_, 1);
  allow(at + piece_, piece_, 1);
  EXPECT_OK(DRIVER(cuMemsetD8)(at, 1, 2 * piece_));
  EXPECT_OK(DRIVER(cuCtxSynchronize)());

  // A mapping that came later was not visited.
  breaks("C7");
  unmap_piece(at + piece_);
  map_piece(at + piece_);
  EXPECT_OK(DRIVER(cuMemsetD8)(at, 1, 2 * piece_));
  EXPECT_EQ(DRIVER(cuCtxSynchronize)(), CUDA_ERROR_ILLEGAL_ADDRESS);
  ASSERT_OK(DRIVER(cuCtxSetCurrent)(context_));
  EXPECT_OK(DRIVER(cuMemsetD8)(at, 1, 2 * piece_)) << "the other device is well";
  EXPECT_OK(DRIVER(cuCtxSynchronize)());
}

TEST_F(CudaRangeRules, C7_OnlyPeersCanBeGivenAccess) {
  start("four_devices");
  int reaches = 0;
  EXPECT_OK(DRIVER(cuDeviceCanAccessPeer)(&reaches, 1, 0));
  EXPECT_EQ(reaches, 1);
  EXPECT_OK(DRIVER(cuDeviceCanAccessPeer)(&reaches, 2, 0));
  EXPECT_EQ(reaches, 0);
  const CUdeviceptr at = reserve(piece_);
  map_piece(at);
  allow(at, piece_, 1);

  breaks("C7");
  const CUmemAccessDesc stranger = access_of(2);
  EXPECT_EQ(DRIVER(cuMemSetAccess)(at, piece_, &stranger, 1), CUDA_ERROR_INVALID_DEVICE);
  unmap_piece(at);
}

TEST_F(CudaRangeRules, C8_AnUnmapCoversWholeMappings) {
  start();
  const CUdeviceptr at = reserve(4 * piece_);
  map_piece(at);
  map_piece(at + piece_);
  EXPECT_OK(DRIVER(cuMemUnmap)(at, 2 * piece_)) << "two whole ones at once";
  const CUmemGenericAllocationHandle handle = create(2 * piece_);
  EXPECT_OK(DRIVER(cuMemMap)(at, 2 * piece_, 0, handle, 0));

  breaks("C8");
  EXPECT_EQ(DRIVER(cuMemUnmap)(at, piece_), CUDA_ERROR_INVALID_VALUE) << "the first half";
  EXPECT_EQ(DRIVER(cuMemUnmap)(at + piece_, piece_), CUDA_ERROR_INVALID_VALUE) << "the second half";
  EXPECT_EQ(DRIVER(cuMemUnmap)(at, 3 * piece_), CUDA_ERROR_INVALID_VALUE) << "more than is mapped";
  EXPECT_EQ(live(VASIM_CUDA_MAPPINGS), 1U);
  EXPECT_OK(DRIVER(cuMemUnmap)(at, 2 * piece_));
  EXPECT_OK(DRIVER(cuMemRelease)(handle));
}

TEST_F(CudaRangeRules, C9_AfterAnUnmapTheRangeIsStillReserved) {
  start();
  const CUdeviceptr at = reserve(piece_);
  for (int i = 0; i != 3; ++i) {
    map_piece(at);
    EXPECT_OK(DRIVER(cuMemsetD8)(at, 1, piece_));
    EXPECT_OK(DRIVER(cuCtxSynchronize)());
    unmap_piece(at);
  }
  CUdeviceptr other = 0;
  EXPECT_OK(DRIVER(cuMemAddressReserve)(&other, piece_, 0, at, 0));
  EXPECT_NE(other, at) << "nobody else gets it";

  // Reserved is not mapped.
  breaks("C9");
  EXPECT_OK(DRIVER(cuMemsetD8)(at, 1, piece_));
  EXPECT_EQ(DRIVER(cuCtxSynchronize)(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

}  // namespace
}  // namespace vasim::cuda::test
