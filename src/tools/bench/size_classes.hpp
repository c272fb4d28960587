// The size-class comparison: default against arena, on real pages.
#pragma once

#include <functional>
#include <vector>

#include "bench/options.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

// 4 KiB x 50,000; 64 KiB x 8,000; 1 MiB x 500; and mixed: log-uniform 256 B to 32 MiB, as many as fit four
// fifths of the device. Each allocated, then freed in each order, twice: cold by a new allocator, and warm,
// when the pages that it committed are still there.
[[nodiscard]] std::vector<SizeClassRow> measure_size_classes(const Options& options, const Amount& amount,
                                                             const std::function<void()>& tick);

// How often measure_size_classes calls `tick`.
inline constexpr unsigned kSizeClassTicks = 4 * 3;

}  // namespace vaspace::tools::bench
