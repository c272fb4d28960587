// What others load or include: the PyTorch plug-in, by its C functions alone, and the memory resource.
#include <cstdlib>
#include <dlfcn.h>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "vaspace/frontends/cuda_memory_resource.hpp"
#include "vaspace/frontends/cuda_torch.h"

#include "cuda/stream_fixture.hpp"

namespace vaspace::test {
namespace {

class CudaPlugin : public CudaTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(setenv("VASPACE_CUDA_DRIVER", VASIM_CUDA_LIBRARY, 1), 0);
    restart_cuda("two_devices");
    library_ = dlopen(VASPACE_TORCH_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << dlerror();
    allocate_ = find<decltype(&vaspace_torch_allocate)>("vaspace_torch_allocate");
    try_allocate_ = find<decltype(&vaspace_torch_try_allocate)>("vaspace_torch_try_allocate");
    free_ = find<decltype(&vaspace_torch_free)>("vaspace_torch_free");
    record_ = find<decltype(&vaspace_torch_record_stream)>("vaspace_torch_record_stream");
    release_ = find<decltype(&vaspace_torch_release_stream)>("vaspace_torch_release_stream");
    add_ = find<decltype(&vaspace_torch_add_stream)>("vaspace_torch_add_stream");
    trim_ = find<decltype(&vaspace_torch_trim)>("vaspace_torch_trim");
    statistics_ = find<decltype(&vaspace_torch_get_statistics)>("vaspace_torch_get_statistics");
    last_error_ = find<decltype(&vaspace_torch_last_error)>("vaspace_torch_last_error");
    close_ = find<decltype(&vaspace_torch_close)>("vaspace_torch_close");
  }
  void TearDown() override {
    close_();
    unsetenv("VASPACE_CUDA_DRIVER");
    CudaTest::TearDown();
  }
  template <class Function>
  [[nodiscard]] Function find(const char* name) {
    void* found = dlsym(library_, name);
    EXPECT_NE(found, nullptr) << name;
    return reinterpret_cast<Function>(found);
  }

  void* library_ = nullptr;
  decltype(&vaspace_torch_allocate) allocate_{};
  decltype(&vaspace_torch_try_allocate) try_allocate_{};
  decltype(&vaspace_torch_free) free_{};
  decltype(&vaspace_torch_record_stream) record_{};
  decltype(&vaspace_torch_release_stream) release_{};
  decltype(&vaspace_torch_add_stream) add_{};
  decltype(&vaspace_torch_trim) trim_{};
  decltype(&vaspace_torch_get_statistics) statistics_{};
  decltype(&vaspace_torch_last_error) last_error_{};
  decltype(&vaspace_torch_close) close_{};
};

TEST_F(CudaPlugin, AllocatesAndFreesByDeviceAndStream) {
  vaspace_torch_statistics now{};
  EXPECT_EQ(statistics_(0, &now), -1) << "nothing has happened";
  std::vector<void*> blocks;
  for (int device = 0; device < 2; ++device) {
    for (const ssize_t size : {512, 2'000'000, 30'000'000})
      blocks.push_back(allocate_(size, device, nullptr));
  }
  for (const void* block : blocks)
    EXPECT_NE(block, nullptr) << last_error_();
  ASSERT_EQ(statistics_(1, &now), 0);
  EXPECT_EQ(now.live_allocations, 3U);
  EXPECT_EQ(now.live_bytes, 32'000'512U);
  EXPECT_GE(now.physical_bytes, now.live_bytes);
  for (std::size_t i = 0; i < blocks.size(); ++i)
    free_(blocks[i], 0, i < 3 ? 0 : 1, nullptr);
  trim_(1);
  ASSERT_EQ(statistics_(1, &now), 0);
  EXPECT_EQ(now.live_bytes, 0U);
  EXPECT_EQ(now.physical_bytes, 0U);
  EXPECT_EQ(now.bad_frees, 0U);
}

// PyTorch takes what it gets for memory.
TEST_F(CudaPlugin, WhatIsRefusedIsThrownWithItsText) {
  void* block = allocate_(512, 0, nullptr);
  ASSERT_NE(block, nullptr);
  try {
    (void)allocate_(ssize_t{1} << 40, 0, nullptr);
    FAIL() << "a terabyte";
  } catch (const std::bad_alloc& lack) {
    EXPECT_STREQ(lack.what(), last_error_());
    EXPECT_NE(std::string(lack.what()).find("CUresult 2"), std::string::npos) << lack.what();
  }
  try {
    (void)allocate_(512, 9, nullptr);
    FAIL() << "no such device";
  } catch (const std::runtime_error& bad) {
    EXPECT_NE(std::string(bad.what()).find("no such device"), std::string::npos) << bad.what();
  }
  EXPECT_THROW((void)allocate_(-1, 0, nullptr), std::runtime_error);
  EXPECT_EQ(try_allocate_(ssize_t{1} << 40, 0, nullptr), nullptr);
  vaspace_torch_statistics now{};
  ASSERT_EQ(statistics_(0, &now), 0);
  EXPECT_EQ(now.refused, 3U);
  EXPECT_EQ(now.live_bytes, 512U);
  // An empty tensor has no memory, which nobody refuses.
  EXPECT_EQ(allocate_(0, 0, nullptr), nullptr);
  EXPECT_EQ(try_allocate_(0, 0, nullptr), nullptr);
  ASSERT_EQ(statistics_(0, &now), 0);
  EXPECT_EQ(now.refused, 3U);
  free_(block, 512, 0, nullptr);
}

TEST_F(CudaPlugin, BadArgumentsAreRefusedAndSaid) {
  EXPECT_EQ(try_allocate_(-1, 0, nullptr), nullptr);
  EXPECT_NE(std::string(last_error_()).find("invalid_size"), std::string::npos) << last_error_();
  EXPECT_EQ(try_allocate_(512, 9, nullptr), nullptr);
  EXPECT_NE(std::string(last_error_()).find("no such device"), std::string::npos) << last_error_();
  EXPECT_EQ(try_allocate_(512, -1, nullptr), nullptr);
  void* block = allocate_(512, 0, nullptr);
  free_(nullptr, 0, 0, nullptr);
  free_(block, 512, 0, nullptr);
  free_(block, 512, 0, nullptr);
  free_(block, 512, 5, nullptr);
  vaspace_torch_statistics now{};
  ASSERT_EQ(statistics_(0, &now), 0);
  EXPECT_EQ(now.bad_frees, 1U);
  EXPECT_EQ(now.refused, 1U);
  EXPECT_EQ(release_(0, nullptr), 0);
  EXPECT_EQ(release_(0, nullptr), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(release_(7, nullptr), CUDA_ERROR_INVALID_DEVICE);
}

// C7: tensors of one device are read and written by the others that can.
TEST_F(CudaPlugin, C7_EveryDeviceThatCanReachesTheMemory) {
  const auto reaches = [](const void* memory, int device) {
    unsigned long long flags = 0;
    const CUmemLocation where{CU_MEM_LOCATION_TYPE_DEVICE, device};
    EXPECT_OK(DRIVER(cuMemGetAccess)(&flags, &where, reinterpret_cast<std::uintptr_t>(memory)));
    return flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  };
  close_();
  restart_cuda("four_devices");
  void* block = allocate_(512, 0, nullptr);
  int peers = 0;
  for (int device = 1; device < 4; ++device) {
    int can = 0;
    EXPECT_OK(DRIVER(cuDeviceCanAccessPeer)(&can, device, 0));
    EXPECT_EQ(reaches(block, device), can != 0) << device;
    peers += can;
  }
  EXPECT_GT(peers, 0);
  EXPECT_LT(peers, 3) << "one that cannot is no failure";
  free_(block, 512, 0, nullptr);
}

TEST_F(CudaPlugin, AReleasedStreamComesBack) {
  void* block = allocate_(512, 0, nullptr);
  free_(block, 512, 0, nullptr);
  EXPECT_EQ(release_(0, nullptr), 0);
  EXPECT_EQ(try_allocate_(512, 0, nullptr), nullptr);
  EXPECT_EQ(add_(0, nullptr), 0) << last_error_();
  EXPECT_NE(allocate_(512, 0, nullptr), nullptr) << last_error_();
  EXPECT_NE(add_(7, nullptr), 0);
  // Each thread's own default stream is no stream to order memory by.
  auto* const per_thread = reinterpret_cast<CUstream_st*>(std::uintptr_t{2});
  EXPECT_EQ(try_allocate_(512, 0, per_thread), nullptr);
  EXPECT_NE(std::string(last_error_()).find("not_supported"), std::string::npos) << last_error_();
  EXPECT_EQ(add_(0, per_thread), CUDA_ERROR_NOT_SUPPORTED);
}

// What no call of the driver has refused has no CUresult of its own, and is no success either.
TEST_F(CudaPlugin, WhatTheDriverDidNotRefuseIsUnknownToIt) {
  auto made = cuda::Backend::create(cuda_config());
  ASSERT_TRUE(made);
  backend_ = std::move(*made);
  void* block = allocate_(512, 0, nullptr);
  std::vector<cuda::Stream> streams;
  int added = 0;
  while (added == 0 && streams.size() < 1000) {
    streams.push_back(backend_->make_stream().value_or(nullptr));
    added = add_(0, streams.back());
  }
  EXPECT_EQ(added, CUDA_ERROR_UNKNOWN);
  EXPECT_NE(std::string(last_error_()).find("out_of_space"), std::string::npos) << last_error_();
  free_(block, 512, 0, nullptr);
  close_();
  for (const cuda::Stream stream : streams)
    EXPECT_EQ(code_of(backend_->destroy_stream(stream)), "ok");
}

// As torch.Tensor.record_stream does: by the pointer alone, whichever device's it is.
TEST_F(CudaPlugin, C13_ARecordedStreamIsWaitedFor) {
  cuda::BackendConfig config = cuda_config();
  config.device = 1;
  auto made = cuda::Backend::create(config);
  ASSERT_TRUE(made);
  backend_ = std::move(*made);
  const auto side = backend_->make_stream();
  ASSERT_TRUE(side);
  void* first = allocate_(512, 0, nullptr);
  void* block = allocate_(100'000, 1, nullptr);
  record_(block, *side);
  record_(nullptr, *side);
  free_(block, 100'000, 1, nullptr);
  vaspace_torch_statistics now{};
  ASSERT_EQ(statistics_(1, &now), 0);
  EXPECT_EQ(now.live_bytes, 0U);
  EXPECT_GE(now.waiting_bytes, 100'000U);
  EXPECT_EQ(now.bad_frees, 0U);
  trim_(1);
  ASSERT_EQ(statistics_(1, &now), 0);
  EXPECT_EQ(now.waiting_bytes, 0U);
  EXPECT_EQ(now.physical_bytes, 0U);
  record_(block, *side);
  ASSERT_EQ(statistics_(1, &now), 0);
  EXPECT_EQ(now.bad_frees, 1U) << "it is freed";
  EXPECT_NE(std::string(last_error_()).find("unknown_address"), std::string::npos) << last_error_();
  free_(first, 512, 0, nullptr);
  EXPECT_EQ(code_of(backend_->destroy_stream(*side)), "ok");
}

// The other device's stream is waited for: the free comes before it has passed.
TEST_F(CudaPlugin, C13_AnotherDevicesStreamIsWaitedForToo) {
  cuda::BackendConfig config = cuda_config();
  config.device = 1;
  auto made = cuda::Backend::create(config);
  ASSERT_TRUE(made);
  backend_ = std::move(*made);
  page_ = backend_->profile().page_sizes[0];
  const auto theirs = backend_->make_stream();
  const Reservation busy = reserve(1);
  ASSERT_TRUE(theirs && bind(busy.address, create()));
  void* block = allocate_(1'000'000, 0, nullptr);
  DRIVER(vasim_cuda_hold_streams)(1);
  ASSERT_TRUE(backend_->fill(busy.address, std::byte{1}, page_, *theirs));
  record_(block, *theirs);
  free_(block, 1'000'000, 0, nullptr);
  vaspace_torch_statistics now{};
  ASSERT_EQ(statistics_(0, &now), 0);
  EXPECT_EQ(now.bad_frees, 0U) << last_error_();
  EXPECT_GE(now.waiting_bytes, 1'000'000U);
  void* other = allocate_(1'000'000, 0, nullptr);
  EXPECT_NE(other, block);
  DRIVER(vasim_cuda_hold_streams)(0);
  free_(other, 1'000'000, 0, nullptr);
  trim_(0);
  ASSERT_EQ(statistics_(0, &now), 0);
  EXPECT_EQ(now.waiting_bytes, 0U);
  EXPECT_EQ(code_of(backend_->destroy_stream(*theirs)), "ok");
}

class CudaResource : public StreamTest {};

TEST_F(CudaResource, ContainersLiveInPinnedMemory) {
  cuda::StreamConfig config;
  config.kind = cuda::MemoryKind::pinned;
  start_streams("default", config);
  cuda::PinnedResource on_a(*streams_, a_);
  cuda::PinnedResource on_b(*streams_, b_);
  cuda::PinnedResource also_on_a(*streams_, a_);
  EXPECT_TRUE(on_a.is_equal(also_on_a));
  EXPECT_FALSE(on_a.is_equal(on_b));
  {
    std::pmr::vector<std::uint64_t> values(&on_a);
    for (std::uint64_t i = 0; i < 50'000; ++i)
      values.push_back(i);
    EXPECT_GE(streams_->report().live, Bytes{400'000});
    EXPECT_EQ(values[49'999], 49'999U);
  }
  EXPECT_EQ(streams_->report().live, Bytes{});
  void* aligned = on_a.allocate(10, 4096);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(aligned) % 4096, 0U);
  on_a.deallocate(aligned, 10, 4096);
  EXPECT_THROW((void)on_a.allocate(std::size_t{1} << 60U, 8), std::bad_alloc);
}

}  // namespace
}  // namespace vaspace::test
