// `vaspace replay --backend vulkan`: every row is a real buffer or image with memory from a vulkan::Heap.
//
// Always true: a buffer row is a VkBuffer of its size (with --sub-buffers a range of a shared one); an image
// row is a VkImage that fits into memory of the row's size, or that memory alone where none does; a memory
// row is memory alone. `default` places everything by best fit in blocks, `arena` puts what is small into the
// arenas.
#pragma once

#include "vaspace/trace/trace.hpp"

#include "replay_run.hpp"

namespace vaspace::tools {

// One thread. Throws WrongUsage (more threads), Failed (no such device).
[[nodiscard]] ReplayRun replay_on_vulkan(const std::string& name, const trace::Trace& trace,
                                         AllocatorKind allocator, const ReplayOptions& options,
                                         const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace vaspace::tools
