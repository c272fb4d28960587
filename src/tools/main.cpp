// The vaspace command line. A subcommand is a file of its own that adds itself here.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <fmt/format.h>
#include <new>

#include "bench/bench.hpp"
#include "command.hpp"
#include "failed.hpp"
#include "info.hpp"
#include "replay.hpp"

namespace vaspace::tools {

namespace {

int complain(std::string what, int exit_code) {
  std::replace(what.begin(), what.end(), '\n', ' ');
  fmt::print(stderr, "vaspace: {}\n", what);
  return exit_code;
}

// What was printed must have arrived: a full disk is a failure too.
int flushed(int exit_code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  return complain("cannot write the output", kExitFailure);
}

int run(int argument_count, char** arguments) {
  CLI::App app("VA Space Allocator: replays, measures, and says what it found here", "vaspace");
  app.set_version_flag("--version", std::string("vaspace ") + VASPACE_VERSION);
  app.require_subcommand(1);
  Command chosen;
  add_replay(app, chosen);
  add_info(app, chosen);
  add_bench(app, chosen);
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return flushed(app.exit(error));  // --help, --version
    return complain(error.what(), kExitUsage);
  }
  return flushed(chosen());
}

int guarded(int argument_count, char** arguments) {
  try {
    return run(argument_count, arguments);
  } catch (const Failed& failed) {
    std::fflush(stdout);
    return complain(failed.what(), failed.exit_code());
  } catch (const std::bad_alloc&) {
    return complain("no host memory", kExitFailure);
  } catch (const std::exception& exception) {
    return complain(exception.what(), kExitFailure);
  }
}

}  // namespace

}  // namespace vaspace::tools

int main(int argument_count, char** arguments) {
  return vaspace::tools::guarded(argument_count, arguments);
}
