// The built command, run as a script runs it.
#pragma once

#include <cstdlib>
#include <string>
#include <sys/wait.h>

#include "trace/files.hpp"

namespace vaspace::test {

struct Ended {
  int exit_code = -1;  // -1: it ended by a signal, or was not begun
  std::string out;
  std::string err;
};

// `arguments` and `environment` ("NAME='value' NAME=value") go through the shell; a redirection among the
// arguments wins. Leaks are not looked for: what Mesa's driver leaks, which the loader has unloaded by then,
// is not the command's.
inline Ended run_vaspace(const std::string& arguments, const std::string& environment = "") {
  const Folder folder;
  const std::string out = folder.path("stdout"), err = folder.path("stderr");
  const std::string line = "ASAN_OPTIONS=detect_leaks=0 " + environment + " '" VASPACE_COMMAND "' >" + out +
                           " 2>" + err + " " + arguments;
  const int status = std::system(line.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents_of(out), contents_of(err)};
}

}  // namespace vaspace::test
