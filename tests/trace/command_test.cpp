// The built `vaspace` command as a script sees it: exit codes, one line on standard error, JSON.
#include "support/command.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "traces.hpp"

namespace vaspace::tools {
namespace {

using Json = nlohmann::json;
using test::contents_of;
using test::Ended;
using test::Folder;
using test::run_vaspace;
using ::testing::HasSubstr;

void expect_one_line(const std::string& err) {
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_EQ(err.rfind("vaspace: ", 0), 0U) << err;
}

Json json_of(const std::string& path) {
  return Json::parse(contents_of(path), nullptr, false);
}

Json runs_of(const std::string& path) {
  return json_of(path)["runs"];
}

std::string bundled(const char* name) {
  return std::string(VASPACE_TRACES) + "/" + name;
}

std::string small_trace(const Folder& folder) {
  return folder.write("small.csv", test::kHeaderLine + test::busy_rows(2000, 3));
}

// Usage: exit code 2

class WrongUsage : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(
    , WrongUsage,
    ::testing::Values(
        "", "nosuch", "--nosuch", "replay", "replay TRACE --nosuch", "replay TRACE --backend gpu",
        "replay TRACE --backend ''", "replay TRACE --allocator slab", "replay TRACE --allocator ''",
        "replay TRACE --allocator default,", "replay TRACE --allocator arena,arena",
        "replay TRACE --page-size 4096", "replay TRACE --page-size 65537", "replay TRACE --page-size 0",
        "replay TRACE --page-size", "replay TRACE --page-size -65536", "replay TRACE --page-size ''",
        "replay TRACE --backend address --page-size 4M", "replay TRACE --device-size 0",
        "replay TRACE --device-size 1.5G", "replay TRACE --device-size 99999999999999999999",
        "replay TRACE --threads 0", "replay TRACE --threads -1", "replay TRACE --threads two",
        "replay TRACE --threads 100000", "replay TRACE --align-buffers 3", "replay TRACE --align-images 0",
        "replay TRACE --align-images 48K", "replay TRACE --device ''", "replay TRACE --json ''",
        "replay TRACE --threads 1 --threads 2", "info extra", "info --nosuch"));

TEST_P(WrongUsage, IsOneLineAndExitCode2) {
  const Folder folder;
  std::string arguments = GetParam();
  if (const std::size_t at = arguments.find("TRACE"); at != std::string::npos)
    arguments.replace(at, 5, small_trace(folder));
  const Ended ended = run_vaspace(arguments);
  EXPECT_EQ(ended.exit_code, 2) << arguments << ": " << ended.err;
  expect_one_line(ended.err);
  EXPECT_EQ(ended.out, "");
}

// Everything else that goes wrong: exit code 1

void expect_failure(const std::string& arguments, const std::string& says) {
  const Ended ended = run_vaspace(arguments);
  EXPECT_EQ(ended.exit_code, 1) << arguments;
  expect_one_line(ended.err);
  EXPECT_THAT(ended.err, HasSubstr(says)) << arguments;
}

TEST(Command, BadTracesAreOneLineWithTheLineNumber) {
  const Folder folder;
  expect_failure("replay " + folder.path("none.csv"), "none.csv: cannot open it: No such file");
  expect_failure("replay " + folder.path(""), "Is a directory");
  expect_failure("replay " + folder.write("e.csv", ""), "e.csv:1: the file is empty");
  expect_failure("replay " + folder.write("b.csv", test::kHeaderLine + "1,0,free,1,8,8,buffer,1,\n"),
                 "b.csv:2: free of id 1, which is not live");
  const std::string packed = test::gzipped(test::kHeaderLine + test::busy_rows(2000, 3));
  expect_failure("replay " + folder.write("c.csv.gz", packed.substr(0, packed.size() - 3)), "ends early");
  std::string damaged = packed;
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 1);
  expect_failure("replay " + folder.write("d.csv.gz", damaged), "gzip damage");
}

TEST(Command, ABadTraceAmongGoodOnesStopsBeforeTheFirstRun) {
  const Folder folder;
  const std::string bad = folder.write("bad.csv", "nonsense\n");
  const Ended ended =
      run_vaspace("replay " + small_trace(folder) + " " + bad + " --json " + folder.path("o.json"));
  EXPECT_EQ(ended.exit_code, 1);
  expect_one_line(ended.err);
  EXPECT_EQ(ended.out, "");
  EXPECT_EQ(contents_of(folder.path("o.json")), "");
}

TEST(Command, WhatIsNotBuiltInSaysSo) {
  const Folder folder;
  const std::string trace = small_trace(folder);
  // Not built in, or no driver: the same words end both.
  ASSERT_EQ(setenv("VASPACE_CUDA_DRIVER", "libno_such_driver.so.1", 1), 0);
  expect_failure("replay " + trace + " --backend cuda", "the cuda backend");
  ASSERT_EQ(unsetenv("VASPACE_CUDA_DRIVER"), 0);
  expect_failure("replay " + trace + " --sub-buffers", "heap layer");
  expect_failure("replay " + trace + " --device nosuch", "no device \"nosuch\"");
}

TEST(Command, WhatCannotBeWrittenIsAFailure) {
  const Folder folder;
  expect_failure("info --json /nowhere/at/all.json", "cannot write it");
  expect_failure("replay " + small_trace(folder) + " --backend address --json /dev/full", "cannot write it");
  const Ended ended = run_vaspace("info >/dev/full");
  EXPECT_EQ(ended.exit_code, 1);
  expect_one_line(ended.err);
}

TEST(Command, RefusedAllocationsAreCountedAndExitWith1) {
  const Folder folder;
  const std::string trace = folder.write("large.csv", test::kHeaderLine +
                                                          "1,0,alloc,1,1000000,256,buffer,1,\n"
                                                          "2,0,alloc,2,1000,256,buffer,1,\n"
                                                          "3,0,free,1,1000000,256,buffer,1,\n");
  const std::string json = folder.path("o.json");
  for (const char* backend : {"cpu", "address"}) {
    expect_failure(
        "replay " + trace + " --device-size 512K --verify --backend " + backend + " --json " + json,
        "2 allocations failed, 0 verify errors");
    const Json runs = runs_of(json);
    ASSERT_EQ(runs.size(), 2U);
    for (const Json& run : runs) {
      EXPECT_EQ(run.value("failed", -1), 1);
      EXPECT_EQ(run.value("operations", -1), 3);
      EXPECT_EQ(run.value("end_live_bytes", -1), 1000);
    }
  }
}

// Success

void expect_spread(const Json& spread) {
  for (const char* field : {"min", "mean", "median", "p99", "max"}) {
    ASSERT_TRUE(spread.contains(field)) << field;
    EXPECT_TRUE(spread[field].is_number()) << field;
  }
  EXPECT_LE(spread["min"], spread["median"]);
  EXPECT_LE(spread["median"], spread["p99"]);
  EXPECT_LE(spread["p99"], spread["max"]);
}

void expect_run(const Json& run) {
  for (const char* field : {"trace",
                            "allocator",
                            "backend",
                            "page_bytes",
                            "threads",
                            "operations",
                            "failed",
                            "verify_errors",
                            "allocate_ns",
                            "free_ns",
                            "collect_ns",
                            "peak_live_bytes",
                            "peak_reserved_bytes",
                            "peak_committed_bytes",
                            "mean_live_bytes",
                            "mean_committed_bytes",
                            "end_live_bytes",
                            "end_committed_bytes",
                            "internal_waste_bytes",
                            "backend_calls"})
    ASSERT_TRUE(run.contains(field)) << field;
  for (const char* field : {"trace", "allocator", "backend"})
    EXPECT_TRUE(run[field].is_string()) << field;
  for (const char* field :
       {"page_bytes", "threads", "operations", "failed", "verify_errors", "peak_live_bytes",
        "peak_reserved_bytes", "peak_committed_bytes", "mean_live_bytes", "mean_committed_bytes",
        "end_live_bytes", "end_committed_bytes", "internal_waste_bytes"})
    EXPECT_TRUE(run[field].is_number_integer()) << field;
  for (const char* field : {"allocate_ns", "free_ns", "collect_ns"})
    expect_spread(run[field]);
  ASSERT_TRUE(run["backend_calls"].is_object());
  for (const auto& [name, count] : run["backend_calls"].items())
    EXPECT_TRUE(count.is_number_integer()) << name;
  EXPECT_GT(run["backend_calls"]["reserve"], 0);
  // Several threads sample while others work.
  if (run["threads"] == 1) {
    EXPECT_GE(run["peak_committed_bytes"], run["peak_live_bytes"]);
    EXPECT_GE(run["peak_reserved_bytes"], run["peak_committed_bytes"]);
  }
  EXPECT_GE(run["end_committed_bytes"], run["end_live_bytes"]);
}

struct Case {
  const char* backend;
  const char* options;
};

void PrintTo(const Case& tried, std::ostream* out) {
  *out << tried.backend << " " << tried.options;
}

class ReplayCommand : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(, ReplayCommand,
                         ::testing::Values(Case{"cpu", ""}, Case{"address", ""},
                                           Case{"cpu", "--page-size 2MiB"},
                                           Case{"address", "--page-size 2097152"}, Case{"cpu", "--threads 3"},
                                           Case{"address", "--threads 2"},
                                           Case{"address", "--align-buffers 256 --align-images 64K"},
                                           Case{"cpu", "--device-size 1G"}));

TEST_P(ReplayCommand, WritesEveryFieldOfItsSchema) {
  const Folder folder;
  const std::string json = folder.path("o.json"), trace = bundled("stk_lighthouse.res.csv.gz");
  const std::string other = small_trace(folder);
  const Ended ended = run_vaspace("replay " + trace + " " + other + " --verify --backend " +
                                  GetParam().backend + " " + GetParam().options + " --json " + json);
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(ended.err, "") << "quiet in a pipe";
  const Json report = json_of(json);
  EXPECT_EQ(report["schema"], "vaspace.replay/1");
  ASSERT_EQ(report["runs"].size(), 4U);
  std::vector<std::string> order;
  for (const Json& run : report["runs"]) {
    expect_run(run);
    EXPECT_EQ(run["failed"], 0);
    EXPECT_EQ(run["verify_errors"], 0);
    EXPECT_EQ(run["backend"], GetParam().backend);
    order.push_back(run["allocator"]);
  }
  EXPECT_EQ(report["runs"][0]["trace"], trace);
  EXPECT_EQ(report["runs"][0]["operations"], 1782);
  EXPECT_EQ(report["runs"][0]["end_live_bytes"], 0);
  EXPECT_EQ(report["runs"][0]["end_committed_bytes"], 0) << "no page without a live byte stays committed";
  EXPECT_EQ(report["runs"][1]["end_committed_bytes"], 0);
  EXPECT_EQ(report["runs"][3]["trace"], other);
  EXPECT_THAT(order, ::testing::ElementsAre("default", "arena", "default", "arena"));
}

TEST(Command, TheTraceDecidesThePeakAndTheDeviceSize) {
  const Folder folder;
  const std::string json = folder.path("o.json");
  ASSERT_EQ(run_vaspace("replay " + bundled("stk_lighthouse.res.csv.gz") + " --json " + json).exit_code, 0);
  for (const Json& run : runs_of(json)) {
    const std::uint64_t peak = run["peak_live_bytes"];
    EXPECT_EQ(run["device_bytes"], (2 * peak + 65535) / 65536 * 65536);
    EXPECT_EQ(run["page_bytes"], 65536);
    EXPECT_EQ(run["threads"], 1);
  }
  ASSERT_EQ(run_vaspace("replay " + small_trace(folder) + " --json " + json).exit_code, 0);
  EXPECT_EQ(runs_of(json)[0]["device_bytes"], 64 << 20) << "at least 64 MiB";
}

// R9: the figures that are not times are the same on every run.
TEST(Command, TheSameReplayGivesTheSamePlacement) {
  const Folder folder;
  std::vector<Json> figures;
  for (int i = 0; i < 2; ++i) {
    const std::string json = folder.path("o.json");
    ASSERT_EQ(run_vaspace("replay " + small_trace(folder) + " --json " + json).exit_code, 0);
    Json report = json_of(json);
    for (Json& run : report["runs"]) {
      for (const char* times : {"allocate_ns", "free_ns", "collect_ns"})
        run.erase(times);
    }
    figures.push_back(report);
  }
  EXPECT_EQ(figures[0], figures[1]);
}

TEST(Command, OneAllocatorAlone) {
  const Folder folder;
  const std::string json = folder.path("o.json");
  const Ended ended = run_vaspace("replay " + small_trace(folder) + " --allocator arena --json " + json);
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  ASSERT_EQ(runs_of(json).size(), 1U);
  EXPECT_EQ(runs_of(json)[0]["allocator"], "arena");
  EXPECT_EQ(ended.out.find("diff"), std::string::npos);
}

TEST(Command, ReadsATraceFromAPipe) {
  const Folder folder;
  const Ended ended = run_vaspace("replay /dev/stdin --backend address < " + small_trace(folder));
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
}

TEST(Command, EveryBundledTraceReplaysClean) {
  const Folder folder;
  const Ended ended = run_vaspace("replay " + bundled("*.csv.gz") + " --verify --backend address");
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
}

TEST(Command, TheOutputIsAscii) {
  const Folder folder;
  const Ended ended = run_vaspace("replay " + small_trace(folder));
  EXPECT_TRUE(std::all_of(ended.out.begin(), ended.out.end(),
                          [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
  EXPECT_THAT(ended.out, HasSubstr("committed / live"));
  EXPECT_THAT(ended.out, HasSubstr("|##"));
}

TEST(Command, InfoListsEveryBackend) {
  const Folder folder;
  const std::string json = folder.path("i.json");
  const Ended ended = run_vaspace("info --json " + json);
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  const Json info = json_of(json);
  EXPECT_EQ(info["schema"], "vaspace.info/1");
  EXPECT_TRUE(info["version"].is_string());
  std::vector<std::string> names;
  for (const Json& backend : info["backends"]) {
    names.push_back(backend["name"]);
    EXPECT_THAT(ended.out, HasSubstr(names.back()));
    const bool built = backend["built"].get<bool>();
    EXPECT_TRUE(built || backend["devices"].empty());
    // Whether there is a GPU, and a driver, is the machine's.
    if (names.back() == "cpu" || names.back() == "address") {
      EXPECT_FALSE(backend["devices"].empty());
    }
    for (const Json& device : backend["devices"]) {
      EXPECT_TRUE(device["name"].is_string());
      EXPECT_GT(device["heaps"].size(), 0U);
      EXPECT_TRUE(device["heaps"][0]["size_bytes"].is_number_integer());
      EXPECT_GT(device["memory_types"].size(), 0U);
      EXPECT_TRUE(device["memory_types"][0]["host_visible"].is_boolean());
      EXPECT_TRUE(device["page_bytes"].is_array());
      EXPECT_TRUE(device["reservation_granularity_bytes"].is_number_integer());
      EXPECT_TRUE(device["capabilities"]["bind"].is_boolean());
    }
  }
  EXPECT_THAT(names, ::testing::ElementsAre("cpu", "address", "vulkan", "cuda"));
  EXPECT_EQ(info["backends"][0]["devices"][0]["page_bytes"], Json::parse("[65536, 2097152]"));
}

TEST(Command, HelpAndVersionSucceed) {
  const Folder folder;
  for (const char* arguments : {"--help", "--version", "replay --help", "info --help"}) {
    const Ended ended = run_vaspace(arguments);
    EXPECT_EQ(ended.exit_code, 0) << arguments;
    EXPECT_EQ(ended.err, "");
    EXPECT_NE(ended.out, "");
  }
  for (const char* option :
       {"--allocator", "--backend", "--device", "--device-size", "--page-size", "--sub-buffers", "--threads",
        "--verify", "--align-buffers", "--align-images", "--json"})
    EXPECT_THAT(run_vaspace("replay --help").out, HasSubstr(option));
}

}  // namespace
}  // namespace vaspace::tools
