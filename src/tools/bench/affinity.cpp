#include "bench/affinity.hpp"

#include <sched.h>

namespace vaspace::tools::bench {

std::vector<int> allowed_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> processors;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return processors;
  for (int i = CPU_SETSIZE - 1; i >= 0; --i) {
    if (CPU_ISSET(static_cast<std::size_t>(i), &set)) processors.push_back(i);
  }
  return processors;
}

namespace {

bool run_on(const std::vector<int>& processors) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int processor : processors)
    CPU_SET(static_cast<std::size_t>(processor), &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

}  // namespace

bool pin_to(int processor) {
  return run_on({processor});
}

Pinned::Pinned() : allowed_(allowed_processors()) {
  if (!allowed_.empty() && pin_to(allowed_.front())) processor_ = allowed_.front();
}

Pinned::~Pinned() {
  if (processor_ >= 0) run_on(allowed_);
}

}  // namespace vaspace::tools::bench
