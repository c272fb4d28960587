// How a command ends badly: one line on standard error, and an exit code.
#pragma once

#include <stdexcept>
#include <string>

namespace vaspace::tools {

inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

class Failed : public std::runtime_error {
 public:
  explicit Failed(const std::string& what, int exit_code = kExitFailure)
      : std::runtime_error(what), exit_code_(exit_code) {}
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

 private:
  int exit_code_;
};

// The command line itself is wrong.
class WrongUsage : public Failed {
 public:
  explicit WrongUsage(const std::string& what) : Failed(what, kExitUsage) {}
};

}  // namespace vaspace::tools
