// Shared by the files of the virtual memory management family.
#pragma once

#include "call.hpp"

namespace vasim::cuda {

// CUDA_SUCCESS, or why memory of these properties cannot be had here.
[[nodiscard]] CUresult check_properties(const Call& call, const CUmemAllocationProp& properties);

// Of sound properties (C3: it depends on them).
[[nodiscard]] Granularity granularity_of(const Driver& driver, const CUmemAllocationProp& properties);

// Null, and C12 is reported, where the handle was released.
[[nodiscard]] MemoryHandle* usable_handle(Call& call, CUmemGenericAllocationHandle id);

// The memory is freed when mappings and references are both gone (C10).
void drop_if_unused(Driver& driver, std::uint64_t id);

// The mappings of which the range consists, and of nothing else; otherwise false, and why (C6, C8).
[[nodiscard]] bool whole_mappings(Driver& driver, std::uint64_t begin, std::uint64_t size,
                                  std::vector<Region*>& regions, std::string& why);

// Where the profile is unified the host sees device memory at device addresses. Elsewhere these do nothing.
[[nodiscard]] bool show_on_host(Driver& driver, const Region& region);
[[nodiscard]] bool allow_on_host(Driver& driver, const Region& region);
void hide_from_host(Driver& driver, const Region& region);

}  // namespace vasim::cuda
