// What several files of entry points share.
#pragma once

#include "call.hpp"
#include "pool.hpp"
#include "queueing.hpp"

namespace vasim::cuda {

// Plain, pooled and host memory: whose work is over. The region is gone afterwards.
void remove_memory(Driver& driver, Region& region);

}  // namespace vasim::cuda
