// What buffers and images have in common: a range of bytes with memory behind it, as a whole or in pieces.
#pragma once

#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "memory.hpp"
#include "order.hpp"
#include "sparse_map.hpp"

namespace vasim {

enum class Use : std::uint8_t { Read, Write, Bind };

// A range of bytes of a resource.
struct Bytes {
  VkDeviceSize begin = 0, end = 0;

  [[nodiscard]] bool meets(const Bytes& other) const { return begin < other.end && other.begin < end; }
};

// An operation that touched a range of a sparse resource.
struct Touch {
  OperationId operation = 0;
  Bytes bytes;
  Use use = Use::Read;
  bool unbound = false;  // a use that found no memory while a bind of the range was still under way
};

struct Resource : Object {
  Resource(VkObjectType its_type, bool is_linear) : Object(its_type), linear(is_linear) {}

  // Bytes of the resource that lie side by side in one memory object; null where none is bound.
  struct Span {
    Memory* memory = nullptr;
    VkDeviceSize offset = 0;  // in the memory
    VkDeviceSize size = 0;
  };
  [[nodiscard]] Span span_at(VkDeviceSize offset, VkDeviceSize end) const;

  void read(VkDeviceSize offset, void* to, VkDeviceSize size) const;
  void write(VkDeviceSize offset, const void* bytes, VkDeviceSize size) const;
  void fill(VkDeviceSize offset, const void* pattern, std::size_t pattern_size, VkDeviceSize size) const;

  VkMemoryRequirements requirements{};
  bool linear;                // V2: what counts for the granularity
  bool sparse = false;        // has SPARSE_BINDING
  bool residency = false;     // may be used where it is only partly bound
  bool strict_holes = false;  // unbound ranges read as zero (residencyNonResidentStrict)
  bool aliased = false;       // V29
  bool may_overlap = false;   // created with an ALIAS flag
  bool protected_memory = false;
  bool transient = false;  // may live in lazily allocated memory
  bool needs_dedicated = false, prefers_dedicated = false;
  bool device_address = false;
  VkExternalMemoryHandleTypeFlags external = 0;

  std::shared_ptr<Memory> memory;
  VkDeviceSize memory_offset = 0;

  SparseMap map;
  std::set<std::shared_ptr<Memory>> sparse_memories;   // whose sparse_residents it is among
  std::vector<Touch> touches;                          // of operations that were carried out
  std::vector<Touch> pending_binds;                    // submitted, not carried out
  std::set<std::pair<OperationId, OperationId>> told;  // pairs that were reported as not ordered
};

}  // namespace vasim
