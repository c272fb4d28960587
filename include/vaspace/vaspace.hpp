// Everything of the core: ranges, arenas, and the two backends that need no GPU. The Vulkan backend has a
// header of its own, vaspace/backends/vulkan.hpp; traces are vaspace/trace/*.hpp, with zlib behind them.
#pragma once

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/arena/default_allocator.hpp"
#include "vaspace/backends/cpu.hpp"
#include "vaspace/device/address_backend.hpp"
#include "vaspace/device/counting_backend.hpp"
#include "vaspace/range/interval_map.hpp"
#include "vaspace/range/linear_allocator.hpp"
#include "vaspace/range/object_allocator.hpp"
#include "vaspace/range/ring_allocator.hpp"
#include "vaspace/range/slab_allocator.hpp"
