// What a pair of device memory by streams costs beside the same pair of the CPU backend's threaded arena.
#pragma once

#include <functional>
#include <vector>

#include "bench/options.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

// Workload "cuda", a mode per size: one allocation and its free in the steady state, 100 live, of
// stream_allocator and, as its limit, of arena. Of mixed sizes, log-uniform in the range that the mode names:
// one of the 100 is freed, one of another size allocated. On the driver that VASPACE_CUDA_DRIVER names, which
// may be the simulated one: no call of a pair of sizes that come again reaches it. None where there is no
// driver, or the backend was not built.
[[nodiscard]] std::vector<TimingRow> measure_cuda_pairs(const Amount& amount,
                                                        const std::function<void()>& tick);

[[nodiscard]] unsigned cuda_pair_ticks(const Amount& amount);

}  // namespace vaspace::tools::bench
