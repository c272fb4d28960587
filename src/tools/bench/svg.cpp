#include "bench/svg.hpp"

#include <fmt/format.h>

namespace vaspace::tools::bench {

namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        // Control characters have no place in XML, not even escaped.
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

std::string attributes(const Stroke& stroke) {
  return fmt::format("stroke=\"{}\" stroke-width=\"{:g}\"{}", stroke.colour, stroke.width,
                     stroke.dashed ? " stroke-dasharray=\"6 4\"" : "");
}

const char* name_of(Anchor anchor) {
  constexpr const char* kNames[] = {"start", "middle", "end"};
  return kNames[static_cast<unsigned>(anchor)];
}

}  // namespace

Svg::Svg(double width, double height) : width_(width), height_(height) {
  rectangle({0, 0}, width, height, "#ffffff");
}

void Svg::line(Point from, Point to, const Stroke& stroke) {
  body_ += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", from.x, from.y,
                       to.x, to.y, attributes(stroke));
}

void Svg::polyline(std::span<const Point> points, const Stroke& stroke) {
  body_ += "<polyline points=\"";
  for (const Point& point : points)
    body_ += fmt::format("{:.1f},{:.1f} ", point.x, point.y);
  body_ += fmt::format("\" fill=\"none\" stroke-linejoin=\"round\" {}/>\n", attributes(stroke));
}

void Svg::rectangle(Point corner, double width, double height, std::string_view colour) {
  body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n",
                       corner.x, corner.y, width, height, colour);
}

void Svg::dot(Point centre, double radius, std::string_view colour) {
  body_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:g}\" fill=\"{}\"/>\n", centre.x, centre.y,
                       radius, colour);
}

void Svg::text(Point at, std::string_view text, const Label& label) {
  const std::string turned =
      label.upwards ? fmt::format(" transform=\"rotate(-90 {:.1f} {:.1f})\"", at.x, at.y) : std::string();
  body_ += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:g}\" text-anchor=\"{}\" fill=\"{}\"{}{}>{}</text>\n",
      at.x, at.y, label.size, name_of(label.anchor), label.colour, label.bold ? " font-weight=\"bold\"" : "",
      turned, escaped(text));
}

std::string Svg::file() const {
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:g}\" "
      "height=\"{:g}\" viewBox=\"0 0 {:g} {:g}\" font-family=\"DejaVu Sans, Verdana, "
      "sans-serif\">\n{}</svg>\n",
      width_, height_, width_, height_, body_);
}

}  // namespace vaspace::tools::bench
