// Ranges of shared buffers.
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
// What every shared buffer's address is a multiple of; beyond it the address itself is looked at.
constexpr Alignment kAlignedAddress{256};

bool is_no_room(ErrorCode code) noexcept {
  return code == ErrorCode::out_of_device_memory || code == ErrorCode::out_of_address_space ||
         code == ErrorCode::out_of_space || code == ErrorCode::out_of_mappings;
}

inline Alignment alignment_for(std::uint32_t usage, const ResourceLimits& limits) noexcept {
  Alignment alignment{4};  // of indices, indirect commands and copies between buffers
  const auto raise = [&](std::uint32_t bits, Alignment to) {
    if ((usage & bits) != 0) alignment = std::max(alignment, to);
  };
  // Staging: a copy to an image begins at a multiple of its texel block, of those that are powers of two; for
  // the others (6, 12, 24 bytes) there is UploadRing::upload.
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

}  // namespace

Alignment sub_buffer_alignment(std::uint32_t usage, const ResourceLimits& limits) noexcept {
  return alignment_for(usage, limits);
}

namespace {

// Why a request cannot be met by a range of a shared buffer; nothing: it can. What would have to be the
// buffer's, or its memory's, is nobody's alone here.
std::optional<ErrorCode> unshareable(const HeapState& state, const BufferRequest& request) noexcept {
  if (request.usage == 0) return ErrorCode::invalid_argument;
  if (!request.alignment.valid()) return ErrorCode::invalid_alignment;
  const bool own = (request.flags | request.pool.generation | static_cast<unsigned>(request.exportable) |
                    static_cast<unsigned>(request.movable) | static_cast<unsigned>(request.aliasable) |
                    static_cast<unsigned>(request.dedicated)) != 0 ||
                   request.next != nullptr || request.alias_of != nullptr ||
                   request.priority != BufferRequest{}.priority;
  const bool strangers =
      !request.families.empty() &&
      !std::all_of(request.families.begin(), request.families.end(), [&](std::uint32_t family) {
        const std::span<const std::uint32_t> shared = state.config.families;
        return std::find(shared.begin(), shared.end(), family) != shared.end();
      });
  if (own || strangers) return ErrorCode::not_supported;
  return std::nullopt;
}

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
          .name = asked.name,
          .user_data = asked.user_data};
}

inline AllocationRequest range_for(const HeapState& state, const SubBufferKey& key,
                                   const BufferRequest& request) noexcept {
  const ResourceLimits& limits = state.backend.resource_limits();
  AllocationRequest wanted{.size = request.size,
                           .alignment = std::max(request.alignment, alignment_for(request.usage, limits)),
                           .name = request.name,
                           .user_data = request.user_data};
  if (!state.aligns_to_atoms(key)) return wanted;
  // V13: whole atoms, so that a flush touches nobody else's bytes.
  if (const auto whole = checked_align_up(wanted.size, limits.non_coherent_atom)) wanted.size = *whole;
  wanted.alignment = std::max(wanted.alignment, limits.non_coherent_atom);
  return wanted;
}

}  // namespace

Result<Buffer> HeapState::take_range(std::uint32_t number, const AllocationRequest& wanted,
                                     const BufferRequest& request) noexcept {
  SubBufferPool& pool = (*pools)[number];
  const auto made = pool.arena->allocate(wanted);
  if (!made) [[unlikely]]
    return fail(made.error());
  const BufferTable::Entry entry = pool.table.at(made->address);
  if (request.alignment > kAlignedAddress && entry.device_address != 0) [[unlikely]] {
    const std::uint64_t address = entry.device_address + BufferTable::offset_of(made->address).value;
    if (!is_aligned(address, request.alignment)) {
      pool.arena->free(*made);
      return fail(ErrorCode::not_supported);
    }
  }
  return HeapAccess::sub_buffer(*this, entry, number, *made, request.size);
}

// As vaspace::Heap does: what lies about unused goes back before anything is refused, or the budget is
// passed. A pool in blocks that is there already is asked before: where the sparse ones are full, nothing has
// to go back for each range. What is told is why the pool itself has refused.
Result<Buffer> HeapState::take_elsewhere(std::uint32_t number, const AllocationRequest& wanted,
                                         const BufferRequest& request, Error why) noexcept {
  constexpr const char* kHere = "Heap::alloc_buffer";
  const SubBufferKey key = (*pools)[number].key;
  const bool address = why.code == ErrorCode::not_supported;
  if (!address && !is_no_room(why.code)) return refuse(why, kHere, request.name);
  const BufferRequest own = like_shared(*this, key, request);
  if (address) return make_buffer(own, kHere);
  const bool may_leave = (*pools)[number].sparse != nullptr && request.size <= kLargestShared;
  std::uint32_t blocks = may_leave ? pools->present(key.in_blocks()) : SubBufferPools::kNone;
  if (blocks != SubBufferPools::kNone) {
    auto made = take_range(blocks, wanted, request);
    if (made) return made;
  }
  pools->flush();
  (void)memory->trim();
  const BudgetScope scope(request.budget);
  auto made = take_range(number, wanted, request);
  if (made) return made;
  why = made.error();
  const char* const driver = refused_by(why);
  if (is_no_room(why.code)) {
    if (may_leave && blocks == SubBufferPools::kNone)
      blocks = pools->find(key.in_blocks()).value_or(SubBufferPools::kNone);
    if (blocks != SubBufferPools::kNone) {
      auto in_blocks = take_range(blocks, wanted, request);
      if (in_blocks) return in_blocks;
    }
    auto alone = make_buffer(own, nullptr);
    if (alone) return alone;
  }
  return refuse(why, kHere, request.name, "", driver);
}

namespace {

// Beyond what every shared buffer's address is a multiple of.
Result<Buffer> take_aligned(HeapState& state, std::uint32_t number, const AllocationRequest& wanted,
                            const BufferRequest& request) noexcept {
  auto made = state.take_range(number, wanted, request);
  if (!made) return state.take_elsewhere(number, wanted, request, made.error());
  return made;
}

}  // namespace

Result<Buffer> Heap::alloc_buffer(const BufferRequest& request) noexcept {
  HeapState& state = *state_;
  constexpr const char* kHere = "Heap::alloc_buffer";
  if (const auto wrong = unshareable(state, request)) [[unlikely]]
    return state.refuse({*wrong}, kHere, request.name);
  const bool plain = (request.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) == 0 &&
                     request.intent != Intent::protected_device;
  if (const char* missing = plain ? nullptr : missing_feature(request); missing != nullptr) [[unlikely]]
    return state.refuse({ErrorCode::not_supported, VK_ERROR_FEATURE_NOT_PRESENT}, kHere, request.name,
                        missing);
  const SubBufferKey key{request.usage, request.intent, request.mapping, request.coherent};
  std::uint32_t number = state.pools->present(key);
  if (number == SubBufferPools::kNone) [[unlikely]] {
    const auto made = state.pools->find(key);
    if (!made && made.error().code == ErrorCode::out_of_space)
      return state.make_buffer(like_shared(state, SubBufferPools::widened(key), request), kHere);
    if (!made) return state.refuse(made.error(), kHere, request.name);
    number = *made;
  }
  SubBufferPool& pool = (*state.pools)[number];
  if (pool.shared && request.size > kLargestShared) [[unlikely]]
    return state.make_buffer(like_shared(state, pool.key, request), kHere);
  const AllocationRequest wanted = range_for(state, key, request);
  if (request.alignment > kAlignedAddress) [[unlikely]]
    return take_aligned(state, number, wanted, request);
  // The result is made where it ends up: what is moved afterwards waits for its own stores.
  const auto made = pool.arena->allocate(wanted);
  if (!made) [[unlikely]]
    return state.take_elsewhere(number, wanted, request, made.error());
  return HeapAccess::sub_buffer(state, pool.table.at(made->address), number, *made, request.size);
}

}  // namespace vaspace::vulkan
