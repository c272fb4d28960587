#include "bench/chart.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "bench/axis.hpp"

namespace vaspace::tools::bench {

namespace {

constexpr double kHeight = 560, kTop = 64, kBottom = 64, kLeft = 84, kLegend = 200;
constexpr std::string_view kGrid = "#e2e2e2", kInk = "#333333";

// A subject's own colour; the limits are grey and dashed, since they are no allocators.
struct Look {
  std::string_view colour;
  bool dashed = false;
};
struct KnownLook {
  std::string_view name;
  Look look;
};
constexpr std::array<KnownLook, 13> kLooks{{{"limit_lifo", {"#7a7a7a", true}},
                                            {"limit_bitmap", {"#b0a16a", true}},
                                            {"arena", {"#0b62a4"}},
                                            {"arena_cpu", {"#57b1e8"}},
                                            {"arena_standard", {"#7b3fa0"}},
                                            {"default", {"#d1495b"}},
                                            {"object", {"#e58a1f"}},
                                            {"slab", {"#00876c"}},
                                            {"oracle", {"#5b3a1e"}},
                                            {"mimalloc", {"#3aa655"}},
                                            {"OffsetAllocator", {"#c23b9b"}},
                                            {"vma", {"#8a8f00"}},
                                            {"tlsf", {"#20b2aa"}}}};
constexpr std::array<std::string_view, 8> kOthers{"#0b62a4", "#d1495b", "#00876c", "#e58a1f",
                                                  "#7b3fa0", "#57b1e8", "#c23b9b", "#8a8f00"};

// `at`: how many came before it, for names that are no subjects.
Look look_of(std::string_view name, std::size_t at) {
  for (const KnownLook& known : kLooks) {
    if (known.name == name) return known.look;
  }
  return {kOthers[at % kOthers.size()], at >= kOthers.size()};
}

void draw_frame(Svg& svg, const std::string& title, const std::string& up, const LogAxis& y, double right) {
  svg.text({kLeft, 34}, title, {.size = 18, .bold = true});
  for (const double tick : y.ticks(false)) {
    svg.line({kLeft, y.at(tick)}, {right, y.at(tick)}, {.colour = kGrid});
    svg.text({kLeft - 8, y.at(tick) + 4}, tick_text(tick), {.anchor = Anchor::end});
  }
  svg.line({kLeft, kTop}, {kLeft, kHeight - kBottom}, {.colour = kInk});
  svg.text({22, (kTop + kHeight - kBottom) / 2}, up, {.size = 13, .anchor = Anchor::middle, .upwards = true});
}

void draw_legend_entry(Svg& svg, double left, std::size_t row, const std::string& name, const Look& look) {
  const double y = kTop + 10 + 22 * static_cast<double>(row);
  svg.line({left, y}, {left + 26, y}, {.colour = look.colour, .width = 3, .dashed = look.dashed});
  svg.text({left + 34, y + 4}, name, {.size = 13});
}

struct Range {
  double least = 0;
  double greatest = 0;

  void widen(double value) {
    least = least == 0 ? value : std::min(least, value);
    greatest = std::max(greatest, value);
  }
};

// ---- lines

// In order of x, without what a logarithm cannot show.
std::vector<LineSeries> drawable(const LineChart& chart) {
  std::vector<LineSeries> all;
  for (LineSeries series : chart.series) {
    std::erase_if(series.points, [](const Point& point) { return point.x <= 0 || point.y <= 0; });
    std::sort(series.points.begin(), series.points.end(),
              [](const Point& a, const Point& b) { return a.x < b.x; });
    if (!series.points.empty()) all.push_back(std::move(series));
  }
  return all;
}

void draw_series(Svg& svg, const LineSeries& series, const Look& look, const LogAxis& x, const LogAxis& y) {
  std::vector<Point> pixels;
  for (const Point& point : series.points)
    pixels.push_back({x.at(point.x), y.at(point.y)});
  svg.polyline(pixels, {.colour = look.colour, .width = 2.5, .dashed = look.dashed});
  for (const Point& pixel : pixels)
    svg.dot(pixel, 3.5, look.colour);
}

void draw_across(Svg& svg, const std::string& across, const LogAxis& x, double right) {
  const double bottom = kHeight - kBottom;
  for (const double tick : x.ticks(true)) {
    svg.line({x.at(tick), kTop}, {x.at(tick), bottom}, {.colour = kGrid});
    svg.text({x.at(tick), bottom + 20}, tick_text(tick), {.anchor = Anchor::middle});
  }
  svg.line({kLeft, bottom}, {right, bottom}, {.colour = kInk});
  svg.text({(kLeft + right) / 2, bottom + 46}, across, {.size = 13, .anchor = Anchor::middle});
}

// ---- bars

constexpr double kBar = 17, kGap = 26;

void draw_bar(Svg& svg, double left, double value, const Look& look, const LogAxis& y) {
  const double foot = y.at(1), head = y.at(value);
  svg.rectangle({left, std::min(foot, head)}, kBar - 2, std::max(std::abs(foot - head), 1.0), look.colour);
  svg.text({left + kBar / 2 + 3, std::min(foot, head) - 5},
           fmt::format("{:.{}f}", value, value < 9.95 ? 1 : 0), {.size = 10.5, .upwards = true});
}

}  // namespace

std::string draw(const LineChart& chart) {
  constexpr double kWidth = 960, kRight = kWidth - kLegend;
  const std::vector<LineSeries> all = drawable(chart);
  Range across, up;
  for (const LineSeries& series : all) {
    for (const Point& point : series.points) {
      across.widen(point.x);
      up.widen(point.y);
    }
  }
  Svg svg(kWidth, kHeight);
  if (all.empty()) return svg.file();
  const LogAxis x(across.least, across.greatest, kLeft, kRight - 12),
      y(up.least, up.greatest, kHeight - kBottom, kTop);
  draw_frame(svg, chart.title, chart.up, y, kRight);
  draw_across(svg, chart.across, x, kRight);
  std::vector<std::size_t> order(all.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
    draw_series(svg, all[i], look_of(all[i].name, i), x, y);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return all[a].points.back().y > all[b].points.back().y;
  });
  for (std::size_t row = 0; row < order.size(); ++row)
    draw_legend_entry(svg, kRight + 16, row, all[order[row]].name, look_of(all[order[row]].name, order[row]));
  return svg.file();
}

std::string draw(const BarChart& chart) {
  Range up;
  up.widen(1);
  for (const BarSeries& series : chart.series) {
    for (const std::optional<double>& bar : series.bars) {
      if (bar && *bar > 0) up.widen(*bar);
    }
  }
  const double group_width = kBar * static_cast<double>(chart.series.size()) + kGap;
  const double right = kLeft + kGap + group_width * static_cast<double>(chart.groups.size());
  Svg svg(right + kLegend, kHeight);
  // Room above the highest bar for its figure.
  const LogAxis y(up.least, up.greatest * 1.3, kHeight - kBottom, kTop);
  draw_frame(svg, chart.title, chart.up, y, right);
  for (std::size_t group = 0; group < chart.groups.size(); ++group) {
    const double left = kLeft + kGap + group_width * static_cast<double>(group);
    for (std::size_t i = 0; i < chart.series.size(); ++i) {
      const BarSeries& series = chart.series[i];
      if (group >= series.bars.size() || !series.bars[group] || *series.bars[group] <= 0) continue;
      draw_bar(svg, left + kBar * static_cast<double>(i), *series.bars[group], look_of(series.name, i), y);
    }
    svg.text({left + (group_width - kGap) / 2, kHeight - kBottom + 24}, chart.groups[group],
             {.size = 13, .anchor = Anchor::middle});
  }
  svg.line({kLeft, y.at(1)}, {right, y.at(1)}, {.colour = kInk, .width = 1.5});
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    draw_legend_entry(svg, right + 16, i, chart.series[i].name, look_of(chart.series[i].name, i));
  return svg.file();
}

}  // namespace vaspace::tools::bench
