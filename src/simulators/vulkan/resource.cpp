#include "resource.hpp"

#include <algorithm>
#include <cstring>

namespace vasim {
namespace {

// What the device reads where nothing is bound: anything, so not the zeros that one hopes for (V28).
constexpr int kGarbage = 0xA5;

}  // namespace

Resource::Span Resource::span_at(VkDeviceSize offset, VkDeviceSize end) const {
  if (!sparse) {
    const bool there = memory != nullptr && memory->device_bytes() != nullptr;
    return {there ? memory.get() : nullptr, memory_offset + offset, end - offset};
  }
  VkDeviceSize begin = 0, run = 0;
  const SparseMap::Piece* const piece = map.find(offset, end, begin, run);
  if (piece == nullptr || piece->memory->device_bytes() == nullptr) return {nullptr, 0, run};
  return {piece->memory.get(), piece->offset + (offset - begin), run};
}

void Resource::read(VkDeviceSize offset, void* to, VkDeviceSize size) const {
  auto* out = static_cast<std::byte*>(to);
  const VkDeviceSize end = offset + size;
  while (offset < end) {
    const Span span = span_at(offset, end);
    if (span.memory != nullptr) {
      std::memcpy(out, span.memory->device_bytes() + span.offset, span.size);
    } else {
      std::memset(out, strict_holes ? 0 : kGarbage, span.size);
    }
    out += span.size;
    offset += span.size;
  }
}

void Resource::write(VkDeviceSize offset, const void* bytes, VkDeviceSize size) const {
  const auto* from = static_cast<const std::byte*>(bytes);
  const VkDeviceSize end = offset + size;
  while (offset < end) {
    const Span span = span_at(offset, end);
    if (span.memory != nullptr) {
      std::memcpy(span.memory->device_bytes() + span.offset, from, span.size);
      span.memory->written(span.offset, span.size);
    }
    from += span.size;
    offset += span.size;
  }
}

void Resource::fill(VkDeviceSize offset, const void* pattern, std::size_t pattern_size,
                    VkDeviceSize size) const {
  std::byte chunk[4096];
  const std::size_t whole = sizeof(chunk) / pattern_size * pattern_size;
  for (std::size_t at = 0; at < whole; at += pattern_size)
    std::memcpy(chunk + at, pattern, pattern_size);
  for (VkDeviceSize done = 0; done < size; done += whole)
    write(offset + done, chunk, std::min<VkDeviceSize>(whole, size - done));
}

}  // namespace vasim
