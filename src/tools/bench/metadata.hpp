// P10: what the allocators' own books cost, by the host allocator's hook.
#pragma once

#include <functional>
#include <vector>

#include "bench/options.hpp"
#include "bench/results.hpp"

namespace vaspace::tools::bench {

// slab, object, arena and default after W8, and all but slab in the middle of W5. A backend's own books are
// not the allocator's, and not counted.
[[nodiscard]] std::vector<MetadataRow> measure_metadata(const Options& options, const Amount& amount,
                                                        const std::function<void()>& tick);

}  // namespace vaspace::tools::bench
