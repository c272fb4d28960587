// Ranges of shared buffers, and host access.
#include <algorithm>

#include "heap/budget_scope.hpp"
#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

constexpr std::uint32_t kTransferUsage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
// What these want of an offset is known here; conditional rendering and transform feedback are content
// with 4.
constexpr std::uint32_t kKnownUsage =
    kTransferUsage | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT |
    VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
    VK_BUFFER_USAGE_INDEX_BUFFER_BIT | VK_BUFFER_USAGE_VERTEX_BUFFER_BIT |
    VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT |
    VK_BUFFER_USAGE_TRANSFORM_FEEDBACK_BUFFER_BIT_EXT |
    VK_BUFFER_USAGE_TRANSFORM_FEEDBACK_COUNTER_BUFFER_BIT_EXT |
    VK_BUFFER_USAGE_CONDITIONAL_RENDERING_BIT_EXT |
    VK_BUFFER_USAGE_ACCELERATION_STRUCTURE_BUILD_INPUT_READ_ONLY_BIT_KHR |
    VK_BUFFER_USAGE_ACCELERATION_STRUCTURE_STORAGE_BIT_KHR | VK_BUFFER_USAGE_SHADER_BINDING_TABLE_BIT_KHR;

// A buffer above this would have a shared one alone.
constexpr Bytes kLargestShared = 16_MiB;

bool is_no_room(ErrorCode code) noexcept {
  return code == ErrorCode::out_of_device_memory || code == ErrorCode::out_of_address_space ||
         code == ErrorCode::out_of_space || code == ErrorCode::out_of_mappings;
}

}  // namespace

Alignment sub_buffer_alignment(std::uint32_t usage, const ResourceLimits& limits) noexcept {
  Alignment alignment{4};  // of indices, indirect commands and copies between buffers
  const auto raise = [&](std::uint32_t bits, Alignment to) {
    if ((usage & bits) != 0) alignment = std::max(alignment, to);
  };
  // Staging: a copy to an image begins at a multiple of its texel block.
  if ((usage & ~kTransferUsage) == 0) raise(kTransferUsage, std::max(limits.copy, Alignment{32}));
  raise(VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT, Alignment{16});
  raise(VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT, std::max(limits.uniform, Alignment{16}));
  raise(VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, std::max({limits.storage, limits.scratch, Alignment{16}}));
  raise(VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT,
        std::max(limits.texel, Alignment{16}));
  raise(VK_BUFFER_USAGE_ACCELERATION_STRUCTURE_BUILD_INPUT_READ_ONLY_BIT_KHR, Alignment{16});
  raise(VK_BUFFER_USAGE_SHADER_BINDING_TABLE_BIT_KHR, Alignment{64});
  raise(VK_BUFFER_USAGE_ACCELERATION_STRUCTURE_STORAGE_BIT_KHR | ~kKnownUsage, Alignment{256});
  return alignment;
}

namespace {

// What is too large to share is made as one of the pool's would be: who asks sees no border.
BufferRequest like_shared(const HeapState& state, const SubBufferKey& pool,
                          const BufferRequest& asked) noexcept {
  const Alignment alignment = sub_buffer_alignment(asked.usage, state.backend.resource_limits());
  return {.size = asked.size,
          .usage = pool.usage,
          .flags = pool.buffer_flags(),
          .families = state.config.families,
          .intent = asked.intent,
          .mapping = asked.mapping,
          .coherent = asked.coherent,
          .alignment = std::max(asked.alignment, alignment),
          .budget = asked.budget,
          .name = asked.name};
}

}  // namespace

// As vaspace::Heap does: what lies about unused goes back before anything is refused, or the budget is
// passed.
Result<Allocation> HeapState::allocate_under_pressure(SubBufferPool& pool, const AllocationRequest& wanted,
                                                      BudgetPolicy policy) noexcept {
  pools->flush();
  (void)memory->trim();
  const BudgetScope scope(policy);
  return pool.arena->allocate(wanted);
}

Result<Buffer> Heap::alloc_buffer(const BufferRequest& request) noexcept {
  HeapState& state = *state_;
  constexpr const char* kHere = "Heap::alloc_buffer";
  if (request.usage == 0) [[unlikely]]
    return state.refuse({ErrorCode::invalid_argument}, kHere, "", request.name);
  if (!request.alignment.valid()) [[unlikely]]
    return state.refuse({ErrorCode::invalid_alignment}, kHere, "", request.name);
  if (request.flags != 0 || request.exportable || request.movable || request.next != nullptr) [[unlikely]]
    return state.refuse({ErrorCode::not_supported}, kHere, "", request.name);
  const bool plain = (request.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) == 0 &&
                     request.intent != Intent::protected_device;
  if (const char* missing = plain ? nullptr : missing_feature(request); missing != nullptr) [[unlikely]]
    return state.refuse({ErrorCode::not_supported, VK_ERROR_FEATURE_NOT_PRESENT}, kHere, "", request.name,
                        missing);
  const SubBufferKey key{request.usage, request.intent, request.mapping, request.coherent};
  std::uint32_t number = state.pools->present(key);
  if (number == SubBufferPools::kNone) [[unlikely]] {
    const auto made = state.pools->find(key);
    if (!made) return state.refuse(made.error(), kHere, "", request.name);
    number = *made;
  }
  SubBufferPool& pool = (*state.pools)[number];
  if (pool.shared && request.size > kLargestShared) [[unlikely]]
    return create_buffer(like_shared(state, pool.key, request));
  const ResourceLimits& limits = state.backend.resource_limits();
  Bytes size = request.size;
  Alignment alignment = std::max(request.alignment, sub_buffer_alignment(request.usage, limits));
  if (state.aligns_to_atoms(key)) {
    // V13: whole atoms, so that a flush touches nobody else's bytes.
    const auto whole = checked_align_up(size, limits.non_coherent_atom);
    size = whole ? *whole : size;
    alignment = std::max(alignment, limits.non_coherent_atom);
  }
  const AllocationRequest wanted{.size = size, .alignment = alignment, .name = request.name};
  auto made = pool.arena->allocate(wanted);
  if (!made && is_no_room(made.error().code)) [[unlikely]]
    made = state.allocate_under_pressure(pool, wanted, request.budget);
  if (!made) [[unlikely]]
    return state.refuse(made.error(), kHere, "", request.name);
  return HeapAccess::sub_buffer(state, pool.table.at(made->address), number, *made, request.size);
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
