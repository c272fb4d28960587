#include "bench/axis.hpp"

#include <fmt/format.h>

namespace vaspace::tools::bench {

namespace {

constexpr double kSteps[] = {1, 2, 5};
// Powers are not exact: what is this close is the same.
constexpr double kNearly = 1 + 1e-9;

double round_down(double value) {
  const double decade = std::pow(10, std::floor(std::log10(value * kNearly)));
  double best = decade;
  for (const double step : kSteps) {
    if (step * decade <= value * kNearly) best = step * decade;
  }
  return best;
}

double round_up(double value) {
  const double below = round_down(value);
  if (below * kNearly >= value) return below;
  const double decade = std::pow(10, std::floor(std::log10(below * kNearly)));
  for (const double step : kSteps) {
    if (step * decade > below * kNearly) return step * decade;
  }
  return 10 * decade;
}

}  // namespace

LogAxis::LogAxis(double least, double greatest, double from_pixel, double to_pixel)
    : least_(round_down(least)), greatest_(round_up(greatest)), from_pixel_(from_pixel), to_pixel_(to_pixel) {
  if (greatest_ < least_ * 2) greatest_ = least_ * 10;
}

std::vector<double> LogAxis::ticks(bool decades_only) const {
  std::vector<double> values;
  for (double decade = std::pow(10, std::floor(std::log10(least_ * kNearly))); decade <= greatest_ * kNearly;
       decade *= 10) {
    for (const double step : kSteps) {
      const double value = step * decade;
      if (step > 1 && decades_only) continue;
      if (value * kNearly >= least_ && value <= greatest_ * kNearly) values.push_back(value);
    }
  }
  return values;
}

std::string tick_text(double value) {
  if (value < 1) return fmt::format("{:.4g}", value);
  const std::string digits = fmt::format("{:.0f}", value);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += "\u00A0";  // a space that does not break
    text += digits[i];
  }
  return text;
}

}  // namespace vaspace::tools::bench
