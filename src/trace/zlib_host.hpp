// zlib's memory out of a HostAllocator.
#pragma once

#include <zlib.h>

#include "vaspace/base/host_allocator.hpp"

namespace vaspace::trace {

// Sets zalloc, zfree and opaque. `host` must stay where it is as long as the stream lives.
void use_host_memory(z_stream& stream, HostAllocator& host) noexcept;

}  // namespace vaspace::trace
