// The command on a CUDA device: replay and info, on the simulated driver.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>

namespace vaspace::test {
namespace {

struct Ended {
  int status = -1;
  std::string text;  // both streams
};

Ended run(const std::string& arguments, const std::string& profile = "default") {
  // What Mesa's driver leaks, which the loader has unloaded by then, is not the command's.
  const std::string line = "ASAN_OPTIONS=detect_leaks=0 VASPACE_CUDA_DRIVER='" VASIM_CUDA_LIBRARY
                           "' VASIM_CUDA='leaks=1;abort=1;profile=" +
                           profile + "' '" VASPACE_COMMAND "' " + arguments + " 2>&1";
  Ended ended;
  FILE* const output = popen(line.c_str(), "r");
  if (output == nullptr) return ended;
  std::array<char, 4096> piece{};
  while (const std::size_t got = std::fread(piece.data(), 1, piece.size(), output))
    ended.text.append(piece.data(), got);
  ended.status = pclose(output);
  return ended;
}

bool has(const Ended& ended, const std::string& word) {
  return ended.text.find(word) != std::string::npos;
}

TEST(CudaCommand, ReplaysATraceThroughBothAllocators) {
  const Ended ended = run("replay " VASPACE_TRACES "/tfjs_cnn_train.res.csv.gz --backend cuda --verify");
  EXPECT_EQ(ended.status, 0) << ended.text;
  EXPECT_TRUE(has(ended, "Simulated GPU") || has(ended, "cuda")) << ended.text;
  EXPECT_FALSE(has(ended, "vasim-cuda:")) << ended.text;
}

TEST(CudaCommand, InfoListsEveryDevice) {
  const Ended ended = run("info", "two_devices");
  EXPECT_EQ(ended.status, 0) << ended.text;
  EXPECT_TRUE(has(ended, "Simulated GPU 0") && has(ended, "Simulated GPU 1")) << ended.text;
  EXPECT_FALSE(has(ended, "vasim-cuda:")) << ended.text;
}

TEST(CudaCommand, ADeviceIsChosenByItsName) {
  const std::string trace = "replay " VASPACE_TRACES "/ffmpeg_vulkan.res.csv.gz --backend cuda --device ";
  EXPECT_EQ(run(trace + "'Simulated GPU 1'", "two_devices").status, 0);
  const Ended none = run(trace + "'Simulated GPU 7'", "two_devices");
  EXPECT_NE(none.status, 0);
  EXPECT_TRUE(has(none, "no device \"Simulated GPU 7\"")) << none.text;
}

TEST(CudaCommand, DevicesOfOneNameAreChosenByTheirNumber) {
  const std::string profile = VASPACE_CUDA_PROFILES "/equal_names.json";
  const Ended info = run("info", profile);
  EXPECT_EQ(info.status, 0) << info.text;
  const std::size_t first = info.text.find("device \"Twin\"");
  ASSERT_NE(first, std::string::npos) << info.text;
  EXPECT_NE(info.text.find("device \"Twin\"", first + 1), std::string::npos) << info.text;
  EXPECT_TRUE(has(info, "48.0 MiB") && has(info, "64.0 MiB")) << "both, not one of them twice: " << info.text;
  const std::string trace = "replay " VASPACE_TRACES "/ffmpeg_vulkan.res.csv.gz --backend cuda --device ";
  EXPECT_EQ(run(trace + "1", "two_devices").status, 0);
  EXPECT_EQ(run(trace + "cuda:1", "two_devices").status, 0);
  const Ended none = run(trace + "cuda:2", "two_devices");
  EXPECT_NE(none.status, 0);
  EXPECT_TRUE(has(none, "no device \"cuda:2\"")) << none.text;
}

TEST(CudaCommand, InfoReportsADeviceThatCannotBeOpenedInItsPlace) {
  const Ended ended = run("info", "two_devices;fail=cuDevicePrimaryCtxRetain:1:CUDA_ERROR_OUT_OF_MEMORY");
  EXPECT_EQ(ended.status, 0) << ended.text;
  EXPECT_TRUE(has(ended, "cannot open CUDA device 0")) << ended.text;
  EXPECT_TRUE(has(ended, "Simulated GPU 1")) << ended.text;
}

TEST(CudaCommand, APageSizeIsOneThatTheDeviceOffers) {
  const std::string trace = "replay " VASPACE_TRACES "/ffmpeg_vulkan.res.csv.gz --backend cuda --page-size ";
  EXPECT_EQ(run(trace + "65536", "granularity_64k").status, 0);
  const Ended refused = run(trace + "65536");
  EXPECT_NE(refused.status, 0);
  EXPECT_TRUE(has(refused, "--page-size")) << refused.text;
}

}  // namespace
}  // namespace vaspace::test
