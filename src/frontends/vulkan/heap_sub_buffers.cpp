// Ranges of shared buffers, and host access.
#include <algorithm>

#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

// A buffer above this would have a shared one alone.
constexpr Bytes kLargestShared = 16_MiB;

}  // namespace

Alignment sub_buffer_alignment(std::uint32_t usage, const ResourceLimits& limits) noexcept {
  Alignment alignment{4};  // of indices, indirect commands and copies
  const auto raise = [&](std::uint32_t bits, Alignment to) {
    if ((usage & bits) != 0) alignment = std::max(alignment, to);
  };
  raise(VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT, Alignment{16});
  raise(VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT, limits.uniform);
  raise(VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, std::max({limits.storage, limits.scratch, Alignment{16}}));
  raise(VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT,
        std::max(limits.texel, Alignment{16}));
  raise(VK_BUFFER_USAGE_ACCELERATION_STRUCTURE_BUILD_INPUT_READ_ONLY_BIT_KHR, Alignment{16});
  raise(VK_BUFFER_USAGE_SHADER_BINDING_TABLE_BIT_KHR, Alignment{64});
  raise(VK_BUFFER_USAGE_ACCELERATION_STRUCTURE_STORAGE_BIT_KHR, Alignment{256});
  return alignment;
}

Result<Buffer> Heap::alloc_buffer(const BufferRequest& request) noexcept {
  HeapState& state = *state_;
  constexpr const char* kHere = "Heap::alloc_buffer";
  if (request.usage == 0) [[unlikely]]
    return state.refuse({ErrorCode::invalid_argument}, kHere, "", request.name);
  if (request.flags != 0 || request.exportable || request.movable || request.next != nullptr) [[unlikely]]
    return state.refuse({ErrorCode::not_supported}, kHere, "", request.name);
  const bool plain = (request.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) == 0 &&
                     request.intent != Intent::protected_device;
  if (const char* missing = plain ? nullptr : missing_feature(request); missing != nullptr) [[unlikely]]
    return state.refuse({ErrorCode::not_supported, VK_ERROR_FEATURE_NOT_PRESENT}, kHere, "", request.name,
                        missing);
  const SubBufferKey key{request.usage, request.intent, request.mapping, request.coherent};
  const auto number = state.pools->find(key);
  if (!number) [[unlikely]]
    return state.refuse(number.error(), kHere, "", request.name);
  SubBufferPool& pool = (*state.pools)[*number];
  if (pool.shared && request.size > kLargestShared) [[unlikely]]
    return create_buffer(request);
  const ResourceLimits& limits = state.backend.resource_limits();
  Bytes size = request.size;
  Alignment alignment = std::max(request.alignment, sub_buffer_alignment(request.usage, limits));
  if (state.aligns_to_atoms(key)) {
    // V13: whole atoms, so that a flush touches nobody else's bytes.
    const auto whole = checked_align_up(size, limits.non_coherent_atom);
    size = whole ? *whole : size;
    alignment = std::max(alignment, limits.non_coherent_atom);
  }
  const auto made = pool.arena->allocate({.size = size, .alignment = alignment, .name = request.name});
  if (!made) [[unlikely]]
    return state.refuse(made.error(), kHere, "", request.name);
  return HeapAccess::sub_buffer(state, pool.table.at(made->address), *number, *made, request.size);
}

namespace {

// The range of a buffer's own memory, or of the shared buffer that it lies in.
Result<MappedRange> range_of(HeapState& state, const Buffer& buffer, Bytes offset, Bytes size) noexcept {
  if (HeapAccess::heap_of(buffer) != &state || offset > buffer.size())
    return fail(ErrorCode::invalid_argument);
  const Bytes left = buffer.size() - offset;
  if (size != kMaxBytes && size > left) return fail(ErrorCode::invalid_argument);
  const Bytes length = size == kMaxBytes ? left : size;
  if (!buffer.is_sub_buffer()) return MappedRange{buffer.memory(), offset, length};
  SubBufferPool& pool = (*state.pools)[HeapAccess::pool_of(buffer)];
  if (!pool.shared) return fail(ErrorCode::not_supported);
  const auto memory = pool.shared->memory_at(HeapAccess::memory_of(buffer).address);
  if (!memory) return fail(memory.error());
  return MappedRange{*memory, buffer.offset() + offset, length};
}

}  // namespace

Result<void> HeapState::flush(const Buffer& buffer, Bytes offset, Bytes size) noexcept {
  const auto range = range_of(*this, buffer, offset, size);
  if (!range) return fail(range.error());
  return memory->flush(range->allocation, range->offset, range->size);
}

Result<void> Heap::flush(const Buffer& buffer, Bytes offset, Bytes size) noexcept {
  return state_->flush(buffer, offset, size);
}

Result<void> Heap::invalidate(const Buffer& buffer, Bytes offset, Bytes size) noexcept {
  const auto range = range_of(*state_, buffer, offset, size);
  if (!range) return fail(range.error());
  return state_->memory->invalidate(range->allocation, range->offset, range->size);
}

}  // namespace vaspace::vulkan
