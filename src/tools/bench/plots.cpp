#include "bench/plots.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <functional>

#include "bench/chart.hpp"
#include "failed.hpp"

namespace vaspace::tools::bench {

namespace {

using Json = nlohmann::json;

std::string word(const Json& row, const char* field) {
  const auto found = row.find(field);
  return found != row.end() && found->is_string() ? found->get<std::string>() : std::string();
}

double number(const Json& row, const char* field) {
  const auto found = row.find(field);
  return found != row.end() && found->is_number() ? found->get<double>() : 0;
}

// The objects of a list, where there is such a list.
std::vector<Json> rows_of(const Json& results, const char* list) {
  std::vector<Json> rows;
  const auto found = results.find(list);
  if (found == results.end() || !found->is_array()) return rows;
  std::copy_if(found->begin(), found->end(), std::back_inserter(rows),
               [](const Json& row) { return row.is_object(); });
  return rows;
}

using Chosen = std::function<bool(const Json&)>;
using Named = std::function<std::string(const Json&)>;

// A line per name of the chosen rows, over what is live.
std::vector<LineSeries> lines_of(const std::vector<Json>& rows, const char* figure, const Chosen& chosen,
                                 const Named& named) {
  std::vector<LineSeries> lines;
  for (const Json& row : rows) {
    if (!chosen(row)) continue;
    const std::string name = named(row);
    auto line =
        std::find_if(lines.begin(), lines.end(), [&](const LineSeries& one) { return one.name == name; });
    if (line == lines.end()) line = lines.insert(lines.end(), {name, {}});
    line->points.push_back({number(row, "live"), number(row, figure)});
  }
  return lines;
}

Chosen is(const char* workload, const char* mode) {
  return [=](const Json& row) {
    return word(row, "workload") == workload && (*mode == 0 || word(row, "mode") == mode);
  };
}
std::string subject_of(const Json& row) {
  return word(row, "subject");
}

constexpr const char* kLive = "live allocations (log)";
constexpr const char* kPerPair = "ns per pair of free and allocate (log)";
constexpr const char* kBytesPerLive = "bytes of host memory per live allocation (log)";
constexpr const char* kReservations = "reservations (log)";

// What a reservation is measured by.
std::string step_of(const Json& row) {
  const std::string what = word(row, "unit") == "find" ? "find" : word(row, "mode");
  return word(row, "policy") == "threaded" ? what + ", threaded" : what;
}

struct Lines {
  const char* file;
  const char* list;
  const char* figure;
  Chosen chosen;
  Named named;
  const char* title;
  const char* across;
  const char* up;
};

std::vector<Lines> all_lines() {
  return {
      {"w8_same.svg", "results", "ns_median", is("W8", "same"), subject_of, "W8: free and allocate 1 KiB",
       kLive, kPerPair},
      {"w8_mixed.svg", "results", "ns_median", is("W8", "mixed"), subject_of,
       "W8: free and allocate 256 B to 4 KiB", kLive, kPerPair},
      {"scale_mixed.svg", "results", "ns_median", is("scale", "mixed"), subject_of,
       "Scale: free and allocate 256 B to 4 KiB", kLive, kPerPair},
      {"scale_large.svg", "results", "ns_median", is("scale", "large"), subject_of,
       "Scale: free and allocate 64 KiB to 4 MiB", kLive, kPerPair},
      {"scale_mixed_metadata.svg", "metadata", "bytes_per_live", is("scale", "mixed"), subject_of,
       "Scale: metadata, 256 B to 4 KiB", kLive, kBytesPerLive},
      {"scale_large_metadata.svg", "metadata", "bytes_per_live", is("scale", "large"), subject_of,
       "Scale: metadata, 64 KiB to 4 MiB", kLive, kBytesPerLive},
      {"scale_reservations.svg", "results", "ns_median", is("scale_reservations", ""), step_of,
       "Scale: an arena of reservations with one allocation each", kReservations,
       "ns per pair or find (log)"},
      {"scale_reservations_metadata.svg", "metadata", "bytes_per_live", is("scale_reservations", ""),
       [](const Json& row) { return word(row, "mode"); },
       "Scale: metadata of reservations with one allocation each", kReservations,
       "bytes of host memory per reservation (log)"},
  };
}

// ---- the ratios of W1 to W5

struct RatioGroup {
  const char* label;
  const char* workload;
  const char* mode;
  const char* order;
};
constexpr RatioGroup kRatioGroups[] = {{"W1 shuffled", "W1", "", "shuffled"},
                                       {"W2 shuffled", "W2", "", "shuffled"},
                                       {"W3 shuffled", "W3", "", "shuffled"},
                                       {"W4", "W4", "", ""},
                                       {"W5", "W5", "256", ""},
                                       {"W5 mixed", "W5", "mixed", ""}};

bool belongs(const Json& row, const RatioGroup& group) {
  const std::string unit = word(row, "unit");
  return word(row, "workload") == group.workload && word(row, "order") == group.order &&
         (*group.mode == 0 || word(row, "mode") == group.mode) && (unit == "pair" || unit == "op");
}

BarChart ratios_of(const Json& results) {
  BarChart chart{.title = "W1 to W5: time against the limit's",
                 .up = "times limit_lifo (log)",
                 .groups = {},
                 .series = {}};
  const std::vector<Json> rows = rows_of(results, "results");
  for (const RatioGroup& group : kRatioGroups) {
    if (std::none_of(rows.begin(), rows.end(), [&](const Json& row) { return belongs(row, group); }))
      continue;
    const std::size_t at = chart.groups.size();
    chart.groups.emplace_back(group.label);
    for (const Json& row : rows) {
      const std::string name = subject_of(row);
      const double ratio = number(row, "ratio_to_limit");
      if (!belongs(row, group) || name == "limit_lifo" || ratio <= 0) continue;
      auto series = std::find_if(chart.series.begin(), chart.series.end(),
                                 [&](const BarSeries& one) { return one.name == name; });
      if (series == chart.series.end()) series = chart.series.insert(chart.series.end(), {name, {}});
      series->bars.resize(at + 1);
      series->bars[at] = ratio;
    }
  }
  return chart;
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Failed(fmt::format("{}: cannot write it: {}", path, why));
}

}  // namespace

std::vector<Plot> plots_of(const Json& results) {
  std::vector<Plot> plots;
  for (const Lines& lines : all_lines()) {
    LineChart chart{lines.title, lines.across, lines.up,
                    lines_of(rows_of(results, lines.list), lines.figure, lines.chosen, lines.named)};
    if (!chart.series.empty()) plots.push_back({lines.file, draw(chart)});
  }
  const BarChart ratios = ratios_of(results);
  if (!ratios.series.empty()) plots.push_back({"ratios.svg", draw(ratios)});
  return plots;
}

void prepare_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) refuse(folder, error.message());
}

std::vector<std::string> write_plots(const std::string& folder, const std::vector<Plot>& plots) {
  std::vector<std::string> paths;
  for (const Plot& plot : plots) {
    paths.push_back((std::filesystem::path(folder) / plot.file).string());
    std::ofstream file(paths.back(), std::ios::binary);
    file << plot.svg << std::flush;
    if (!file) refuse(paths.back(), std::strerror(errno));
  }
  return paths;
}

}  // namespace vaspace::tools::bench
