// Everything that is measured, in order.
#pragma once

#include <functional>

#include "bench/options.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

// What happens while it runs.
struct Watcher {
  // One of `total` steps of a part is done.
  std::function<void(const std::string& part, unsigned done, unsigned total)> step;
  // A table is complete.
  std::function<void(const std::string& text)> table;
};

[[nodiscard]] BenchResults run_suite(const Options& options, const Watcher& watcher);

}  // namespace vaspace::tools::bench
