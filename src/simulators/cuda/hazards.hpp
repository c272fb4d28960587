// Memory that is taken away while a stream may still work on it (C13).
//
// Judged by what the program has waited for, not by what happens to be over: a missing wait is reported in
// every run.
#pragma once

#include "call.hpp"

namespace vasim::cuda {

// Host calls that take memory away at once: every use must be known to be over.
void check_no_work(Call& call, const Region& region);

// A free in stream order: every use must be ordered before `order`, the clock of that stream, or known to be
// over.
void check_ordered(Call& call, const Region& region, const Clock& order);

// Waits until all work on the region is over, as cuMemFree does.
void await_work(Call& call, const Region& region);

}  // namespace vasim::cuda
