// Live and committed bytes over a run as ASCII art.
#pragma once

#include <string>

#include "replay_result.hpp"

namespace vaspace::tools {

// '#' is live, '+' is committed above it; one column is a part of the run, the height of the chart is `top`,
// so that two charts with the same top compare. Beneath, '^' marks the parts where committed peaked, and a
// strip says how far committed lay above live. Ends with a newline.
[[nodiscard]] std::string chart(const Curve& curve, Bytes top);

// What the characters of the strip mean; one line.
[[nodiscard]] std::string chart_legend();

}  // namespace vaspace::tools
