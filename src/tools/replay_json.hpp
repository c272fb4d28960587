// The results of `vaspace replay` as JSON, schema "vaspace.replay/1" (docs/cli.md).
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "replay_run.hpp"

namespace vaspace::tools {

[[nodiscard]] nlohmann::ordered_json replay_json(const std::vector<ReplayRun>& runs);

}  // namespace vaspace::tools
