#include "bench/compare.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "failed.hpp"

namespace vaspace::tools::bench {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

struct Figures {
  double median, min, max, ratio;
};

// With the fields that every version of the schema has.
Json row(const char* subject, Figures figures) {
  return {{"workload", "W8"},
          {"mode", "mixed"},
          {"live", 10000},
          {"order", nullptr},
          {"threads", 1},
          {"subject", subject},
          {"policy", "single"},
          {"unit", "pair"},
          {"ns_median", figures.median},
          {"ns_min", figures.min},
          {"ns_max", figures.max},
          {"ns_p99", figures.max},
          {"ratio_to_limit", figures.ratio}};
}

Json file(std::vector<Json> rows) {
  return {{"schema", "vaspace.bench/1"},  {"machine", Json::object()},
          {"build", Json::object()},      {"results", rows},
          {"placement", Json::array()},   {"metadata", Json::array()},
          {"size_classes", Json::array()}};
}

std::string compared(const Json& before, const Json& after) {
  return compare("old", before, "new", after);
}

std::string moved(Figures before, Figures after) {
  return compared(file({row("arena", before)}), file({row("arena", after)}));
}

TEST(Compare, AMoveIsOneThatLeavesBothSpreads) {
  EXPECT_EQ(move_of({10, 12}, {11, 14}), Move::none);
  EXPECT_EQ(move_of({10, 12}, {12, 14}), Move::none);
  EXPECT_EQ(move_of({10, 12}, {12.1, 14}), Move::up);
  EXPECT_EQ(move_of({10, 12}, {8, 9.9}), Move::down);
  EXPECT_EQ(move_of({10, 12}, {5, 20}), Move::none);
}

TEST(Compare, AFileAgainstItselfIsNoise) {
  const Figures figures{100, 95, 105, 2};
  const std::string text = moved(figures, figures);
  EXPECT_THAT(text, HasSubstr(": noise\n"));
  EXPECT_THAT(text, HasSubstr("ns 100 -> 100 (+0.0 %); ratio 2 -> 2 (+0.0 %)"));
  EXPECT_THAT(text, HasSubstr("1 rows in both, 0 changed"));
}

TEST(Compare, WhatLiesBeyondBothSpreadsIsAChange) {
  const std::string text = moved({100, 95, 105, 2}, {150, 140, 155, 3});
  EXPECT_THAT(text, HasSubstr("* W8 mixed 10000 live 1 threads, arena single, per pair"));
  EXPECT_THAT(text, HasSubstr("ns 100 -> 150 (+50.0 %); ratio 2 -> 3 (+50.0 %): slower\n"));
  EXPECT_THAT(text, HasSubstr("1 rows in both, 1 changed"));
  EXPECT_THAT(moved({150, 140, 155, 3}, {100, 95, 105, 2}), HasSubstr(": faster\n"));
}

TEST(Compare, OverlappingSpreadsAreNoise) {
  EXPECT_THAT(moved({100, 90, 125, 2}, {120, 110, 130, 2.4}), HasSubstr(": noise\n"));
}

TEST(Compare, AMachineThatIsSlowerForAllIsNoChange) {
  const std::string text = moved({100, 95, 105, 2}, {150, 140, 155, 2});
  EXPECT_THAT(text, HasSubstr("slower in ns only"));
  EXPECT_THAT(text, HasSubstr("0 changed"));
}

TEST(Compare, ALossThatAFasterMachineHidesIsAChange) {
  const std::string text = moved({100, 95, 105, 2}, {100, 95, 105, 3});
  EXPECT_THAT(text, HasSubstr("slower against the limit, ns as before"));
  EXPECT_THAT(text, HasSubstr("1 changed"));
}

TEST(Compare, RatiosUseTheirOwnSpreadWhereTheyHaveOne) {
  Json before = row("arena", {100, 95, 105, 2}), after = row("arena", {150, 140, 155, 3});
  for (Json* json : {&before, &after}) {
    (*json)["ratio_min"] = 1.5;
    (*json)["ratio_max"] = 3.5;
  }
  EXPECT_THAT(compared(file({before}), file({after})), HasSubstr("slower in ns only"));
}

TEST(Compare, TheLimitItselfIsComparedByNanoseconds) {
  const std::string text =
      compared(file({row("limit_lifo", {5, 4, 6, 1})}), file({row("limit_lifo", {9, 8, 10, 1})}));
  EXPECT_THAT(text, HasSubstr("ns 5 -> 9 (+80.0 %): slower"));
  EXPECT_THAT(text, Not(HasSubstr("ratio")));
}

TEST(Compare, ARatioThatIsNullIsLeftOut) {
  Json before = row("arena", {100, 95, 105, 2});
  before["ratio_to_limit"] = nullptr;
  EXPECT_THAT(compared(file({before}), file({row("arena", {150, 140, 155, 2})})), HasSubstr(": slower\n"));
}

TEST(Compare, RowsThatOneFileHasAloneAreNamed) {
  const std::string text = compared(file({row("arena", {1, 1, 1, 1})}), file({row("object", {1, 1, 1, 1})}));
  EXPECT_THAT(text, HasSubstr("arena single, per pair: only in old"));
  EXPECT_THAT(text, HasSubstr("object single, per pair: only in new"));
  EXPECT_THAT(text, HasSubstr("0 rows in both"));
}

TEST(Compare, RowsAreToldApartByEveryPartOfTheirKey) {
  Json other = row("arena", {1, 1, 1, 1});
  other["policy"] = "threaded";
  Json third = row("arena", {1, 1, 1, 1});
  third["unit"] = "op";
  const Json all = file({row("arena", {1, 1, 1, 1}), other, third});
  EXPECT_THAT(compared(all, all), HasSubstr("3 rows in both"));
}

TEST(Compare, PlacementAndMetadataAreExact) {
  Json before = file({}), after = file({});
  const Json placement{{"workload", "W7"},       {"mode", "256"},
                       {"subject", "object"},    {"occupancy_first_refusal", .95},
                       {"refusals_at_90", .003}, {"largest_free_ratio_60", .3}};
  const Json metadata{{"workload", "W8"}, {"live", 100000}, {"subject", "arena"}, {"bytes_per_live", 20.0}};
  before["placement"] = after["placement"] = Json::array({placement});
  before["metadata"] = after["metadata"] = Json::array({metadata});
  EXPECT_THAT(compared(before, after), HasSubstr("2 rows in both, 0 changed"));
  after["placement"][0]["refusals_at_90"] = .004;
  after["metadata"][0]["bytes_per_live"] = 20.5;
  const std::string text = compared(before, after);
  EXPECT_THAT(text, HasSubstr("refusals_at_90 0.003 -> 0.004 (+33.3 %)"));
  EXPECT_THAT(text, HasSubstr("bytes_per_live 20 -> 20.5 (+2.5 %): changed"));
  EXPECT_THAT(text, HasSubstr("2 rows in both, 2 changed"));
}

TEST(Compare, SizeClassesAreComparedByTheirSpread) {
  Json before = file({}), after = file({});
  const Json row{{"size", 4096},   {"count", 50000},       {"order", "shuffled"},
                 {"warm", true},   {"allocator", "arena"}, {"min_us", .010},
                 {"max_us", .020}, {"mean_us", .015},      {"median_us", .014}};
  before["size_classes"] = after["size_classes"] = Json::array({row});
  EXPECT_THAT(compared(before, after),
              HasSubstr("4096 x 50000 shuffled warm, arena: mean us 0.015 -> 0.015"));
  after["size_classes"][0]["min_us"] = .021;
  after["size_classes"][0]["max_us"] = .030;
  EXPECT_THAT(compared(before, after), HasSubstr(": slower\n"));
}

TEST(Compare, WhatIsNoResultsFileSaysWhy) {
  const auto refusal = [](const Json& json) -> std::string {
    try {
      static_cast<void>(compare("old", file({}), "new", json));
    } catch (const Failed& failed) {
      EXPECT_EQ(failed.exit_code(), kExitFailure);
      return failed.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(Json::array()), "new: no vaspace.bench/1 results");
  EXPECT_EQ(refusal({{"schema", "vaspace.replay/1"}}), "new: no vaspace.bench/1 results");
  EXPECT_EQ(refusal({{"schema", 1}}), "new: no vaspace.bench/1 results");
  EXPECT_EQ(refusal({{"schema", "vaspace.bench/1"}}), "new: \"results\" is no list");
  EXPECT_EQ(refusal(file({Json(3)})), "new: results[0] is no object");
  Json half = row("arena", {1, 1, 1, 1});
  half.erase("unit");
  EXPECT_EQ(refusal(file({half})), "new: results[0]: \"unit\" is no text");
  const Json twice = row("arena", {1, 1, 1, 1});
  EXPECT_THAT(refusal(file({twice, twice})), HasSubstr("is there twice"));
}

TEST(Compare, ARowInBothWithoutItsFiguresSaysWhy) {
  Json bad = row("arena", {1, 1, 1, 1});
  bad["ns_min"] = "fast";
  EXPECT_THROW(static_cast<void>(compared(file({row("arena", {1, 1, 1, 1})}), file({bad}))), Failed);
}

}  // namespace
}  // namespace vaspace::tools::bench
