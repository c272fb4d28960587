#include "progress.hpp"

#include <cstdio>
#include <unistd.h>

namespace vaspace::tools {

Progress::Progress() : shown_(::isatty(STDERR_FILENO) == 1) {}

void Progress::show(const std::string& what, std::uint64_t done, std::uint64_t total) {
  if (!shown_) return;
  const auto now = std::chrono::steady_clock::now();
  if (on_screen_ && now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  on_screen_ = true;
  const double percent = total == 0 ? 100.0 : 100.0 * static_cast<double>(done) / static_cast<double>(total);
  std::fprintf(stderr, "\r\033[K%s %.0f %%", what.c_str(), percent);
  std::fflush(stderr);
}

void Progress::clear() {
  if (!on_screen_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  on_screen_ = false;
}

}  // namespace vaspace::tools
