// `vaspace bench` as a script sees it.
#include "support/command.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace vaspace::tools {
namespace {

using Json = nlohmann::json;
using test::contents_of;
using test::Ended;
using test::Folder;
using ::testing::HasSubstr;

Ended bench(const std::string& arguments) {
  return test::run_vaspace("bench " + arguments);
}

void expect_refusal(const Ended& ended, int exit_code) {
  EXPECT_EQ(ended.exit_code, exit_code) << ended.err;
  EXPECT_EQ(ended.out, "");
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
  EXPECT_EQ(ended.err.rfind("vaspace: ", 0), 0U) << ended.err;
}

void expect_fields(const Json& rows, std::initializer_list<const char*> numbers) {
  for (const Json& row : rows) {
    for (const char* field : numbers)
      ASSERT_TRUE(row.contains(field) && row[field].is_number()) << field << " of " << row.dump();
  }
}

// The values of a field over the rows of a workload.
std::set<std::string> values(const Json& rows, const std::string& workload, const char* field) {
  std::set<std::string> found;
  for (const Json& row : rows) {
    if (row["workload"] == workload)
      found.insert(row[field].is_string() ? row[field].get<std::string>() : row[field].dump());
  }
  return found;
}

using Words = std::set<std::string>;

void expect_results(const Json& rows) {
  expect_fields(rows, {"live", "threads", "ns_median", "ns_min", "ns_max", "ns_p99", "ns_p999", "ns_worst"});
  for (const Json& row : rows) {
    EXPECT_LE(row["ns_min"], row["ns_median"]) << row.dump();
    EXPECT_LE(row["ns_median"], row["ns_max"]) << row.dump();
    EXPECT_LE(row["ns_p99"], row["ns_p999"]) << row.dump();
    EXPECT_LE(row["ns_p999"], row["ns_worst"]) << row.dump();
    EXPECT_TRUE(row["policy"] == "single" || row["policy"] == "threaded") << row.dump();
    EXPECT_EQ(row["refused"], 0) << row.dump();
    const bool has_limit = row["workload"] != "map" || row["mode"] == "look_up";
    EXPECT_EQ(row["ratio_to_limit"].is_number(), has_limit) << row.dump();
  }
  EXPECT_EQ(values(rows, "map", "mode"), (Words{"change", "look_up", "plan"}));
  for (const char* workload : {"W1", "W2", "W3"}) {
    EXPECT_EQ(values(rows, workload, "order"), (Words{"in_order", "reverse", "shuffled"}));
    EXPECT_EQ(values(rows, workload, "unit"), Words{"pair"});
  }
  EXPECT_EQ(values(rows, "W4", "unit"), Words{"op"});
  EXPECT_EQ(values(rows, "W5", "unit"), (Words{"op", "allocate", "free"}));
  EXPECT_EQ(values(rows, "W5", "mode"), (Words{"256", "mixed"}));
  EXPECT_EQ(values(rows, "W5_first", "unit"), (Words{"allocate", "free"}));
  EXPECT_EQ(values(rows, "W5_first", "mode"), (Words{"256", "mixed"}));
  EXPECT_EQ(values(rows, "W6_shared", "threads"), (Words{"1", "2"}));
  EXPECT_EQ(values(rows, "W6_cross", "threads"), Words{"2"});
  EXPECT_EQ(values(rows, "W8", "mode"), (Words{"mixed", "same"}));
  EXPECT_EQ(values(rows, "W8", "live"), (Words{"1000", "10000", "100000", "1000000"}));
  for (const char* workload : {"W1", "W2", "W3", "W4", "W5", "W8"}) {
    const Words subjects = values(rows, workload, "subject");
    for (const char* subject : {"limit_lifo", "limit_bitmap", "oracle", "object", "arena", "default"})
      EXPECT_TRUE(subjects.contains(subject)) << workload << " " << subject;
  }
  for (const char* workload : {"W6_shared", "W6_cross"}) {
    const Words subjects = values(rows, workload, "subject");
    EXPECT_TRUE(subjects.contains("limit_lifo") && subjects.contains("arena")) << workload;
  }
  EXPECT_TRUE(values(rows, "W8", "subject").contains("slab"));
}

void expect_size_classes(const Json& rows) {
  expect_fields(rows, {"count", "min_us", "max_us", "mean_us", "median_us"});
  ASSERT_EQ(rows.size(), 4U * 3 * 2 * 2);
  std::set<std::string> sizes;
  for (const Json& row : rows) {
    sizes.insert(row["size"].dump());
    EXPECT_TRUE(row["warm"].is_boolean());
    EXPECT_EQ(row["refused"], 0) << row.dump();
    EXPECT_LE(row["min_us"], row["median_us"]);
  }
  EXPECT_EQ(sizes, (std::set<std::string>{"4096", "65536", "1048576", "\"mixed\""}));
}

TEST(Bench, AQuickRunHasEveryRow) {
  const Folder folder;
  const std::string file = folder.path("quick.json");
  const Ended ended = bench("--quick --json " + file);
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(ended.err, "");  // quiet where there is no terminal
  EXPECT_THAT(ended.out, HasSubstr("Default      Arena      Diff"));
  const Json json = Json::parse(contents_of(file), nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["schema"], "vaspace.bench/1");
  EXPECT_TRUE(json["machine"].is_object());
  EXPECT_TRUE(json["build"].is_object());
  expect_results(json["results"]);
  expect_fields(json["placement"], {"occupancy_first_refusal", "refusals_at_90", "largest_free_ratio_60"});
  EXPECT_EQ(values(json["placement"], "W7", "mode"), (Words{"256", "mixed"}));
  EXPECT_EQ(values(json["placement"], "W7", "subject"), (Words{"arena", "default", "object", "oracle"}));
  expect_fields(json["metadata"], {"live", "bytes_per_live"});
  EXPECT_EQ(values(json["metadata"], "W8", "subject"), (Words{"arena", "default", "object", "slab"}));
  expect_size_classes(json["size_classes"]);

  const Ended compared = bench("--compare " + file + " " + file);
  EXPECT_EQ(compared.exit_code, 0) << compared.err;
  EXPECT_THAT(compared.out, HasSubstr(" 0 changed"));
}

TEST(Bench, DrawsWhatAnEarlierRunMeasured) {
  const Folder folder;
  const std::string file = folder.path("some.json");
  ASSERT_EQ(
      bench("--quick --only W3 --subject arena --json " + file + " --plot " + folder.path("now")).exit_code,
      0);
  const Ended ended = bench("--plot " + folder.path("a/b") + " --from " + file);
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(ended.out, folder.path("a/b/ratios.svg") + "\n");
  EXPECT_THAT(contents_of(folder.path("a/b/ratios.svg")), HasSubstr(">arena<"));
  EXPECT_EQ(contents_of(folder.path("a/b/ratios.svg")), contents_of(folder.path("now/ratios.svg")));
  expect_refusal(bench("--plot " + file + "/x --from " + file), 1);
  expect_refusal(bench("--plot " + folder.path("c") + " --from " + folder.write("bad.json", "[]")), 1);
}

class BenchUsage : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(, BenchUsage,
                         ::testing::Values("extra", "--nosuch", "--json", "--json ''", "--compare",
                                           "--compare one", "--compare one two three",
                                           "--compare one two --quick", "--compare one two --json x",
                                           "--only", "--only W9", "--only W1,", "--only ''",
                                           "--subject nobody", "--from x", "--plot ''",
                                           "--plot x --from y --quick", "--plot x --compare one two",
                                           "--count-instructions W8", "--count-instructions W8/mixed/0/arena",
                                           "--count-instructions W8/mixed/10/arena --quick"));

TEST_P(BenchUsage, IsOneLineAndExitCode2) {
  expect_refusal(bench(GetParam()), 2);
}

TEST(Bench, FilesThatCannotBeComparedAreExitCode1) {
  const Folder folder;
  const std::string good =
      folder.write("good.json", R"({"schema":"vaspace.bench/1","results":[],"placement":[],
                                                          "metadata":[],"size_classes":[]})");
  EXPECT_EQ(bench("--compare " + good + " " + good).exit_code, 0);
  for (const std::string& bad :
       {folder.path("none.json"), folder.path(""), folder.write("empty.json", ""),
        folder.write("half.json", R"({"schema":"vaspace.bench/1","res)"), folder.write("other.json", "[]"),
        folder.write("rows.json", R"({"schema":"vaspace.bench/1","results":[{}]})")}) {
    const Ended ended = bench("--compare " + good + " " + bad);
    expect_refusal(ended, 1);
    EXPECT_THAT(ended.err, HasSubstr(bad));
    expect_refusal(bench("--compare " + bad + " " + good), 1);
  }
}

TEST(Bench, AFileThatCannotBeWrittenIsKnownBeforeTheFirstRun) {
  expect_refusal(bench("--quick --json /nowhere/at/all.json"), 1);
}

TEST(Bench, OnlyRunsWhatItIsAskedFor) {
  const Folder folder;
  const std::string file = folder.path("some.json");
  ASSERT_EQ(bench("--quick --only W3,W8 --subject slab,arena --json " + file).exit_code, 0);
  const Json rows = Json::parse(contents_of(file), nullptr, false)["results"];
  EXPECT_EQ(values(rows, "W3", "subject"), (Words{"limit_lifo", "arena"}));
  EXPECT_EQ(values(rows, "W8", "subject"), (Words{"limit_lifo", "arena", "slab"}));
  EXPECT_TRUE(values(rows, "W1", "subject").empty());
}

}  // namespace
}  // namespace vaspace::tools
