// What the host has written becomes visible to the device, and the other way round.
#include <algorithm>

#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

// Bytes of memory that the host sees.
struct Seen {
  HeapAllocation memory{};
  Bytes offset{};
  Bytes size{};
};

// A buffer's or an image's own memory.
Result<Seen> part_of(const HeapAllocation& memory, Bytes whole, const HostSpan& span) noexcept {
  if (span.offset > whole) return fail(ErrorCode::invalid_argument);
  const Bytes left = whole - span.offset;
  if (span.size != kMaxBytes && span.size > left) return fail(ErrorCode::invalid_argument);
  return Seen{memory, span.offset, span.size == kMaxBytes ? left : span.size};
}

// The range of a resource's own memory, or of the shared buffer that it lies in.
Result<Seen> seen_by(HeapState& state, const HostSpan& span) noexcept {
  if ((span.buffer == nullptr) == (span.image == nullptr)) return fail(ErrorCode::invalid_argument);
  if (span.image != nullptr) {
    if (HeapAccess::heap_of(*span.image) != &state) return fail(ErrorCode::invalid_argument);
    const HeapAllocation memory = span.image->memory();
    return part_of(memory, memory.size, span);
  }
  const Buffer& buffer = *span.buffer;
  if (HeapAccess::heap_of(buffer) != &state) return fail(ErrorCode::invalid_argument);
  if (!buffer.is_sub_buffer()) return part_of(buffer.memory(), buffer.size(), span);
  SubBufferPool& pool = (*state.pools)[HeapAccess::pool_of(buffer)];
  if (!pool.shared) return fail(ErrorCode::not_supported);
  const auto memory = pool.shared->memory_at(HeapAccess::memory_of(buffer).address);
  if (!memory) return fail(memory.error());
  auto seen = part_of(*memory, buffer.size(), span);
  if (seen) seen->offset += buffer.offset();
  return seen;
}

}  // namespace

// All are looked at before the driver is asked for the first. A call of it takes as many as the backend's.
Result<void> HeapState::synchronise(std::span<const HostSpan> spans, Direction direction) noexcept {
  HostRange gathered[Backend::kMaxRangesOfACall];
  std::size_t count = 0;
  // Memory objects lie apart: what begins in the atom at which another ends is in the same one.
  const auto joins = [&](const HostRange& before, Address begin) {
    const Bytes atoms = align_up(before.size, backend.resource_limits().non_coherent_atom);
    return begin >= before.address && begin - before.address <= atoms;
  };
  const auto send = [&]() -> Result<void> {
    const std::span<const HostRange> ranges(gathered, std::exchange(count, 0));
    if (ranges.empty()) return {};
    return direction == Direction::flush ? backend.flush(ranges) : backend.invalidate(ranges);
  };
  for (const bool sends : {false, true}) {
    if (!sends && spans.size() == 1) continue;
    for (const HostSpan& span : spans) {
      const auto seen = seen_by(*this, span);
      if (!seen) return fail(seen.error());
      const MemoryType& type = backend.profile().memory_types[seen->memory.memory_type];
      if (!type.host_visible) return fail(ErrorCode::not_supported);
      if (!sends || type.host_coherent || seen->size == Bytes{}) continue;
      const Address begin = seen->memory.address + seen->offset;
      const Address end = begin + seen->size;
      if (count != 0 && joins(gathered[count - 1], begin)) {
        HostRange& last = gathered[count - 1];
        last.size = std::max(last.address + last.size, end) - last.address;
        continue;
      }
      if (count == std::size(gathered)) {
        if (const auto sent = send(); !sent) return sent;
      }
      gathered[count++] = {begin, seen->size};
    }
  }
  return send();
}

Result<void> HeapState::flush(const Buffer& buffer, Bytes offset, Bytes size) noexcept {
  const HostSpan span{.buffer = &buffer, .offset = offset, .size = size};
  return tell(synchronise({&span, 1}, Direction::flush), "Heap::flush");
}

Result<void> Heap::flush(const Buffer& buffer, Bytes offset, Bytes size) noexcept {
  return state_->flush(buffer, offset, size);
}

Result<void> Heap::invalidate(const Buffer& buffer, Bytes offset, Bytes size) noexcept {
  const HostSpan span{.buffer = &buffer, .offset = offset, .size = size};
  return invalidate({&span, 1});
}

Result<void> Heap::flush(std::span<const HostSpan> spans) noexcept {
  return state_->tell(state_->synchronise(spans, HeapState::Direction::flush), "Heap::flush");
}

Result<void> Heap::invalidate(std::span<const HostSpan> spans) noexcept {
  return state_->tell(state_->synchronise(spans, HeapState::Direction::invalidate), "Heap::invalidate");
}

}  // namespace vaspace::vulkan
