// A logarithmic axis: where a value lies, and which values deserve a line.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace vaspace::tools::bench {

class LogAxis {
 public:
  // Holds from `least` to `greatest` (both above 0), rounded outwards to 1, 2 or 5 times a power of ten, and
  // lies between two pixels.
  LogAxis(double least, double greatest, double from_pixel, double to_pixel);

  [[nodiscard]] double at(double value) const {
    const double share =
        std::log10(std::clamp(value, least_, greatest_) / least_) / std::log10(greatest_ / least_);
    return from_pixel_ + share * (to_pixel_ - from_pixel_);
  }
  // 1, 2 and 5 times each power of ten, or the powers alone.
  [[nodiscard]] std::vector<double> ticks(bool decades_only) const;

 private:
  double least_;
  double greatest_;
  double from_pixel_;
  double to_pixel_;
};

// "0.5", "20", "1 000": thousands set apart.
[[nodiscard]] std::string tick_text(double value);

}  // namespace vaspace::tools::bench
