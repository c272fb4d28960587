#include "bench/results_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

#include "bytes_text.hpp"

namespace vaspace::tools::bench {

namespace {

std::string title_of(const TimingRow& row) {
  std::string title = row.key.workload;
  if (!row.key.mode.empty()) title += " " + row.key.mode;
  if (row.key.workload == "W4" || row.key.workload == "W5") title += fmt::format(", {} live", row.key.live);
  return title + fmt::format(": ns per {}", name_of(row.unit));
}

std::string column_of(const TimingRow& row) {
  if (!row.key.order.empty()) return row.key.order;
  if (row.key.workload.rfind("W6", 0) == 0) {
    return fmt::format("{} thread{}", row.key.threads, row.key.threads == 1 ? "" : "s");
  }
  return row.key.workload == "W8" ? fmt::format("{} live", row.key.live) : "";
}

std::string label_of(const TimingRow& row) {
  const bool both = row.key.workload.rfind("W6", 0) == 0;
  return both ? row.subject + ", " + row.policy : row.subject;
}

std::string cell_of(const TimingRow& row) {
  std::string text = fmt::format("{:.1f}", row.ns.median);
  if (row.unit == Unit::allocate || row.unit == Unit::free) text += fmt::format(" p99 {:.0f}", row.ns.p99);
  if (row.to_limit) text += fmt::format(" ({:.2f} x)", row.to_limit->median);
  return text;
}

void add_once(std::vector<std::string>& all, const std::string& one) {
  if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
}

std::string table_of(const std::string& title, const std::vector<const TimingRow*>& rows) {
  std::vector<std::string> labels, columns;
  for (const TimingRow* row : rows) {
    add_once(labels, label_of(*row));
    add_once(columns, column_of(*row));
  }
  std::string text = fmt::format("{}\n  {:<22}", title, "");
  for (const std::string& column : columns)
    text += fmt::format("{:>22}", column);
  for (const std::string& label : labels) {
    text += fmt::format("\n  {:<22}", label);
    for (const std::string& column : columns) {
      const auto row = std::find_if(rows.begin(), rows.end(), [&](const TimingRow* one) {
        return label_of(*one) == label && column_of(*one) == column;
      });
      text += fmt::format("{:>22}", row == rows.end() ? "-" : cell_of(**row));
    }
  }
  return text + "\n\n";
}

std::string size_text(const std::string& size) {
  std::uint64_t bytes = 0;
  const auto [stop, error] = std::from_chars(size.data(), size.data() + size.size(), bytes);
  if (error != std::errc{} || stop != size.data() + size.size()) return "256 B to 32 MiB, mixed";
  return bytes_text(Bytes{bytes});
}

// Three significant digits where there are as many.
std::string microseconds(double us) {
  return fmt::format("{:.4f}", us);
}

std::string difference(double from, double to) {
  return from > 0 ? fmt::format("{:+.0f} %", 100 * (to - from) / from) : "-";
}

struct Figure {
  const char* name;
  double CallTimes::*of;
};
constexpr std::array<Figure, 4> kFigures{{{"min", &CallTimes::min},
                                          {"max", &CallTimes::max},
                                          {"mean", &CallTimes::mean},
                                          {"median", &CallTimes::median}}};

std::string three(const CallTimes* from, const CallTimes* to, double CallTimes::*of) {
  std::string text = fmt::format("{:>11}", from ? microseconds(from->*of) : "-");
  text += fmt::format("{:>11}", to ? microseconds(to->*of) : "-");
  return text + fmt::format("{:>10}", from && to ? difference(from->*of, to->*of) : "-");
}

// Default and arena of the same size, order and state; either may be missing.
std::string comparison(const SizeClassRow* from, const SizeClassRow* to) {
  const SizeClassRow& one = from ? *from : *to;
  std::string text = fmt::format("{} x {}, freed {}, pages {}\n", size_text(one.size), one.count, one.order,
                                 one.warm ? "committed" : "not yet committed");
  text += fmt::format("  {:<8}{:>32}{:>4}{:>28}\n", "us", "allocate", "", "free");
  text += fmt::format("  {:<8}{:>11}{:>11}{:>10}    {:>11}{:>11}{:>10}\n", "", "Default", "Arena", "Diff",
                      "Default", "Arena", "Diff");
  for (const Figure& figure : kFigures) {
    text += fmt::format("  {:<8}{}    {}\n", figure.name,
                        three(from ? &from->allocate : nullptr, to ? &to->allocate : nullptr, figure.of),
                        three(from ? &from->free : nullptr, to ? &to->free : nullptr, figure.of));
  }
  return text + "\n";
}

}  // namespace

std::string timings_text(std::span<const TimingRow> rows) {
  std::vector<std::string> titles;
  for (const TimingRow& row : rows)
    add_once(titles, title_of(row));
  std::string text;
  for (const std::string& title : titles) {
    std::vector<const TimingRow*> of_table;
    for (const TimingRow& row : rows) {
      if (title_of(row) == title) of_table.push_back(&row);
    }
    text += table_of(title, of_table);
  }
  return text;
}

std::string placement_text(std::span<const PlacementRow> rows) {
  if (rows.empty()) return {};
  std::string text =
      fmt::format("W7: placement in 256 MiB\n  {:<10}{:<10}{:>24}{:>18}{:>22}\n", "mode", "subject",
                  "occupancy at refusal", "refusals at 90 %", "largest / free, 60 %");
  for (const PlacementRow& row : rows) {
    text += fmt::format("  {:<10}{:<10}{:>24.4f}{:>16.2f} %{:>22.3f}\n", row.mode, row.subject,
                        row.occupancy_first_refusal, 100 * row.refusals_at_90, row.largest_free_ratio_60);
  }
  return text + "\n";
}

std::string metadata_text(std::span<const MetadataRow> rows) {
  if (rows.empty()) return {};
  std::string text = fmt::format("Metadata: bytes of host memory\n  {:<10}{:<8}{:>10}  {:<10}{:>10}\n",
                                 "workload", "mode", "live", "subject", "per live");
  for (const MetadataRow& row : rows) {
    text += fmt::format("  {:<10}{:<8}{:>10}  {:<10}{:>10.2f}", row.workload, row.mode, row.live, row.subject,
                        row.bytes_per_live);
    if (!row.per.empty()) text += fmt::format("   {:.2f} per {}", row.bytes_per, row.per);
    text += "\n";
  }
  return text + "\n";
}

std::string size_classes_text(std::span<const SizeClassRow> rows) {
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const SizeClassRow* from = rows[i].allocator == "default" ? &rows[i] : nullptr;
    const SizeClassRow* to = from ? nullptr : &rows[i];
    const bool pair = from && i + 1 < rows.size() && rows[i + 1].allocator == "arena";
    if (pair) to = &rows[++i];
    text += comparison(from, to);
  }
  return text;
}

}  // namespace vaspace::tools::bench
