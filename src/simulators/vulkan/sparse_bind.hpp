// Sparse binds as ranges of bytes, whatever words they came in.
#pragma once

#include <memory>
#include <vector>

#include "image.hpp"
#include "memory.hpp"
#include "resource.hpp"

namespace vasim {

struct Device;
struct Batch;

struct SparseBind {
  std::shared_ptr<Resource> resource;
  Bytes bytes;
  std::shared_ptr<Memory> memory;  // null: an unbind
  VkDeviceSize offset = 0;         // in the memory
};

// A range of a buffer, or of an image where it is opaque (V19, V22). Adds what is to be bound to `out`; what
// is wrong is reported and left out.
void read_bind(Device& device, const std::shared_ptr<Resource>& resource, const VkSparseMemoryBind& bind,
               std::vector<SparseBind>& out);

// Tiles of an image (V21, V22).
void read_tiles(Device& device, const std::shared_ptr<Image>& image, const VkSparseImageMemoryBind& bind,
                std::vector<SparseBind>& out);

// Carries the binds of one batch out: V24, V25, V27, V29.
void carry_out(Device& device, Batch& batch, const std::vector<SparseBind>& binds);

}  // namespace vasim
