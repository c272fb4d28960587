// The pieces of a heap's report in JSON.
#pragma once

#include "vaspace/heap/pool.hpp"

#include "heap/block.hpp"
#include "heap/json_writer.hpp"

namespace vaspace {

// Members of an open object.
void write_report(JsonWriter& json, const DeviceProfile& profile, const HeapReport& report) noexcept;
// Elements of an open array.
void write_pool(JsonWriter& json, const PoolReport& pool) noexcept;
void write_block(JsonWriter& json, const Block& block) noexcept;
void write_allocation(JsonWriter& json, const HeapAllocationInfo& info) noexcept;

}  // namespace vaspace
