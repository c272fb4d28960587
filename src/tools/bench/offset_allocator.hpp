// OffsetAllocator, where its header and library are installed.
#pragma once

#include <memory>

#include "bench/session.hpp"

namespace vaspace::tools::bench {

[[nodiscard]] bool have_offset_allocator();
// Throws Failed where it was not built in.
[[nodiscard]] std::unique_ptr<Session> make_offset_allocator(const Setup& setup);

}  // namespace vaspace::tools::bench
