// A line on a terminal that says how far a long command is; nothing where standard error is no terminal.
//
// Always true: the line is gone when the Progress is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace vaspace::tools {

class Progress {
 public:
  Progress();
  explicit Progress(bool shown) : shown_(shown) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }

  // At most ten times a second.
  void show(const std::string& what, std::uint64_t done, std::uint64_t total);
  void clear();

 private:
  bool shown_;
  bool on_screen_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace vaspace::tools
