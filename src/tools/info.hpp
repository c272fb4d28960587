// `vaspace info`.
#pragma once

#include <nlohmann/json.hpp>

#include "command.hpp"

namespace vaspace::tools {

// Adds the subcommand; `chosen` becomes what it does once the command line names it.
void add_info(CLI::App& app, Command& chosen);

}  // namespace vaspace::tools
