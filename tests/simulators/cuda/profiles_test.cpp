// Every profile starts and is what it says; contexts; functions by name; the process's side of reports.
#include <cstring>
#include <filesystem>
#include <fstream>

#include "simulated.hpp"

namespace vasim::cuda::test {
namespace {

class CudaProfiles : public Simulated {};

TEST_F(CudaProfiles, EachStartsAndMapsMemoryOnEveryDevice) {
  int profiles = 0;
  const auto folder = std::filesystem::path(VASIM_CUDA_LIBRARY).parent_path() / "profiles";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().stem();
    start(name);
    int devices = 0;
    ASSERT_OK(DRIVER(cuDeviceGetCount)(&devices));
    EXPECT_GE(devices, 1);
    std::printf("%-28s", name.c_str());
    for (int device = 0; device != devices; ++device) {
      char text[100] = {};
      std::size_t memory = 0, recommended = 0;
      EXPECT_OK(DRIVER(cuDeviceGetName)(text, sizeof text, device));
      EXPECT_OK(DRIVER(cuDeviceTotalMem)(&memory, device));
      const CUmemAllocationProp wanted = properties(device);
      const std::size_t minimum = granularity(wanted);
      EXPECT_OK(
          DRIVER(cuMemGetAllocationGranularity)(&recommended, &wanted, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED));
      EXPECT_EQ(recommended % minimum, 0U);
      const CUdeviceptr at = reserve(minimum);
      const CUmemGenericAllocationHandle handle = create(minimum, device);
      EXPECT_OK(DRIVER(cuMemMap)(at, minimum, 0, handle, 0)) << name << ": any reservation takes any mapping";
      allow(at, minimum, device);
      EXPECT_OK(DRIVER(cuMemUnmap)(at, minimum));
      EXPECT_OK(DRIVER(cuMemRelease)(handle));
      EXPECT_OK(DRIVER(cuMemAddressFree)(at, minimum));
      std::printf(" [%s: %zu MiB, %zu / %zu KiB]", text, memory >> 20U, minimum >> 10U, recommended >> 10U);
    }
    std::printf("\n");
    ++profiles;
  }
  EXPECT_GE(profiles, 12);
}

TEST_F(CudaProfiles, OneOfOnesOwnIsReadByItsPath) {
  const std::string path = testing::TempDir() + "own_profile.json";
  std::ofstream(path) << R"({"driver_version": 13000, "devices": [{"name": "Mine", "memory": "1 GiB",
    "compute_capability": [8, 0], "multiprocessors": 1,
    "granularity": {"minimum": "4 MiB", "recommended": "8 MiB"}}]})";
  start(path);
  EXPECT_EQ(piece_, std::size_t{4} << 20U);
  int supported = 1;
  EXPECT_OK(DRIVER(cuDeviceGetAttribute)(&supported,
                                         CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, 0));
  EXPECT_EQ(supported, 0);
  breaks("configuration");
  std::ofstream(path) << R"({"driver_version": 13000, "devices": [{"name": "Mine"}]})";
  EXPECT_EQ(DRIVER(vasim_cuda_restart)(("quiet=1;profile=" + path).c_str()), -1);
  std::filesystem::remove(path);
}

TEST_F(CudaProfiles, DevicesOfOneMachineDiffer) {
  start("unequal_devices");
  const std::size_t large = granularity(properties(0)), small = granularity(properties(1));
  ASSERT_GT(large, small);
  const CUmemAllocationProp wanted = properties(0);
  CUmemGenericAllocationHandle none = 0;
  EXPECT_OK(DRIVER(cuMemRelease)(create(small, 1)));
  breaks("C3");
  EXPECT_EQ(DRIVER(cuMemCreate)(&none, small, &wanted, 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(CudaProfiles, ContextsStack) {
  start("two_devices");
  CUcontext other = nullptr, found = nullptr;
  CUdevice device = -1;
  ASSERT_OK(DRIVER(cuCtxCreate)(&other, nullptr, 0, 1));
  EXPECT_OK(DRIVER(cuCtxGetDevice)(&device));
  EXPECT_EQ(device, 1);
  CUdeviceptr at = 0;
  EXPECT_OK(DRIVER(cuMemAlloc)(&at, 64));
  EXPECT_OK(DRIVER(cuCtxPopCurrent)(&found));
  EXPECT_EQ(found, other);
  EXPECT_OK(DRIVER(cuCtxGetCurrent)(&found));
  EXPECT_EQ(found, context_);
  EXPECT_OK(DRIVER(cuCtxPushCurrent)(other));
  EXPECT_OK(DRIVER(cuCtxDestroy)(other));
  EXPECT_EQ(live(VASIM_CUDA_ALLOCATIONS), 0U) << "memory goes with its context";
  EXPECT_EQ(DRIVER(cuCtxDestroy)(other), CUDA_ERROR_CONTEXT_IS_DESTROYED);
  EXPECT_EQ(DRIVER(cuCtxDestroy)(context_), CUDA_ERROR_INVALID_CONTEXT) << "primary ones are released";
  EXPECT_OK(DRIVER(cuCtxGetCurrent)(&found));
  EXPECT_EQ(found, context_);
  CUcontext again = nullptr;
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxRetain)(&again, 0));
  EXPECT_EQ(again, context_);
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxRelease)(0));
  unsigned flags = 0;
  int active = 0;
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxGetState)(0, &flags, &active));
  EXPECT_EQ(active, 1);
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxRelease)(0));
  EXPECT_OK(DRIVER(cuDevicePrimaryCtxGetState)(0, &flags, &active));
  EXPECT_EQ(active, 0);
  EXPECT_EQ(DRIVER(cuCtxSynchronize)(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
  EXPECT_EQ(DRIVER(cuDevicePrimaryCtxRelease)(0), CUDA_ERROR_INVALID_CONTEXT);
}

TEST_F(CudaProfiles, FunctionsAreFoundByNameAndVersion) {
  start();
  void* function = nullptr;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
  const auto find = [&](const char* name, int version, cuuint64_t flags = 0) {
    EXPECT_OK(DRIVER(cuGetProcAddress)(name, &function, version, flags, &status));
    return function;
  };
  EXPECT_EQ(find("cuMemCreate", 10020), driver_function("cuMemCreate"));
  EXPECT_EQ(find("cuMemAlloc", 12000), driver_function("cuMemAlloc_v2"));
  EXPECT_EQ(find("cuCtxCreate", 3020), driver_function("cuCtxCreate_v2"));
  EXPECT_EQ(find("cuCtxCreate", 13000), driver_function("cuCtxCreate_v4"));
  EXPECT_EQ(find("cuMemcpyHtoD", 7000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM),
            driver_function("cuMemcpyHtoD_v2_ptds"));
  EXPECT_EQ(find("cuStreamQuery", 7000, CU_GET_PROC_ADDRESS_LEGACY_STREAM), driver_function("cuStreamQuery"));
  EXPECT_EQ(find("cuMemCreate", 10010), nullptr);
  EXPECT_EQ(status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
  EXPECT_EQ(find("cuNoSuchThing", 13000), nullptr);
  EXPECT_EQ(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  EXPECT_EQ(DRIVER(cuGetProcAddress)("cuInit", &function, 99000, 0, &status), CUDA_ERROR_INVALID_VALUE);
  const char* name = nullptr;
  EXPECT_OK(DRIVER(cuGetErrorName)(CUDA_ERROR_ILLEGAL_ADDRESS, &name));
  EXPECT_STREQ(name, "CUDA_ERROR_ILLEGAL_ADDRESS");
  EXPECT_OK(DRIVER(cuGetErrorString)(CUDA_ERROR_OUT_OF_MEMORY, &name));
  EXPECT_STREQ(name, "out of memory");
  EXPECT_EQ(DRIVER(cuGetErrorName)(static_cast<CUresult>(998), &name), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(CudaProfiles, WhatIsNotPlayedSaysSo) {
  start();
  breaks("not-played");
  EXPECT_EQ(DRIVER(cuLaunchKernel)(nullptr, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr),
            CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(DRIVER(vasim_cuda_calls)("cuLaunchKernel"), 1U);
  void* function = &function;
  EXPECT_OK(DRIVER(cuGetProcAddress)("cuLaunchKernel", &function, 13000, 0, nullptr));
  EXPECT_EQ(function, nullptr);
}

TEST_F(CudaProfiles, ReportsGoToAFileAndCanAbort) {
  const std::string log = testing::TempDir() + "vasim_cuda_reports.txt";
  std::filesystem::remove(log);
  ASSERT_EQ(DRIVER(vasim_cuda_restart)(("log=" + log).c_str()), 0);
  ASSERT_OK(DRIVER(cuInit)(0));
  EXPECT_NE(DRIVER(cuMemRelease)(1234), CUDA_SUCCESS);
  EXPECT_EQ(DRIVER(cuMemAddressFree)(4096, 4096), CUDA_ERROR_INVALID_VALUE);
  std::string lines[3];
  std::ifstream file(log);
  for (std::string& line : lines)
    std::getline(file, line);
  EXPECT_NE(lines[0].find("C12: handle 0x4d2: cuMemRelease"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("[undefined]"), std::string::npos);
  EXPECT_NE(lines[1].find("C17"), std::string::npos) << lines[1];
  EXPECT_NE(lines[1].find("[CUDA_ERROR_INVALID_VALUE]"), std::string::npos);
  EXPECT_EQ(lines[2], "");
  std::filesystem::remove(log);
  vasim_cuda_report report{};
  ASSERT_EQ(DRIVER(vasim_cuda_report_at)(1, &report), 0);
  EXPECT_STREQ(report.rule, "C17");
  EXPECT_EQ(report.code, CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(DRIVER(vasim_cuda_report_at)(2, &report), -1);
  DRIVER(vasim_cuda_clear_reports)();
  EXPECT_EQ(DRIVER(vasim_cuda_reports)(nullptr), 0U);
}

TEST(CudaProfilesDeath, AnUndefinedUseAborts) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        (void)DRIVER(vasim_cuda_restart)("abort=1");
        (void)DRIVER(cuInit)(0);
        (void)DRIVER(cuMemAddressFree)(4096, 4096);  // has an error code of its own: no abort
        (void)DRIVER(cuMemRelease)(1234);
      },
      "C17.*\n.*C12");
}

}  // namespace
}  // namespace vasim::cuda::test
