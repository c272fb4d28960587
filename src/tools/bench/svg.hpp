// A drawing as the text of a self-contained SVG file: no scripts, no fonts, nothing to fetch.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace vaspace::tools::bench {

struct Point {
  double x = 0;
  double y = 0;
};

enum class Anchor : std::uint8_t { start, middle, end };

struct Stroke {
  std::string_view colour = "#333333";
  double width = 1;
  bool dashed = false;
};

struct Label {
  double size = 12;
  Anchor anchor = Anchor::start;
  bool upwards = false;  // turned by 90 degrees
  std::string_view colour = "#222222";
  bool bold = false;
};

// x to the right, y downwards, in pixels; what is drawn later lies above.
class Svg {
 public:
  Svg(double width, double height);

  void line(Point from, Point to, const Stroke& stroke);
  void polyline(std::span<const Point> points, const Stroke& stroke);
  void rectangle(Point corner, double width, double height, std::string_view colour);
  void dot(Point centre, double radius, std::string_view colour);
  // `text` is any UTF-8: what XML reserves is escaped.
  void text(Point at, std::string_view text, const Label& label = {});

  // The whole file.
  [[nodiscard]] std::string file() const;

 private:
  double width_;
  double height_;
  std::string body_;
};

}  // namespace vaspace::tools::bench
