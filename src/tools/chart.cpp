#include "chart.hpp"

#include <fmt/format.h>

#include "bytes_text.hpp"

namespace vaspace::tools {

namespace {

constexpr int kHeight = 8;
constexpr int kMargin = 11;

// From `above` on, committed / live - 1.
struct Level {
  double above;
  char drawn;
};
constexpr std::array<Level, 7> kLevels{
    {{1.0, '@'}, {0.5, '#'}, {0.25, '*'}, {0.1, '+'}, {0.05, '-'}, {0.02, ':'}, {0.01, '.'}}};

char cell(Bytes live, Bytes committed, double threshold) {
  if (static_cast<double>(live.value) >= threshold) return '#';
  return static_cast<double>(committed.value) >= threshold ? '+' : ' ';
}

std::string row_of(const Curve& curve, Bytes top, int row) {
  const double threshold = static_cast<double>(top.value) * (kHeight - row - 0.5) / kHeight;
  std::string text;
  for (std::size_t i = 0; i < Curve::kColumns; ++i)
    text += cell(curve.live[i], curve.committed[i], threshold);
  return text;
}

char level_of(Bytes live, Bytes committed) {
  if (committed <= live) return ' ';
  const double above = static_cast<double>((committed - live).value);
  for (const Level& level : kLevels) {
    if (above >= level.above * static_cast<double>(live.value)) return level.drawn;
  }
  return ' ';
}

std::string peaks_of(const Curve& curve) {
  const Bytes peak = *std::max_element(curve.committed.begin(), curve.committed.end());
  std::string text;
  for (const Bytes committed : curve.committed)
    text += committed == peak && peak != Bytes{} ? '^' : ' ';
  return text;
}

std::string strip_of(const Curve& curve) {
  std::string text;
  for (std::size_t i = 0; i < Curve::kColumns; ++i)
    text += level_of(curve.live[i], curve.committed[i]);
  return text;
}

}  // namespace

std::string chart(const Curve& curve, Bytes top) {
  std::string text;
  for (int row = 0; row < kHeight; ++row)
    text += fmt::format("{:>{}} |{}|\n", row == 0 ? bytes_text(top) : "", kMargin, row_of(curve, top, row));
  text += fmt::format("{:>{}} +{:-<{}}+\n", "0", kMargin, "", Curve::kColumns);
  text += fmt::format("{:>{}}  {}\n", "peak", kMargin, peaks_of(curve));
  text += fmt::format("{:>{}}  {}\n", "excess", kMargin, strip_of(curve));
  return text;
}

std::string chart_legend() {
  std::string text = "'#' live, '+' committed above it; excess of committed over live:";
  for (auto level = kLevels.rbegin(); level != kLevels.rend(); ++level)
    text += fmt::format(" '{}' {:.0f} %", level->drawn, 100 * level->above);
  return text + " and more";
}

}  // namespace vaspace::tools
