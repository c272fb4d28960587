// The results of `vaspace replay` for a person: tables and charts in ASCII.
#pragma once

#include <span>
#include <string>

#include "replay_run.hpp"

namespace vaspace::tools {

// One trace: a table with a column per run and, where there are two, their difference; then a chart per run.
[[nodiscard]] std::string replay_text(std::span<const ReplayRun> runs);

}  // namespace vaspace::tools
