// The command on a CUDA device: replay and info, on the simulated driver.
#include "support/command.hpp"

#include <gtest/gtest.h>
#include <string>

namespace vaspace::test {
namespace {

Ended run(const std::string& arguments, const std::string& profile = "default") {
  return run_vaspace(
      arguments,
      "VASPACE_CUDA_DRIVER='" VASIM_CUDA_LIBRARY "' VASIM_CUDA='leaks=1;abort=1;profile=" + profile + "'");
}

std::string all_of(const Ended& ended) {
  return ended.out + ended.err;
}
bool has(const Ended& ended, const std::string& word) {
  return all_of(ended).find(word) != std::string::npos;
}

TEST(CudaCommand, ReplaysATraceThroughBothAllocators) {
  const Ended ended = run("replay " VASPACE_TRACES "/tfjs_cnn_train.res.csv.gz --backend cuda --verify");
  EXPECT_EQ(ended.exit_code, 0) << all_of(ended);
  EXPECT_TRUE(has(ended, "Simulated GPU") || has(ended, "cuda")) << all_of(ended);
  EXPECT_FALSE(has(ended, "vasim-cuda:")) << all_of(ended);
}

TEST(CudaCommand, InfoListsEveryDevice) {
  const Ended ended = run("info", "two_devices");
  EXPECT_EQ(ended.exit_code, 0) << all_of(ended);
  EXPECT_TRUE(has(ended, "Simulated GPU 0") && has(ended, "Simulated GPU 1")) << all_of(ended);
  EXPECT_FALSE(has(ended, "vasim-cuda:")) << all_of(ended);
}

// Whether memory can be exported is tried, for a kind of handle may be accepted and not work.
TEST(CudaCommand, C14_InfoSaysWhetherADeviceCanExport) {
  for (const bool can : {true, false}) {
    const Ended ended = run("info", can ? "default" : "not_exportable");
    const std::size_t device = ended.out.find("Simulated GPU");
    ASSERT_NE(device, std::string::npos) << all_of(ended);
    EXPECT_EQ(ended.out.find("external_memory", device) != std::string::npos, can) << all_of(ended);
  }
}

TEST(CudaCommand, ADeviceIsChosenByItsName) {
  const std::string trace = "replay " VASPACE_TRACES "/ffmpeg_vulkan.res.csv.gz --backend cuda --device ";
  EXPECT_EQ(run(trace + "'Simulated GPU 1'", "two_devices").exit_code, 0);
  const Ended none = run(trace + "'Simulated GPU 7'", "two_devices");
  EXPECT_NE(none.exit_code, 0);
  EXPECT_TRUE(has(none, "no device \"Simulated GPU 7\"")) << all_of(none);
}

TEST(CudaCommand, DevicesOfOneNameAreChosenByTheirNumber) {
  const std::string profile = VASPACE_CUDA_PROFILES "/equal_names.json";
  const Ended info = run("info", profile);
  EXPECT_EQ(info.exit_code, 0) << all_of(info);
  const std::size_t first = info.out.find("device \"Twin\"");
  ASSERT_NE(first, std::string::npos) << all_of(info);
  EXPECT_NE(info.out.find("device \"Twin\"", first + 1), std::string::npos) << all_of(info);
  EXPECT_TRUE(has(info, "48.0 MiB") && has(info, "64.0 MiB"))
      << "both, not one of them twice: " << all_of(info);
  const std::string trace = "replay " VASPACE_TRACES "/ffmpeg_vulkan.res.csv.gz --backend cuda --device ";
  EXPECT_EQ(run(trace + "1", "two_devices").exit_code, 0);
  EXPECT_EQ(run(trace + "cuda:1", "two_devices").exit_code, 0);
  const Ended none = run(trace + "cuda:2", "two_devices");
  EXPECT_NE(none.exit_code, 0);
  EXPECT_TRUE(has(none, "no device \"cuda:2\"")) << all_of(none);
}

TEST(CudaCommand, InfoReportsADeviceThatCannotBeOpenedInItsPlace) {
  const Ended ended = run("info", "two_devices;fail=cuDevicePrimaryCtxRetain:1:CUDA_ERROR_OUT_OF_MEMORY");
  EXPECT_EQ(ended.exit_code, 0) << all_of(ended);
  EXPECT_TRUE(has(ended, "cannot open CUDA device 0")) << all_of(ended);
  EXPECT_TRUE(has(ended, "Simulated GPU 1")) << all_of(ended);
}

TEST(CudaCommand, APageSizeIsOneThatTheDeviceOffers) {
  const std::string trace = "replay " VASPACE_TRACES "/ffmpeg_vulkan.res.csv.gz --backend cuda --page-size ";
  EXPECT_EQ(run(trace + "65536", "granularity_64k").exit_code, 0);
  const Ended refused = run(trace + "65536");
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_TRUE(has(refused, "--page-size")) << all_of(refused);
}

}  // namespace
}  // namespace vaspace::test
