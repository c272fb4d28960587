// What a program is told where there is no driver, one that is too old, or no such device.
#include <cstdlib>

#include "cuda/simulated_device.hpp"

namespace vaspace::test {
namespace {

class CudaCreate : public CudaTest {
 protected:
  // The code, and in refusal_ why.
  [[nodiscard]] Error create_error(cuda::BackendConfig config) {
    refusal_ = {};
    config.refusal = &refusal_;
    const auto made = cuda::Backend::create(config);
    return made ? Error{ErrorCode::malformed, 0} : made.error();
  }
  [[nodiscard]] bool said(const std::string& word) const {
    return std::string(refusal_.text).find(word) != std::string::npos;
  }
  cuda::Refusal refusal_;
};

TEST_F(CudaCreate, WithoutADriverThereIsOneClearError) {
  cuda::BackendConfig config;
  config.driver = "libno_such_driver.so.1";
  EXPECT_EQ(create_error(config).code, ErrorCode::not_supported);
  EXPECT_TRUE(said("libno_such_driver.so.1")) << refusal_.text;
  cuda::Refusal refusal;
  EXPECT_EQ(code_of(cuda::device_count(config.driver, &refusal)), "not_supported");
}

TEST_F(CudaCreate, AnotherLibraryIsNoDriver) {
  cuda::BackendConfig config;
  config.driver = "libm.so.6";
  EXPECT_EQ(create_error(config).code, ErrorCode::not_supported);
  EXPECT_TRUE(said("cuDriverGetVersion")) << refusal_.text;
}

TEST_F(CudaCreate, TheEnvironmentNamesTheDriver) {
  restart_cuda("two_devices");
  ASSERT_EQ(setenv("VASPACE_CUDA_DRIVER", VASIM_CUDA_LIBRARY, 1), 0);
  EXPECT_EQ(cuda::device_count().value_or(0), 2);
  auto made = cuda::Backend::create({.device = 1});
  ASSERT_TRUE(made);
  EXPECT_STREQ((*made)->profile().name.data(), "Simulated GPU 1");
  EXPECT_EQ((*made)->device(), 1);
  EXPECT_EQ((*made)->driver_version(), 13000);
  ASSERT_EQ(unsetenv("VASPACE_CUDA_DRIVER"), 0);
}

TEST_F(CudaCreate, ADriverThatIsTooOldIsNamedWithTheFunctionThatItLacks) {
  restart_cuda(VASPACE_CUDA_PROFILES "/old_driver.json");
  EXPECT_EQ(create_error(cuda_config()), (Error{ErrorCode::not_supported, CUDA_ERROR_NOT_FOUND}));
  EXPECT_EQ(refusal_.driver_version, 10010);
  EXPECT_EQ(refusal_.needed_version, 10020);
  EXPECT_STREQ(refusal_.function, "cuMemGetAllocationGranularity");
  EXPECT_TRUE(said("10.1") && said("10.2") && said("cuMemGetAllocationGranularity")) << refusal_.text;
}

TEST_F(CudaCreate, ADeviceThatDoesNotExistIsRefusedWithTheDriversCode) {
  restart_cuda("default");
  for (const int device : {1, -1, 1000}) {
    cuda::BackendConfig config = cuda_config();
    config.device = device;
    EXPECT_EQ(create_error(config), (Error{ErrorCode::invalid_argument, CUDA_ERROR_INVALID_DEVICE}));
    EXPECT_TRUE(said("no such device")) << refusal_.text;
  }
}

TEST_F(CudaCreate, C3_AGranularityThatIsNoPowerOfTwoIsRefused) {
  restart_cuda(VASPACE_CUDA_PROFILES "/odd_granularity.json");
  EXPECT_EQ(create_error(cuda_config()), (Error{ErrorCode::invalid_configuration, CUDA_ERROR_INVALID_VALUE}));
  EXPECT_TRUE(said("power of two")) << refusal_.text;
}

// C16: creation fails cleanly at every driver call.
TEST_F(CudaCreate, C16_FailsCleanlyAtEveryDriverCall) {
  for (std::uint64_t nth = 1;; ++nth) {
    restart_cuda("two_devices");
    ASSERT_EQ(DRIVER(vasim_cuda_fail)("*", nth, 1, CUDA_ERROR_UNKNOWN), 0);
    cuda::BackendConfig config = cuda_config();
    config.exportable = true;
    const std::array<int, 1> peers{1};
    config.peers = peers;
    config.refusal = &refusal_;
    auto made = cuda::Backend::create(config);
    DRIVER(vasim_cuda_clear_failures)();
    const bool whole = made && (*made)->profile().capabilities.external_memory;
    const bool complete = made.has_value() && nth > cuda_calls();
    if (!made) {
      EXPECT_NE(refusal_.text[0], '\0') << nth;
      EXPECT_EQ(cuda_live(VASIM_CUDA_HANDLES), 0U) << nth;
      EXPECT_EQ(cuda_live(VASIM_CUDA_CONTEXTS), 0U) << nth;
    }
    made = fail(ErrorCode::malformed);
    EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 0U) << nth << '\n' << cuda_reports();
    if (complete && whole) break;
    ASSERT_LT(nth, 200U);
  }
}

}  // namespace
}  // namespace vaspace::test
