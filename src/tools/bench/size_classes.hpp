// The size-class comparison: default against arena, on real pages.
#pragma once

#include <functional>
#include <vector>

#include "bench/options.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

// 4 KiB x 50,000; 64 KiB x 8,000; 1 MiB x 500; and mixed: log-uniform 256 B to 32 MiB, as many as fit four
// fifths of the device. Each allocated, then freed in each order, twice: cold by a new allocator, and warm,
// when all the device's pages have been committed and are still there (of mixed: those of the same sizes).
[[nodiscard]] std::vector<SizeClassRow> measure_size_classes(const Options& options, const Amount& amount,
                                                             const std::function<void()>& tick);

// What the prototype that this project grew from reported for allocating; nullptr where it reported nothing.
[[nodiscard]] const CallTimes* prototype_of(const SizeClassRow& row);
// P13: of the prototype's mean and median, as much as this.
inline constexpr double kPrototypeShare = .1;

// How often measure_size_classes calls `tick`.
inline constexpr unsigned kSizeClassTicks = 4 * 3;

}  // namespace vaspace::tools::bench
