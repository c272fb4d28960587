// Vulkan Memory Allocator's virtual block, where its header (and Vulkan's, which it includes) is installed.
// No device, no driver: addresses and sizes, as the library's range layer has them.
#pragma once

#include <memory>

#include "bench/session.hpp"

namespace vaspace::tools::bench {

[[nodiscard]] bool have_vma();
// Throws Failed where it was not built in.
[[nodiscard]] std::unique_ptr<Session> make_vma(const Setup& setup);

}  // namespace vaspace::tools::bench
