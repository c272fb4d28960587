#include "bench/plots.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "bench/axis.hpp"
#include "bench/chart.hpp"

namespace vaspace::tools::bench {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// What is wrong with it as XML, as far as drawings use it: tags that close in order, quoted attributes, no
// bare & or <.
std::string malformed(const std::string& xml) {
  std::vector<std::string> open;
  for (std::size_t at = 0; at < xml.size(); ++at) {
    if (xml[at] == '&') {
      const std::string entity = xml.substr(at, xml.find(';', at) - at);
      if (!std::set<std::string>{"&amp", "&lt", "&gt", "&quot"}.contains(entity)) return "entity " + entity;
    }
    if (xml[at] == '>') return "a bare >";
    if (xml[at] != '<') continue;
    const std::size_t end = xml.find('>', at);
    if (end == std::string::npos) return "a tag without an end";
    const std::string tag = xml.substr(at + 1, end - at - 1);
    at = end;
    if (tag.find('<') != std::string::npos) return "a tag within a tag";
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) return "an open quote in " + tag;
    if (tag.front() == '?' || tag.back() == '/') continue;
    if (tag.front() != '/') {
      open.push_back(tag.substr(0, tag.find(' ')));
    } else if (open.empty() || open.back() != tag.substr(1)) {
      return "closes " + tag;
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : "never closed: " + open.back();
}

Json timing(const char* workload, Json mode, Json order, std::uint64_t live, const char* subject, double ns) {
  return {{"workload", workload}, {"mode", mode},       {"order", order},          {"live", live},
          {"threads", 1},         {"subject", subject}, {"unit", "pair"},          {"policy", "single"},
          {"ns_median", ns},      {"ns_min", ns},       {"ratio_to_limit", ns / 5}};
}

Json results() {
  Json rows = Json::array(), metadata = Json::array();
  for (const char* subject : {"limit_lifo", "arena", "default"}) {
    rows.push_back(timing("W1", "same", "shuffled", 50'000, subject, 40));
    rows.push_back(timing("W1", "same", "in_order", 50'000, subject, 4'000));
    rows.push_back(timing("W4", nullptr, nullptr, 3'000, subject, 80));
    for (const std::uint64_t live : {1'000U, 10'000U, 100'000U}) {
      for (const char* mode : {"same", "mixed"}) {
        rows.push_back(timing("W8", mode, nullptr, live, subject, 10));
        rows.push_back(timing("scale", mode, nullptr, live, subject, 10));
      }
      metadata.push_back({{"workload", "scale"},
                          {"mode", "mixed"},
                          {"live", live},
                          {"subject", subject},
                          {"bytes_per_live", 12.5}});
    }
  }
  return {{"schema", "vaspace.bench/1"}, {"results", rows}, {"metadata", metadata}};
}

std::map<std::string, std::string> drawn(const Json& json) {
  std::map<std::string, std::string> files;
  for (const Plot& plot : plots_of(json))
    EXPECT_TRUE(files.emplace(plot.file, plot.svg).second) << plot.file;
  return files;
}

TEST(Plots, AreWellFormedAndNameEverySubject) {
  const auto files = drawn(results());
  std::set<std::string> names;
  for (const auto& [name, svg] : files) {
    names.insert(name);
    EXPECT_EQ(malformed(svg), "") << name;
    EXPECT_EQ(svg.rfind("<?xml", 0), 0U) << name;
    for (const char* subject : {">arena<", ">default<"})
      EXPECT_THAT(svg, HasSubstr(subject)) << name;
    EXPECT_THAT(svg, Not(HasSubstr("nan"))) << name;
    EXPECT_THAT(svg, Not(HasSubstr("script"))) << name;
  }
  EXPECT_EQ(names, (std::set<std::string>{"w8_same.svg", "w8_mixed.svg", "scale_mixed.svg",
                                          "scale_mixed_metadata.svg", "ratios.svg"}));
  EXPECT_THAT(files.at("w8_same.svg"), HasSubstr(">limit_lifo<"));
  EXPECT_THAT(files.at("ratios.svg"), Not(HasSubstr(">limit_lifo<")));  // it is 1 by definition
}

TEST(Plots, RatiosAreThoseOfTheShuffledOrder) {
  const std::string svg = drawn(results()).at("ratios.svg");
  EXPECT_THAT(svg, HasSubstr(">W1 shuffled<"));
  EXPECT_THAT(svg, HasSubstr(">8.0<"));
  EXPECT_THAT(svg, HasSubstr(">16<"));
  EXPECT_THAT(svg, Not(HasSubstr(">800<")));
  EXPECT_THAT(svg, Not(HasSubstr(">W2 shuffled<")));  // no rows
}

TEST(Plots, OfNothingThereAreNone) {
  EXPECT_TRUE(plots_of({{"schema", "vaspace.bench/1"}}).empty());
  EXPECT_TRUE(plots_of({{"results", Json::array({3, Json::object(), {{"workload", "W8"}}})}}).empty());
}

TEST(Plots, NamesAreEscaped) {
  const std::string svg =
      draw(LineChart{"a < b & \"c\"", "x", "y", {{"<&>\n\x01", {{1, 1}, {10, 100}}}, {"empty", {}}}});
  EXPECT_EQ(malformed(svg), "");
  EXPECT_THAT(svg, HasSubstr("a &lt; b &amp; &quot;c&quot;"));
  EXPECT_THAT(svg, Not(HasSubstr("empty")));
}

TEST(Plots, WhatALogarithmCannotShowIsLeftOut) {
  const std::string svg =
      draw(LineChart{"t", "x", "y", {{"one", {{0, 5}, {10, 0}, {10, -1}, {100, 5}}}, {"none", {{1, 0}}}}});
  EXPECT_EQ(malformed(svg), "");
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  EXPECT_THAT(svg, Not(HasSubstr(">none<")));
  EXPECT_EQ(malformed(draw(LineChart{"t", "x", "y", {}})), "");
  EXPECT_EQ(malformed(draw(BarChart{"t", "y", {"g"}, {{"s", {std::nullopt}}, {"r", {}}}})), "");
}

TEST(Axis, IsRoundedOutwards) {
  const LogAxis axis(3, 700, 0, 300);
  EXPECT_THAT(axis.ticks(false), ElementsAre(2, 5, 10, 20, 50, 100, 200, 500, 1000));
  EXPECT_THAT(axis.ticks(true), ElementsAre(10, 100, 1000));
  EXPECT_DOUBLE_EQ(axis.at(2), 0);
  EXPECT_DOUBLE_EQ(axis.at(1000), 300);
  EXPECT_GT(axis.at(3), axis.at(2));
  EXPECT_THAT(LogAxis(1'000, 1e6, 0, 1).ticks(true), ElementsAre(1e3, 1e4, 1e5, 1e6));
  EXPECT_THAT(LogAxis(5, 5, 0, 1).ticks(false), ElementsAre(5, 10, 20, 50));  // never empty
}

TEST(Axis, SetsThousandsApart) {
  EXPECT_EQ(tick_text(0.5), "0.5");
  EXPECT_EQ(tick_text(200), "200");
  EXPECT_EQ(tick_text(1e4), "10\u00A0000");
  EXPECT_EQ(tick_text(1e6), "1\u00A0000\u00A0000");
}

}  // namespace
}  // namespace vaspace::tools::bench
