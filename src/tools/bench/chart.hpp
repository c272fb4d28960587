// Lines over decades, and bars beside the limit: drawn with axes, labels and a legend.
//
// Always true: axes are logarithmic, so what is not above 0 is left out; a series keeps its colour from chart
// to chart.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/svg.hpp"

namespace vaspace::tools::bench {

struct LineSeries {
  std::string name;
  std::vector<Point> points;  // any order
};

struct LineChart {
  std::string title;
  std::string across;  // what x is
  std::string up;      // what y is
  std::vector<LineSeries> series;
};

struct BarSeries {
  std::string name;
  std::vector<std::optional<double>> bars;  // one per group
};

struct BarChart {
  std::string title;
  std::string up;
  std::vector<std::string> groups;
  std::vector<BarSeries> series;
};

// The whole of an SVG file. The lines' legend has them as they end: the highest first.
[[nodiscard]] std::string draw(const LineChart& chart);
// Bars stand on 1: those below hang.
[[nodiscard]] std::string draw(const BarChart& chart);

}  // namespace vaspace::tools::bench
