// All of the Vulkan frontend.
#pragma once

#include "vaspace/frontends/vulkan/heap.hpp"
#include "vaspace/frontends/vulkan/upload.hpp"
