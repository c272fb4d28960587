// The subjects by name.
#pragma once

#include <memory>
#include <span>

#include "bench/options.hpp"
#include "bench/session.hpp"

namespace vaspace::tools::bench {

struct Subject {
  const char* name;
  const char* what;    // in a few words
  const char* policy;  // "single" or "threaded"
  // Whether it can do the workload, here and now.
  bool (*takes)(const Workload& workload, const Amount& amount);
  std::unique_ptr<Session> (*make)(const Setup& setup);
};

// limit_lifo is the first.
[[nodiscard]] std::span<const Subject> single_subjects();

// Bytes that this machine could give to processes now; 0 where it does not say.
[[nodiscard]] Bytes available_memory();

}  // namespace vaspace::tools::bench
