// Which worker replays which rows.
//
// Always true: every alloc and free row is dealt to exactly one worker; a worker's rows are in the order of
// the trace; frames are dealt to nobody.
#pragma once

#include <cstdint>
#include <vector>

#include "vaspace/trace/trace.hpp"

namespace vaspace::tools {

struct DealtRow {
  std::uint32_t row = 0;        // in trace.rows
  std::uint32_t operation = 0;  // the alloc and free rows counted from 0
};

// By the trace's threads, numbered as they first appear, modulo `workers`; where the trace has fewer threads
// than there are workers, by allocation. workers > 0.
[[nodiscard]] std::vector<std::vector<DealtRow>> deal(const trace::Trace& trace, unsigned workers);

// Threads that the alloc and free rows name.
[[nodiscard]] std::size_t thread_count(const trace::Trace& trace);

}  // namespace vaspace::tools
