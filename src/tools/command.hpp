// A subcommand: it declares its options, and leaves what it does to whoever parsed the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace vaspace::tools {

// Answers the exit code; throws Failed.
using Command = std::function<int()>;

}  // namespace vaspace::tools
