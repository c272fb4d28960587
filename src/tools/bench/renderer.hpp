// W5: what a renderer asks for, frame by frame.
#pragma once

#include <cstdint>

#include "bench/random.hpp"
#include "bench/workload.hpp"

namespace vaspace::tools::bench {

// A size by the renderer's weights, none above `largest` (at least 256).
[[nodiscard]] std::uint32_t renderer_size(Random& random, std::uint32_t largest = 16U << 20U);
// 256 bytes; where `mixed`, 64 KiB for half of those of at least 64 KiB.
[[nodiscard]] std::uint32_t renderer_alignment_log2(Random& random, std::uint32_t size, bool mixed);

// `frames` are timed, after enough of them to reach a steady state; about 12,000 live.
[[nodiscard]] Workload renderer_workload(bool mixed, std::uint32_t frames, std::uint64_t seed);

}  // namespace vaspace::tools::bench
