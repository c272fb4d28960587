// What the renderer's recorded traffic costs through `vaspace replay --backend vulkan`: calls of the driver,
// and memory beside what lives. Counts and bytes, which are the same on every machine; no times.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>

#include "support/command.hpp"

namespace vaspace::test {
namespace {

struct Cost {
  double operations = 0;
  double calls = 0;        // of vkAllocateMemory
  double page_calls = 0;   // of them, for sparse pages
  double buffers = 0;      // vkCreateBuffer
  double peak = 0;         // committed / live, each at its own peak
  double mean = 0;         // of means over operations
  double ranges_peak = 0;  // the same behind buffers alone, of those that are sub-buffers
  double ranges_mean = 0;
};

// The number behind the first `name` from `from` on; NaN: there is none.
double number(const std::string& json, const std::string& name, std::size_t from = 0) {
  const std::size_t at = json.find('"' + name + '"', from);
  if (at == std::string::npos) return std::nan("");
  return std::strtod(json.c_str() + json.find(':', at) + 1, nullptr);
}

class Replay : public testing::TestWithParam<const char*> {
 protected:
  static std::string on(const char* manifest, const std::string& settings) {
    return std::string("VK_DRIVER_FILES='") + manifest + "' VK_ICD_FILENAMES='" + manifest +
           "' VASIM_VULKAN='" + settings + "'";
  }
  static std::string simulated(const char* profile) {
    return on(VASIM_VULKAN_MANIFEST, std::string("profile=") + profile + ";abort=1");
  }
  Cost replay(const std::string& environment, const std::string& more = "") {
    const Folder folder;
    const std::string file = folder.path("report.json");
    const Ended ended = run_vaspace(std::string("replay '" VASPACE_TRACES "/") + GetParam() +
                                        "' --backend vulkan --allocator arena --json '" + file + "' " + more,
                                    environment);
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    const std::string json = contents_of(file);
    EXPECT_EQ(number(json, "failed"), 0);
    const std::size_t ranges = json.find("\"sub_buffers\"");
    Cost cost{.operations = number(json, "operations"),
              .calls = number(json, "vkAllocateMemory"),
              .page_calls = number(json, "vkAllocateMemory_pages"),
              .buffers = number(json, "vkCreateBuffer")};
    cost.peak = number(json, "peak_committed_bytes") / number(json, "peak_live_bytes");
    cost.mean = number(json, "mean_committed_bytes") / number(json, "mean_live_bytes");
    if (ranges != std::string::npos) {
      cost.ranges_peak =
          number(json, "peak_committed_bytes", ranges) / number(json, "peak_live_bytes", ranges);
      cost.ranges_mean =
          number(json, "mean_committed_bytes", ranges) / number(json, "mean_live_bytes", ranges);
    }
    std::printf("%s: %.0f operations, %.0f vkAllocateMemory, peak %.3f, mean %.3f; sub-buffers %.3f, %.3f\n",
                GetParam(), cost.operations, cost.calls, cost.peak, cost.mean, cost.ranges_peak,
                cost.ranges_mean);
    return cost;
  }
};

INSTANTIATE_TEST_SUITE_P(Traces, Replay,
                         testing::Values("stk_cocoa.res.csv.gz", "stk_hacienda.res.csv.gz",
                                         "stk_lighthouse.res.csv.gz", "stk_lighthouse_demo.res.csv.gz"),
                         [](const auto& trace) {
                           const std::string name(trace.param);
                           return name.substr(0, name.find('.'));
                         });

// Half of the operations, at the most, are frees.
TEST_P(Replay, PlainBlocksAreFewAndFull) {
  for (const char* profile : {"discrete_bar256", "count_64"}) {
    const Cost cost = replay(simulated(profile));
    EXPECT_LE(cost.calls * 50, cost.operations / 2) << profile;
    EXPECT_LE(cost.peak, 1.30) << profile;
    EXPECT_LE(cost.mean, 2.2) << profile;
  }
}

// Images at 64 KiB, as some drivers want them, are not what lives: the peak's limit does not hold there.
// Where granularity is 64 KiB the two kinds have blocks of their own, and those are twice as many.
TEST_P(Replay, PlainBlocksOfDevicesThatWantMore) {
  const Cost aligned = replay(simulated("discrete_bar256"), "--align-images 65536");
  EXPECT_LE(aligned.calls * 50, aligned.operations / 2);
  EXPECT_LE(aligned.peak, 1.50);
  EXPECT_LE(aligned.mean, 2.2);
  const Cost apart = replay(simulated("granularity_64k"));
  EXPECT_LE(apart.calls * 30, apart.operations / 2);
  EXPECT_LE(apart.peak, 1.30);
  EXPECT_LE(apart.mean, 2.2);
}

TEST_P(Replay, SubBuffersInSparseBuffersHoldWhatLives) {
  const Cost cost = replay(simulated("discrete_bar256"), "--sub-buffers");
  EXPECT_LE(cost.ranges_mean, 1.10);
  EXPECT_LE(cost.ranges_peak, 1.10);
  EXPECT_LE(cost.peak, 1.30);
  EXPECT_LE(cost.mean, 1.5);
  EXPECT_LE((cost.calls - cost.page_calls) * 50, cost.operations / 2);
  // Nothing is retained, so that memory objects come and go with the pages: they are many.
  EXPECT_LE(cost.calls, cost.operations);
  const Cost plain = replay(simulated("discrete_bar256"));
  EXPECT_GT(cost.calls, 2 * plain.calls) << "those of sparse buffers are counted";
  EXPECT_GT(cost.buffers, 0) << "sparse ones are counted";
  EXPECT_LT(cost.buffers, plain.buffers);
}

// Bursts of staging are half of the peak; two traces end in one.
TEST_P(Replay, SubBuffersInBlocksHoldLittleMore) {
  const Cost cost = replay(simulated("no_sparse"), "--sub-buffers");
  EXPECT_LE(cost.ranges_mean, 1.5);
  EXPECT_LE(cost.ranges_peak, 1.6);
  EXPECT_LE(cost.peak, 1.35);
}

}  // namespace
}  // namespace vaspace::test
