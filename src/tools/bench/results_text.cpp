#include "bench/results_text.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "bench/registry.hpp"

namespace vaspace::tools::bench {

namespace {

std::string title_of(const TimingRow& row) {
  std::string title = row.key.workload;
  if (!row.key.mode.empty()) title += " " + row.key.mode;
  if (row.key.workload == "W5_first") title += ", a new allocator's first pass";
  if (row.key.workload == "W4" || row.key.workload == "W5") title += fmt::format(", {} live", row.key.live);
  return title + fmt::format(": ns per {}", name_of(row.unit));
}

std::string column_of(const TimingRow& row) {
  if (!row.key.order.empty()) return row.key.order;
  if (row.key.workload.rfind("W6", 0) == 0) {
    return fmt::format("{} thread{}", row.key.threads, row.key.threads == 1 ? "" : "s");
  }
  if (row.key.workload == "map") return fmt::format("{} mappings", row.key.live);
  const bool by_live = row.key.workload == "W8" || row.key.workload.rfind("scale", 0) == 0;
  return by_live ? fmt::format("{} live", row.key.live) : "";
}

std::string label_of(const TimingRow& row) {
  const bool both = row.key.workload.rfind("W6", 0) == 0 || row.key.workload == "scale_reservations";
  return both ? row.subject + ", " + row.policy : row.subject;
}

std::string cell_of(const TimingRow& row) {
  std::string text = fmt::format("{:.1f}", row.ns.median);
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

// Operations that were timed one by one: it is their tail that is asked for.
std::string tail_table_of(const std::string& title, const std::vector<const TimingRow*>& rows) {
  std::string text =
      fmt::format("{}\n  {:<22}{:>10}{:>10}{:>10}{:>12}", title, "", "median", "p99", "p99.9", "max");
  for (const TimingRow* row : rows) {
    text += fmt::format("\n  {:<22}{:>10.0f}{:>10.0f}{:>10.0f}{:>12.0f}", label_of(*row), row->ns.median,
                        row->ns.p99, row->ns.p999, row->ns.worst);
  }
  return text + "\n\n";
}

}  // namespace

std::string legend_text() {
  std::string text = "Subjects (arena and default: the caller keeps the 8-byte id)\n";
  for (const Subject& subject : single_subjects())
    text += fmt::format("  {:<18}{}\n", subject.name, subject.what);
  return text + "\n";
}

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
    const bool single = of_table.front()->unit == Unit::allocate || of_table.front()->unit == Unit::free;
    text += single ? tail_table_of(title, of_table) : table_of(title, of_table);
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
  std::string text = fmt::format("Metadata: bytes of host memory\n  {:<20}{:<10}{:>10}  {:<16}{:>10}\n",
                                 "workload", "mode", "live", "subject", "per live");
  for (const MetadataRow& row : rows) {
    text += fmt::format("  {:<20}{:<10}{:>10}  {:<16}{:>10.2f}", row.workload, row.mode, row.live,
                        row.subject, row.bytes_per_live);
    if (!row.per.empty()) text += fmt::format("   {:.2f} per {}", row.bytes_per, row.per);
    text += "\n";
  }
  return text + "\n";
}

}  // namespace vaspace::tools::bench
