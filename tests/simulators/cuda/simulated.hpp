// A test's machine: restarted with a profile, a context current, and checked at the end for what nobody
// expected.
#pragma once

#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "driver_api.hpp"

namespace vasim::cuda::test {

inline std::string all_reports() {
  std::string text;
  vasim_cuda_report report;
  for (std::size_t i = 0; DRIVER(vasim_cuda_report_at)(i, &report) == 0; ++i)
    text += std::string(report.rule) + ": " + report.object + ": " + report.reason + "\n";
  return text;
}

inline std::uint64_t live(vasim_cuda_kind kind) {
  return DRIVER(vasim_cuda_live)(kind);
}

inline CUmemAllocationProp properties(int device = 0, unsigned handle_types = 0) {
  CUmemAllocationProp wanted{};
  wanted.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  wanted.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  wanted.location.id = device;
  wanted.requestedHandleTypes = static_cast<CUmemAllocationHandleType>(handle_types);
  return wanted;
}

inline CUmemAccessDesc access_of(int device, CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE) {
  CUmemAccessDesc access{};
  access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  access.location.id = device;
  access.flags = flags;
  return access;
}

class Simulated : public testing::Test {
 protected:
  // A profile, and the primary context of device 0 current.
  void start(const std::string& profile = "default", const std::string& more = "delay_us=0..100") {
    ASSERT_EQ(DRIVER(vasim_cuda_restart)(("quiet=1;profile=" + profile + ";" + more).c_str()), 0);
    ASSERT_OK(DRIVER(cuInit)(0));
    ASSERT_OK(DRIVER(cuDevicePrimaryCtxRetain)(&context_, 0));
    ASSERT_OK(DRIVER(cuCtxSetCurrent)(context_));
    piece_ = granularity(properties());
  }

  void TearDown() override {
    if (expected_.empty()) {
      EXPECT_EQ(all_reports(), "");
    }
    for (const std::string& rule : expected_)
      EXPECT_GT(DRIVER(vasim_cuda_reports)(rule.c_str()), 0U) << rule << " was not reported";
    // "Breaks only it": nothing but what the test expects was reported.
    std::uint64_t count = 0;
    for (const std::string& rule : expected_)
      count += DRIVER(vasim_cuda_reports)(rule.c_str());
    EXPECT_EQ(DRIVER(vasim_cuda_reports)(nullptr), count) << all_reports();
    EXPECT_EQ(DRIVER(vasim_cuda_restart)("quiet=1"), 0);
  }

  // From here on the test breaks this rule, which is to be reported by the end; so far none was.
  void breaks(const std::string& rule) {
    EXPECT_EQ(all_reports(), "") << "the rule kept is reported";
    expected_.push_back(rule);
  }

  // What goes with it.
  void also_reports(const std::string& rule) { expected_.push_back(rule); }

  static CUdeviceptr allocate(std::size_t size) {
    CUdeviceptr at = 0;
    EXPECT_OK(DRIVER(cuMemAlloc)(&at, size));
    return at;
  }
  static std::size_t granularity(const CUmemAllocationProp& wanted) {
    std::size_t bytes = 0;
    EXPECT_OK(DRIVER(cuMemGetAllocationGranularity)(&bytes, &wanted, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    return bytes;
  }

  static CUdeviceptr reserve(std::size_t size) {
    CUdeviceptr at = 0;
    EXPECT_OK(DRIVER(cuMemAddressReserve)(&at, size, 0, 0, 0));
    return at;
  }

  static CUmemGenericAllocationHandle create(std::size_t size, int device = 0, unsigned handle_types = 0) {
    CUmemGenericAllocationHandle handle = 0;
    const CUmemAllocationProp wanted = properties(device, handle_types);
    EXPECT_OK(DRIVER(cuMemCreate)(&handle, size, &wanted, 0));
    return handle;
  }

  static void allow(CUdeviceptr at, std::size_t size, int device = 0) {
    const CUmemAccessDesc access = access_of(device);
    EXPECT_OK(DRIVER(cuMemSetAccess)(at, size, &access, 1));
  }

  // One piece at the address, accessible; its handle is released: only the mapping keeps it (C10).
  void map_piece(CUdeviceptr at) const {
    const CUmemGenericAllocationHandle handle = create(piece_);
    EXPECT_OK(DRIVER(cuMemMap)(at, piece_, 0, handle, 0));
    EXPECT_OK(DRIVER(cuMemRelease)(handle));
    allow(at, piece_);
  }

  void unmap_piece(CUdeviceptr at) const { EXPECT_OK(DRIVER(cuMemUnmap)(at, piece_)); }

  static std::size_t free_memory() {
    std::size_t free = 0, total = 0;
    EXPECT_OK(DRIVER(cuMemGetInfo)(&free, &total));
    return free;
  }

  static CUstream stream(unsigned flags = CU_STREAM_NON_BLOCKING) {
    CUstream made = nullptr;
    EXPECT_OK(DRIVER(cuStreamCreate)(&made, flags));
    return made;
  }

  CUcontext context_ = nullptr;
  std::size_t piece_ = 0;  // the minimum granularity

 private:
  std::vector<std::string> expected_;
};

}  // namespace vasim::cuda::test
