#include "replay_text.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "bytes_text.hpp"
#include "chart.hpp"

namespace vaspace::tools {

namespace {

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

// A figure of the table: how to take it from a result, and how to write it.
struct Figure {
  const char* label;
  double (*of)(const ReplayResult&);
  std::string (*text)(double);
};

std::string as_ns(double ns) {
  return fmt::format("{:.0f} ns", ns);
}
std::string as_bytes(double bytes) {
  return bytes_text(Bytes{static_cast<std::uint64_t>(std::llround(bytes))});
}
std::string as_ratio(double number) {
  return number > 0 ? fmt::format("{:.3f}", number) : "-";
}
std::string as_count(double number) {
  return fmt::format("{:.0f}", number);
}
double of_bytes(Bytes bytes) {
  return static_cast<double>(bytes.value);
}

using R = ReplayResult;

constexpr Figure kFigures[] = {
    {"allocate  mean", [](const R& r) { return r.allocate_ns.mean; }, as_ns},
    {"          median", [](const R& r) { return r.allocate_ns.median; }, as_ns},
    {"          p99", [](const R& r) { return static_cast<double>(r.allocate_ns.p99); }, as_ns},
    {"free      mean", [](const R& r) { return r.free_ns.mean; }, as_ns},
    {"          median", [](const R& r) { return r.free_ns.median; }, as_ns},
    {"          p99", [](const R& r) { return static_cast<double>(r.free_ns.p99); }, as_ns},
    {"collect   mean", [](const R& r) { return r.collect_ns.mean; }, as_ns},
    {"peak      live", [](const R& r) { return of_bytes(r.peak_live); }, as_bytes},
    {"          committed", [](const R& r) { return of_bytes(r.peak_committed); }, as_bytes},
    {"          reserved", [](const R& r) { return of_bytes(r.peak_reserved); }, as_bytes},
    {"          waste", [](const R& r) { return of_bytes(r.internal_waste); }, as_bytes},
    {"committed / live, peaks",
     [](const R& r) { return ratio(of_bytes(r.peak_committed), of_bytes(r.peak_live)); }, as_ratio},
    {"committed / live, means", [](const R& r) { return ratio(r.mean_committed, r.mean_live); }, as_ratio},
    {"end       live", [](const R& r) { return of_bytes(r.end_live); }, as_bytes},
    {"          committed", [](const R& r) { return of_bytes(r.end_committed); }, as_bytes},
    {"failed", [](const R& r) { return static_cast<double>(r.failed); }, as_count},
    {"verify errors", [](const R& r) { return static_cast<double>(r.verify_errors); }, as_count},
};

std::string difference(double from, double to) {
  if (from == to) return "=";
  if (from == 0) return "-";
  return fmt::format("{:+.1f} %", 100 * (to - from) / from);
}

std::string table_row(const Figure& figure, std::span<const ReplayRun> runs) {
  std::string text = fmt::format("  {:<24}", figure.label);
  for (const ReplayRun& run : runs)
    text += fmt::format("{:>14}", figure.text(figure.of(run.result)));
  if (runs.size() == 2)
    text += fmt::format("{:>12}", difference(figure.of(runs[0].result), figure.of(runs[1].result)));
  return text + "\n";
}

std::string heading(std::span<const ReplayRun> runs) {
  const ReplayRun& run = runs.front();
  std::string text = fmt::format("{}\n  {} operations, {} backend, {} pages, {} device, {} thread{}\n\n",
                                 run.trace, run.result.operations, run.backend, bytes_text(run.page_size),
                                 bytes_text(run.device_size), run.threads, run.threads == 1 ? "" : "s");
  text += fmt::format("  {:<24}", "");
  for (const ReplayRun& each : runs)
    text += fmt::format("{:>14}", name_of(each.allocator));
  if (runs.size() == 2) text += fmt::format("{:>12}", "diff");
  return text + "\n";
}

std::string charts(std::span<const ReplayRun> runs) {
  Bytes top{};
  for (const ReplayRun& run : runs)
    top = std::max({top, run.result.peak_committed, run.result.peak_live});
  if (top == Bytes{}) return {};
  std::string text;
  for (const ReplayRun& run : runs)
    text +=
        fmt::format("\n  {}: bytes over the run\n{}", name_of(run.allocator), chart(run.result.curve, top));
  return text + "\n  " + chart_legend() + "\n";
}

}  // namespace

std::string replay_text(std::span<const ReplayRun> runs) {
  std::string text = heading(runs);
  for (const Figure& figure : kFigures)
    text += table_row(figure, runs);
  return text + charts(runs);
}

}  // namespace vaspace::tools
