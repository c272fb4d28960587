// The backend contract and stream order on a real device: of whatever driver VASPACE_CUDA_DRIVER names, else
// libcuda.so.1. Where there is none, or no device, the program says so and ends with 77; a device that the
// library refuses fails every test. The kernel is compiled by nvcc where that was found.
#include <cstdio>
#include <cstdlib>
#include <cuda.h>
#include <dlfcn.h>
#include <fstream>
#include <gmock/gmock.h>
#include <sstream>
#include <string>

#include "vaspace/frontends/cuda.hpp"

#include "support/backend_contract.hpp"

namespace vaspace::test {
namespace {

constexpr int kNoDevice = 77;

void* driver() {
  static void* const library = [] {
    const char* named = std::getenv("VASPACE_CUDA_DRIVER");
    return dlopen(named != nullptr && named[0] != '\0' ? named : "libcuda.so.1", RTLD_NOW);
  }();
  return library;
}

bool simulated() {
  return dlsym(driver(), "vasim_cuda_restart") != nullptr;
}

// Asked without the library under test: whatever that refuses of a device that is there is a failure.
std::string why_no_device() {
  if (driver() == nullptr) return dlerror();
  const auto init = reinterpret_cast<decltype(&cuInit)>(dlsym(driver(), "cuInit"));
  const auto count = reinterpret_cast<decltype(&cuDeviceGetCount)>(dlsym(driver(), "cuDeviceGetCount"));
  if (init == nullptr || count == nullptr) return "the library is no CUDA driver";
  if (const CUresult started = init(0); started != CUDA_SUCCESS)
    return "cuInit: CUresult " + std::to_string(started);
  int devices = 0;
  return count(&devices) == CUDA_SUCCESS && devices == 0 ? "the driver shows none" : "";
}

Result<HostObject<cuda::Backend>> open_gpu(const HostAllocator& host = default_host_allocator(),
                                           cuda::Refusal* why = nullptr) {
  cuda::BackendConfig config;
  config.refusal = why;
  config.host = host;
  return cuda::Backend::create(config);
}

const BackendCase kGpu{
    .name = "Gpu",
    .make = [](const HostAllocator& host) -> Result<BackendPtr> { return shared_backend(open_gpu(host)); },
    .exhaustible = false};
INSTANTIATE_TEST_SUITE_P(Gpu, BackendContract, testing::Values(kGpu), name_of);

TEST(GpuDevice, Opens) {
  cuda::Refusal why;
  const auto made = open_gpu(default_host_allocator(), &why);
  ASSERT_TRUE(made) << why.text << ' ' << to_string(made.error().code);
  std::printf("%s, driver %d\n", (*made)->profile().name.data(), (*made)->driver_version());
}

class Gpu : public testing::Test {
 protected:
  void SetUp() override {
    cuda::Refusal why;
    auto made = open_gpu(default_host_allocator(), &why);
    ASSERT_TRUE(made) << why.text;
    backend_ = std::move(*made);
    auto streams = cuda::StreamAllocator::create(*backend_);
    ASSERT_TRUE(streams);
    streams_ = std::move(*streams);
    for (cuda::Stream& stream : stream_)
      stream = backend_->make_stream().value_or(nullptr);
  }
  void TearDown() override {
    streams_.reset();
    for (const cuda::Stream stream : stream_)
      if (backend_ != nullptr) (void)backend_->destroy_stream(stream);
  }

  HostObject<cuda::Backend> backend_;
  HostObject<cuda::StreamAllocator> streams_;
  cuda::Stream stream_[2]{};
};

TEST_F(Gpu, MemoryMovesBetweenStreamsAndKeepsItsBytes) {
  std::byte last{};
  for (int round = 0; round < 50; ++round) {
    const cuda::Stream on = stream_[round % 2];
    const Bytes size{1000 + static_cast<std::uint64_t>(round) * 777'777};
    const auto block = streams_->allocate(size, on);
    ASSERT_TRUE(block) << to_string(block.error().code) << ' ' << block.error().native;
    ASSERT_TRUE(backend_->fill(*block, static_cast<std::byte>(round), size, on));
    ASSERT_TRUE(backend_->wait_for(on));
    ASSERT_TRUE(backend_->copy_to_host(&last, *block + size - Bytes{1}, Bytes{1}));
    EXPECT_EQ(std::to_integer<int>(last), round);
    ASSERT_TRUE(streams_->free(*block, on));
  }
  EXPECT_EQ(streams_->validate(), nullptr);
}

// Freed while the stream still writes it: the same stream has it again at once, behind what it does; another
// stream has other memory. Sizes grow from round to round, so that pages are needed at other addresses.
TEST_F(Gpu, C13_WhatIsFreedWhileItsStreamRunsIsReusedInOrder) {
  const auto canary = streams_->allocate(16_MiB, stream_[1]);
  ASSERT_TRUE(canary && backend_->fill(*canary, std::byte{77}, 16_MiB, stream_[1]));
  for (std::uint64_t round = 1; round <= 12; ++round) {
    const Bytes size = simulated() ? 4_MiB + 1_MiB * round : 64_MiB + 6_MiB * round;
    const auto first = streams_->allocate(size, stream_[0]);
    const auto wall = streams_->allocate(2_MiB, stream_[0]);
    ASSERT_TRUE(first && wall);
    for (int again = 0; again < 20; ++again)
      ASSERT_TRUE(backend_->fill(*first, std::byte{1}, size, stream_[0]));
    ASSERT_TRUE(backend_->fill(*wall, static_cast<std::byte>(100 + round), 2_MiB, stream_[0]));
    ASSERT_TRUE(streams_->free(*first, stream_[0]));
    const auto second = streams_->allocate(size, stream_[0]);
    const auto other = streams_->allocate(size, stream_[1]);
    ASSERT_TRUE(second && other);
    ASSERT_TRUE(backend_->fill(*other, static_cast<std::byte>(50 + round), size, stream_[1]));
    ASSERT_TRUE(backend_->fill(*second, static_cast<std::byte>(round), size, stream_[0]));
    ASSERT_TRUE(backend_->wait_idle());
    const auto last_of = [&](Address at, Bytes length) {
      std::byte byte{};
      EXPECT_TRUE(backend_->copy_to_host(&byte, at + length - Bytes{1}, Bytes{1}));
      return std::to_integer<std::uint64_t>(byte);
    };
    EXPECT_EQ(last_of(*second, size), round) << "the first one's work is in front";
    EXPECT_EQ(last_of(*other, size), 50 + round);
    EXPECT_EQ(last_of(*wall, 2_MiB), 100 + round);
    EXPECT_EQ(last_of(*canary, 16_MiB), 77U);
    EXPECT_TRUE(streams_->free(*second, stream_[0]) && streams_->free(*other, stream_[1]));
  }
  EXPECT_EQ(streams_->validate(), nullptr);
}

TEST_F(Gpu, SuspendedMemoryComesBackAsItWas) {
  const auto block = streams_->allocate(40_MiB, stream_[0]);
  ASSERT_TRUE(block && backend_->fill(*block, std::byte{9}, 40_MiB, stream_[0]));
  ASSERT_TRUE(streams_->suspend(cuda::Suspend::offload));
  EXPECT_EQ(streams_->report().physical, Bytes{});
  ASSERT_TRUE(streams_->resume());
  std::byte last{};
  ASSERT_TRUE(backend_->copy_to_host(&last, *block + 40_MiB - Bytes{1}, Bytes{1}));
  EXPECT_EQ(last, std::byte{9});
  EXPECT_TRUE(streams_->free(*block, stream_[0]));
}

#ifdef VASPACE_CUDA_KERNELS
// What a kernel of the program's own writes is what the host reads, round after round in memory used before.
TEST_F(Gpu, AKernelUsesWhatItsStreamFreedBefore) {
  if (simulated()) GTEST_SKIP() << "the simulated driver runs no kernels";
  const auto function = [](const char* name) { return dlsym(driver(), name); };
  const auto load = reinterpret_cast<CUresult (*)(CUmodule*, const void*)>(function("cuModuleLoadData"));
  const auto get =
      reinterpret_cast<CUresult (*)(CUfunction*, CUmodule, const char*)>(function("cuModuleGetFunction"));
  const auto launch = reinterpret_cast<decltype(&cuLaunchKernel)>(function("cuLaunchKernel"));
  const auto retain =
      reinterpret_cast<CUresult (*)(CUcontext*, CUdevice)>(function("cuDevicePrimaryCtxRetain"));
  const auto current = reinterpret_cast<CUresult (*)(CUcontext)>(function("cuCtxSetCurrent"));
  const auto release = reinterpret_cast<CUresult (*)(CUdevice)>(function("cuDevicePrimaryCtxRelease_v2"));
  ASSERT_TRUE(load != nullptr && get != nullptr && launch != nullptr && retain != nullptr &&
              current != nullptr);
  CUcontext context = nullptr;
  ASSERT_EQ(retain(&context, backend_->device()), CUDA_SUCCESS);
  ASSERT_EQ(current(context), CUDA_SUCCESS);
  std::ifstream file(VASPACE_CUDA_KERNELS);
  std::stringstream text;
  text << file.rdbuf();
  CUmodule module = nullptr;
  CUfunction add = nullptr;
  ASSERT_EQ(load(&module, text.str().c_str()), CUDA_SUCCESS);
  ASSERT_EQ(get(&add, module, "add_to_all"), CUDA_SUCCESS);
  constexpr unsigned kCount = 1U << 20U;
  unsigned count = kCount;
  for (unsigned round = 1; round < 20; ++round) {
    const auto block = streams_->allocate(Bytes{kCount * 4}, stream_[0]);
    ASSERT_TRUE(block && backend_->fill(*block, std::byte{0}, Bytes{kCount * 4}, stream_[0]));
    CUdeviceptr at = block->value;
    void* arguments[] = {&at, &count, &round};
    ASSERT_EQ(launch(add, kCount / 256, 1, 1, 256, 1, 1, 0, stream_[0], arguments, nullptr), CUDA_SUCCESS);
    std::uint32_t value = 0;
    ASSERT_TRUE(backend_->wait_for(stream_[0]));
    ASSERT_TRUE(backend_->copy_to_host(reinterpret_cast<std::byte*>(&value), *block + Bytes{kCount * 4 - 4},
                                       Bytes{4}));
    EXPECT_EQ(value, kCount - 1 + round);
    ASSERT_TRUE(streams_->free(*block, stream_[0]));
  }
  (void)release(backend_->device());
}
#endif

}  // namespace
}  // namespace vaspace::test

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  const std::string none = vaspace::test::why_no_device();
  if (none.empty()) return RUN_ALL_TESTS();
  std::printf("no device: %s\n", none.c_str());
  return vaspace::test::kNoDevice;
}
