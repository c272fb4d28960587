// A whole trace in memory, ready to be replayed.
//
// Always true: every row is one that a Reader accepted; allocation numbers are 0 ... allocation_count - 1, so
// that what a replay keeps per allocation is an array.
#pragma once

#include <cstdint>

#include "vaspace/base/host_array.hpp"
#include "vaspace/base/units.hpp"
#include "vaspace/trace/failure.hpp"
#include "vaspace/trace/reader.hpp"
#include "vaspace/trace/row.hpp"

namespace vaspace::trace {

struct Trace {
  HostArray<Row> rows;
  std::uint32_t allocation_count = 0;
  std::uint64_t operation_count = 0;  // alloc and free rows
  std::uint64_t frame_count = 0;
  Bytes peak_live{};  // the largest sum of sizes that lived at once
};

// Reads all of it. Errors as Reader's; malformed also where the live sizes pass 2^64 - 1.
[[nodiscard]] Expected<Trace> load(const char* path,
                                   const HostAllocator& host = default_host_allocator()) noexcept;
// From a reader that has given no row yet; invalid_argument otherwise.
[[nodiscard]] Expected<Trace> load(Reader& reader,
                                   const HostAllocator& host = default_host_allocator()) noexcept;

}  // namespace vaspace::trace
